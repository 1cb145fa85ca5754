//! The run: who is started when, and what is made of what comes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Domain, Error};
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;

use super::counts::Counts;
use super::job::{self, Death, Job, Outcome};
use super::plan::{Planned, Source, Terms};
use super::store::Clock;
use super::{tell, victim};
use crate::repository::point_id;
use haulier_pages::Random;

/// Points that are kept; what goes beyond is compared and removed.
const KEPT: usize = 16;
/// Children of a hundred that are killed.
const KILLED: u64 = 40;
/// After so many deaths a writer is spared.
const PATIENCE: u32 = 3;
/// Prunes at the end, until nothing is left to delete.
const LAST_PRUNES: usize = 8;

/// A run.
pub(super) struct Run {
    terms: Terms,
    streams: Vec<Planned>,
    writers: usize,
    folder: PathBuf,
    clock: Clock,
    random: Random,
    /// Streams that are not stored yet, with the number of the attempt.
    queue: VecDeque<(usize, u32)>,
    /// Published points and their streams.
    published: BTreeMap<String, usize>,
    /// Points being compared.
    reading: BTreeSet<String>,
    /// The last point of each stream that was published.
    last: Vec<Option<String>>,
    /// Children that work, and since when.
    live: BTreeMap<u64, (Job, Timestamp)>,
    /// Prunes that have worked beside another.
    disturbed: BTreeSet<u64>,
    next: u64,
    children: JoinSet<(u64, Result<Outcome>)>,
    /// Writers that have ended since the last prune began.
    since_prune: usize,
    counts: Counts,
}

