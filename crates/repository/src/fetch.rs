//! Reading chunks that deltas stand on: few requests for many chunks, ahead of need, through a cache of bounded size.
//!
//! Whoever needs chunks asks for them in the order of need; what lies together in a pack is fetched together. A chunk that
//! was asked for is a future that many may wait for, so that neither two deltas on one base nor two tasks read it twice.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{FutureExt, Shared};
use futures::stream::{self, StreamExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::ChunkId;
use crate::index::local::{LocalIndex, Located};
use crate::index::object::PackEntry;
use crate::pack::open::PackOpener;
use crate::pack::record::{ChunkKind, ChunkRecord};

/// Bytes between two wanted chunks that are fetched along rather than asked around.
const GAP: u64 = 128 << 10;
/// Requests of one call that are under way at once.
const AT_ONCE: usize = 4;

/// Whether a chunk may be fetched with what the request covers so far: `plain` bytes, `limit` at most.
pub(crate) fn near(covered: &Range<u64>, plain: u64, next: &ChunkRecord, limit: u64) -> bool {
    let start = u64::from(next.offset);
    (covered.end..=covered.end + GAP).contains(&start)
        && plain + u64::from(next.plain) <= limit
        && start + u64::from(next.stored) - covered.start <= 2 * limit
}

/// A whole chunk that deltas may stand on.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) id: ChunkId,
    /// Its stored length.
    pub(crate) stored: u32,
    pub(crate) plain: Bytes,
    /// The pack it was read from.
    object: Arc<str>,
}

impl Base {
    /// That its content is not what its id says.
    pub(crate) fn damaged(&self) -> Error {
        Error::damaged(ObjectKind::Pack, &self.object, format!("chunk {} has another content", self.id))
    }
}

/// What asking for a chunk gives: the chunk, or its base where it is a delta itself.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) base: Arc<Base>,
    /// The chunk that was asked for is a delta.
    pub(crate) is_delta: bool,
}

/// What asking for a chunk comes to.
pub(crate) type Answer = Result<Found, Arc<Error>>;

/// A chunk that has been asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked(Shared<oneshot::Receiver<Answer>>);

impl Asked {
    /// The chunk, once it is read.
    pub(crate) async fn answer(self) -> Answer {
        let stopped = || Err(Arc::new(Error::TaskStopped("nobody reads the base any more".to_owned())));
        self.0.await.unwrap_or_else(|_| stopped())
    }
}

/// How chunks are looked up and read.
#[derive(Clone)]
struct Reading {
    core: Arc<Core>,
    index: Arc<LocalIndex>,
    purpose: Purpose,
}

/// What the chunks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// New deltas: the chunk must be there to stay, and be what its id says.
    Writing,
    /// Existing deltas. What comes of a wrong base is found out where the delta is verified.
    Reading,
}

/// The cache.
pub(crate) struct Bases {
    reading: Reading,
    budget: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: HashMap<ChunkId, Asked>,
    /// In the order they were asked for, with their lengths.
    order: VecDeque<(ChunkId, usize)>,
    held: usize,
    /// Stops with the cache.
    tasks: JoinSet<()>,
}

impl Bases {
    /// An empty cache of about the size that the domain's memory allows.
    pub(crate) fn new(core: Arc<Core>, index: Arc<LocalIndex>, purpose: Purpose) -> Self {
        let budget = core.plan.bases;
        Self { reading: Reading { core, index, purpose }, budget, state: Mutex::default() }
    }

    /// Whether chunks are looked up in this index.
    pub(crate) fn reads_by(&self, index: &Arc<LocalIndex>) -> bool {
        Arc::ptr_eq(&self.reading.index, index)
    }

    // Changes under the lock are complete or not begun.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for chunks, with their plain lengths as far as they are known. Reading begins at once.
    pub(crate) fn ask(&self, wanted: impl IntoIterator<Item = (ChunkId, u32)>) -> Vec<Asked> {
        let mut state = self.state();
        let mut new = Vec::new();
        let answers = wanted
            .into_iter()
            .map(|(id, length)| {
                if let Some(asked) = state.asked.get(&id) {
                    return asked.clone();
                }
                let (sender, receiver) = oneshot::channel();
                let asked = Asked(receiver.shared());
                state.asked.insert(id, asked.clone());
                state.order.push_back((id, length as usize));
                state.held += length as usize;
                new.push((id, sender));
                asked
            })
            .collect();
        while state.held > self.budget
            && let Some((id, length)) = state.order.pop_front()
        {
            state.asked.remove(&id);
            state.held -= length;
        }
        if !new.is_empty() {
            while state.tasks.try_join_next().is_some() {}
            state.tasks.spawn(read(self.reading.clone(), new));
        }
        answers
    }
}

/// Those who wait for one chunk, and whether what they asked for is a delta on it.
type Waiting = Vec<(oneshot::Sender<Answer>, bool)>;

/// Chunks of one pack that are read with one request.
struct Group {
    number: u32,
    range: Range<u64>,
    plain: u64,
    records: Vec<(ChunkRecord, Waiting)>,
}