impl Run {
    pub(super) fn new(terms: Terms, streams: Vec<Planned>, writers: usize, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder.join(".cache")).context("making a folder for indexes")?;
        Ok(Self {
            queue: (0..streams.len()).map(|stream| (stream, 0)).collect(),
            last: vec![None; streams.len()],
            random: Random::new(terms.seed, 5),
            clock: Clock::new(Timestamp::now()),
            folder: folder.to_owned(),
            terms,
            streams,
            writers,
            published: BTreeMap::new(),
            reading: BTreeSet::new(),
            live: BTreeMap::new(),
            disturbed: BTreeSet::new(),
            next: 0,
            children: JoinSet::new(),
            since_prune: 0,
            counts: Counts::new(),
        })
    }

    /// Everything, and what came of it.
    pub(super) async fn go(mut self) -> Result<Counts> {
        loop {
            self.start_what_is_due();
            let Some(ended) = self.children.join_next().await else { break };
            let (id, outcome) = ended.context("waiting for a child")?;
            self.take(id, outcome?).await?;
        }
        self.last_prunes().await?;
        self.compare_the_rest().await?;
        self.look_at_all().await?;
        self.counts.stop();
        Ok(self.counts)
    }

    /// Whether prunes are told of nobody and wait for nothing.
    fn reckless(&self) -> bool {
        self.counts.published * 2 >= self.streams.len() as u64
    }

    fn working(&self, wanted: impl Fn(&Job) -> bool) -> usize {
        self.live.values().filter(|(job, _)| wanted(job)).count()
    }

    fn start_what_is_due(&mut self) {
        while self.working(|job| matches!(job, Job::Write { .. })) < self.writers
            && let Some((stream, attempt)) = self.queue.pop_front()
        {
            let base = match self.streams[stream].source {
                Source::Copy { of, .. } => self.last[of].clone(),
                Source::Fresh => None,
            };
            let death = if attempt < PATIENCE { self.death(self.streams[stream].bytes) } else { Death::Spared };
            self.start(Job::Write { stream, name: format!("{stream}-{attempt}"), base, attempt }, death);
        }
        let prunes = self.working(|job| matches!(job, Job::Prune { .. }));
        let writes = self.working(|job| matches!(job, Job::Write { .. }));
        if (prunes == 0 && self.since_prune >= 2) || (prunes == 1 && writes > 0 && self.random.chance(10)) {
            self.since_prune = 0;
            self.start_prune();
        }
        if self.reading.is_empty() && self.published.len() > KEPT {
            let at = self.random.below(self.published.len() as u64) as usize;
            if let Some((name, stream)) = self.published.iter().nth(at).map(|(name, stream)| (name.clone(), *stream)) {
                self.start_read(stream, name, 0);
            }
        }
    }

    fn start_prune(&mut self) {
        let reckless = self.reckless();
        let at_work = self.live.values().filter(|(job, _)| !matches!(job, Job::Prune { .. }));
        let oldest = if reckless { None } else { at_work.map(|(_, since)| *since).min() };
        let death = self.death(0);
        self.start(Job::Prune { oldest, reckless }, death);
    }

    fn start_read(&mut self, stream: usize, name: String, attempt: u32) {
        self.reading.insert(name.clone());
        self.start(Job::Read { stream, name, attempt }, Death::Spared);
    }

    /// How a child ends that has so many bytes to write.
    fn death(&mut self, bytes: u64) -> Death {
        if !self.random.chance(KILLED) {
            Death::Spared
        } else if self.random.chance(50) {
            Death::AtCall(self.random.size(1, 60 + bytes / 2_000_000))
        } else {
            Death::After(Duration::from_millis(self.random.size(10, 300 + bytes / 50_000)))
        }
    }

    fn start(&mut self, job: Job, death: Death) {
        match job {
            Job::Write { .. } => self.counts.writes += 1,
            Job::Prune { .. } => self.counts.prunes += 1,
            Job::Read { .. } => {}
        }
        let id = self.next;
        self.next += 1;
        let prunes = |job: &Job| matches!(job, Job::Prune { .. });
        if prunes(&job) {
            let beside: Vec<u64> = self.live.iter().filter(|(_, (job, _))| prunes(job)).map(|(id, _)| *id).collect();
            if !beside.is_empty() {
                self.disturbed.insert(id);
                self.disturbed.extend(beside);
            }
        }
        self.live.insert(id, (job.clone(), self.clock.now()));
        let (folder, terms, began) = (self.folder.clone(), self.terms, self.clock.began());
        self.children.spawn(async move { (id, job::run(&folder, terms, began, &job, death).await) });
    }

    async fn domain(&self) -> Result<Domain> {
        victim::domain(self.folder.clone(), self.clock, None).await
    }

    async fn take(&mut self, id: u64, outcome: Outcome) -> Result<()> {
        let Some((job, _)) = self.live.get(&id).cloned() else { bail!("a child ended that was never started") };
        match job {
            Job::Write { stream, name, attempt, .. } => self.written(stream, name, attempt, outcome).await?,
            Job::Prune { .. } => self.pruned(id, outcome)?,
            Job::Read { stream, name, attempt } => self.read(stream, name, attempt, outcome).await?,
        }
        // Until all that concerns it is settled, it counts as a session that works.
        self.live.remove(&id);
        Ok(())
    }

    async fn written(&mut self, stream: usize, name: String, attempt: u32, outcome: Outcome) -> Result<()> {
        self.since_prune += 1;
        let published = match outcome {
            Outcome::Done(said) => {
                self.counts.stored(&said);
                true
            }
            Outcome::Killed => {
                self.counts.writes_killed += 1;
                self.is_published_by_a_dead_writer(&name).await?
            }
            Outcome::Refused => {
                ensure!(self.reckless(), "the publication of {name} was refused, though prunes knew of its session");
                self.counts.refused += 1;
                false
            }
            other => bail!("storing stream {stream} as {name}: {other:?}"),
        };
        if published {
            self.counts.published += 1;
            self.last[stream] = Some(name.clone());
            self.published.insert(name, stream);
            if self.counts.published.is_multiple_of(20) {
                tell(&format!("{} of {} streams are published", self.counts.published, self.streams.len()));
            }
        } else {
            // Not at once: what it left is to be met by others first.
            self.queue.insert(self.queue.len().min(5), (stream, attempt + 1));
        }
        Ok(())
    }

    /// What the coordinator does once it is back: a point that the writer had created stays if it is whole.
    async fn is_published_by_a_dead_writer(&mut self, name: &str) -> Result<bool> {
        let (domain, id) = (self.domain().await?, point_id(name)?);
        if domain.withdraw_point(&id).await.context("looking at a dead writer's point")? {
            ensure!(self.reckless(), "point {name} was not whole, though prunes knew of its session");
            self.counts.withdrawn += 1;
            return Ok(false);
        }
        match domain.read_point(&id).await {
            Ok(_) => Ok(true),
            Err(Error::Missing { .. }) => Ok(false),
            Err(error) => Err(error).context("reading a dead writer's point"),
        }
    }

    fn pruned(&mut self, id: u64, outcome: Outcome) -> Result<()> {
        // It may find that the other one has replaced what it was about to read, or one that waits for nobody that a point
        // which is about to be taken back is not whole.
        let excused = |said: &str| {
            (self.disturbed.contains(&id) && said.contains("is missing"))
                || (self.reckless() && said.contains("cannot be read in full"))
        };
        match outcome {
            Outcome::Done(report) => {
                self.counts.pruned(&report);
                ensure!(report["chunks_missing"] == 0, "a prune misses chunks: {report}");
            }
            Outcome::Killed => self.counts.prunes_killed += 1,
            Outcome::Overlapped => self.counts.prunes_overlapped += 1,
            Outcome::Failed(said) if excused(&said) => self.counts.prunes_overlapped += 1,
            other => bail!("a prune: {other:?}"),
        }
        let stored = bytes_under(&self.folder)?;
        self.counts.most_bytes = self.counts.most_bytes.max(stored);
        Ok(())
    }

    async fn read(&mut self, stream: usize, name: String, attempt: u32, outcome: Outcome) -> Result<()> {
        self.reading.remove(&name);
        match outcome {
            Outcome::Done(said) => self.compared(&said),
            Outcome::Failed(said) if self.reckless() && attempt < PATIENCE && said.contains("is missing") => {
                self.counts.reads_repeated += 1;
                self.start_read(stream, name, attempt + 1);
                return Ok(());
            }
            other => bail!("reading {name}, which is stream {stream}: {other:?}"),
        }
        ensure!(self.domain().await?.remove_point(&point_id(&name)?).await?, "point {name} was gone already");
        self.published.remove(&name);
        self.counts.removed += 1;
        Ok(())
    }

    fn compared(&mut self, said: &Value) {
        self.counts.verified += 1;
        self.counts.verified_bytes += said["bytes"].as_u64().unwrap_or_default();
    }

    async fn one(&self, job: Job) -> Result<Outcome> {
        job::run(&self.folder, self.terms, self.clock.began(), &job, Death::Spared).await
    }

    /// Prunes until there is nothing left to delete.
    async fn last_prunes(&mut self) -> Result<()> {
        let mut last = Value::Null;
        for _ in 0..LAST_PRUNES {
            self.counts.prunes += 1;
            self.counts.prunes_to_rest += 1;
            let Outcome::Done(report) = self.one(Job::Prune { oldest: None, reckless: true }).await? else {
                bail!("a prune that nobody disturbed did not come to its end");
            };
            self.counts.pruned(&report);
            let left = ["freed_now", "freed_later"].map(|name| report["figures"][name]["objects"].as_u64());
            if left == [Some(0), Some(0)] && report["index_objects"] == 0 {
                return Ok(());
            }
            last = report;
        }
        bail!("after {LAST_PRUNES} prunes there is still something to delete: {last}")
    }

    async fn compare_the_rest(&mut self) -> Result<()> {
        for (name, stream) in self.published.clone() {
            match self.one(Job::Read { stream, name: name.clone(), attempt: 0 }).await? {
                Outcome::Done(said) => self.compared(&said),
                other => bail!("reading {name}, which is stream {stream}: {other:?}"),
            }
        }
        Ok(())
    }

    /// The points are those that were published, every stream has been compared, and a full check finds nothing.
    async fn look_at_all(&mut self) -> Result<()> {
        let domain = self.domain().await?;
        let listed: BTreeSet<_> = domain.list_points().await?.into_iter().map(|(id, _)| id).collect();
        let expected = self.published.keys().map(|name| point_id(name)).collect::<Result<BTreeSet<_>>>()?;
        ensure!(listed == expected, "the repository lists {listed:?}, and should list {expected:?}");
        ensure!(self.counts.verified == self.streams.len() as u64, "{} points were compared", self.counts.verified);
        let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await?;
        ensure!(report.is_clean(), "a check finds: {:?}", report.findings);
        self.counts.left_bytes = bytes_under(&self.folder)?;
        Ok(())
    }
}

/// Bytes of all files under a folder, of which some may go meanwhile.
fn bytes_under(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        match entry.metadata() {
            Ok(about) if about.is_dir() => total += bytes_under(&entry.path())?,
            Ok(about) => total += about.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("looking at {}", entry.path().display())),
        }
    }
    Ok(total)
}