async fn read(reading: Reading, wanted: Vec<(ChunkId, oneshot::Sender<Answer>)>) {
    let (ids, waiting): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
    let looking = reading.clone();
    let located = reading.core.pool.run(move || Ok(ids.iter().map(|id| looking.locate(id)).collect::<Vec<_>>())).await;
    let located = match located {
        Ok(located) => located,
        Err(error) => return tell(waiting, &Arc::new(error)),
    };
    let mut groups: Vec<Group> = Vec::new();
    for (located, waiting) in located.into_iter().zip(waiting) {
        match located {
            Ok((located, is_delta)) => gather(&mut groups, located, (waiting, is_delta), reading.core.plan.group),
            Err(error) => tell([waiting], &Arc::new(error)),
        }
    }
    stream::iter(groups).for_each_concurrent(AT_ONCE, |group| read_group(&reading, group)).await;
}

fn tell(waiting: impl IntoIterator<Item = oneshot::Sender<Answer>>, error: &Arc<Error>) {
    for waiting in waiting {
        // Nobody may be left who wants to know.
        let _ = waiting.send(Err(Arc::clone(error)));
    }
}

fn gather(groups: &mut Vec<Group>, located: Located, waiting: (oneshot::Sender<Answer>, bool), limit: usize) {
    let Located { pack, record } = located;
    if let Some(group) = groups.last_mut().filter(|group| group.number == pack) {
        match group.records.last_mut() {
            Some((last, others)) if last.id == record.id => return others.push(waiting),
            _ if near(&group.range, group.plain, &record, limit as u64) => {
                group.range.end = u64::from(record.offset) + u64::from(record.stored);
                group.plain += u64::from(record.plain);
                group.records.push((record, vec![waiting]));
                return;
            }
            _ => {}
        }
    }
    let start = u64::from(record.offset);
    let range = start..start + u64::from(record.stored);
    groups.push(Group { number: pack, range, plain: record.plain.into(), records: vec![(record, vec![waiting])] });
}

impl Reading {
    /// The whole chunk behind an id, and whether that is its base.
    fn locate(&self, id: &ChunkId) -> Result<(Located, bool)> {
        let asked = self.find(id)?;
        let Some(base) = asked.record.base else { return Ok((asked, false)) };
        let located = self.find(&base)?;
        if located.record.kind == ChunkKind::Whole {
            Ok((located, true))
        } else {
            let what = format!("chunk {id} is a delta on chunk {base}, which is a delta too");
            Err(Error::damaged(ObjectKind::Index, &self.core.layout.indexes(), what))
        }
    }

    fn find(&self, id: &ChunkId) -> Result<Located> {
        let found = match self.purpose {
            Purpose::Writing => self.index.usable(id)?,
            Purpose::Reading => self.index.find(id)?,
        };
        found.ok_or_else(|| {
            let what = format!("no index object says where chunk {id} is");
            Error::damaged(ObjectKind::Index, &self.core.layout.indexes(), what)
        })
    }

    async fn sealed(&self, group: &Group) -> Result<(PackEntry, String, Bytes)> {
        let pack = self.index.pack(group.number)?;
        let object = self.core.layout.pack(&pack.id);
        let sealed = self.core.store.get_range(ObjectKind::Pack, &object, group.range.clone()).await?;
        Ok((pack, object, sealed))
    }
}

async fn read_group(reading: &Reading, group: Group) {
    let senders = |group: Group| group.records.into_iter().flat_map(|(_, waiting)| waiting).map(|(sender, _)| sender);
    let (pack, object, sealed) = match reading.sealed(&group).await {
        Ok(sealed) => sealed,
        Err(error) => return tell(senders(group), &Arc::new(error)),
    };
    let (keys, purpose) = (Arc::clone(&reading.core.keys), reading.purpose);
    let job = move || {
        let name: Arc<str> = object.as_str().into();
        let opener = match PackOpener::new(keys, pack.salt, object) {
            Ok(opener) => opener,
            Err(error) => {
                tell(senders(group), &Arc::new(error));
                return Ok(());
            }
        };
        for (record, waiting) in group.records {
            let start = (u64::from(record.offset) - group.range.start) as usize;
            let sealed = &sealed[start..start + record.stored as usize];
            let mut plain = Vec::with_capacity(record.plain as usize);
            let opened = match purpose {
                Purpose::Writing => opener.chunk(&record, None, sealed, &mut plain),
                Purpose::Reading => opener.unverified(&record, None, sealed, &mut plain),
            };
            let answer = opened.map_err(Arc::new).map(|()| {
                let object = Arc::clone(&name);
                Arc::new(Base { id: record.id, stored: record.stored, plain: Bytes::from(plain), object })
            });
            for (sender, is_delta) in waiting {
                let _ = sender.send(answer.clone().map(|base| Found { base, is_delta }));
            }
        }
        Ok(())
    };
    if let Err(error) = reading.core.pool.run(job).await {
        tracing::warn!(error = %error, "reading bases stopped");
    }
}
