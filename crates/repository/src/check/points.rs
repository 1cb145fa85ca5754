//! Following restore points down to the packs they need.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_domain::id::PointId;

use super::Checked;
use super::report::{Finding, Reporter};
use crate::catalogue::Catalogue;
use crate::domain::Domain;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::ListId;
use crate::list::walk::Walker;
use crate::pack::record::ChunkKind;
use crate::point::PointRoot;
use crate::prune::marks::Marks;
use crate::stream::StreamRoot;

/// Packs by their local number.
#[derive(Default)]
pub(crate) struct PackSet(Vec<u64>);

impl PackSet {
    /// The packs' numbers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = (0..).zip(&self.0);
        words.flat_map(|(at, word)| (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit))
    }

    pub(super) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

/// What points need.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) packs: PackSet,
    /// Some of their chunks are deltas.
    pub(super) deltas: bool,
    /// Their list pages, where these are wanted.
    lists: Option<BTreeSet<ListId>>,
}

/// All published points that can be read.
pub(super) async fn published(core: &Checked, reporter: &Reporter) -> Result<Vec<PointRoot>> {
    let prefix = core.layout.points();
    let mut ids = Vec::new();
    for object in core.store.list_all(&prefix).await? {
        let id = object.key[prefix.len()..].parse::<PointId>();
        let id = id.map_err(|_| Error::damaged(ObjectKind::Point, &object.key, "it has a strange name"));
        ids.extend(reporter.take(id, "it is no restore point")?);
    }
    read(core, reporter, &ids).await
}

/// The roots of these points.
pub(super) async fn read(core: &Checked, reporter: &Reporter, ids: &[PointId]) -> Result<Vec<PointRoot>> {
    let domain = Domain { core: Arc::clone(core) };
    let mut points = Vec::new();
    for id in ids {
        points.extend(reporter.take(domain.read_point(id).await, format!("point {id} cannot be restored"))?);
    }
    Ok(points)
}

/// Adds the points that these stand on.
pub(super) async fn with_foundations(
    core: &Checked,
    reporter: &Reporter,
    mut points: Vec<PointRoot>,
) -> Result<Vec<PointRoot>> {
    let domain = Domain { core: Arc::clone(core) };
    let known: BTreeSet<PointId> = points.iter().map(|point| point.point.clone()).collect();
    let on: Vec<(PointId, PointId)> =
        points.iter().filter_map(|point| point.stands_on.clone().map(|on| (on, point.point.clone()))).collect();
    let mut added = BTreeSet::new();
    for (on, above) in on.into_iter().filter(|(on, _)| !known.contains(on)) {
        if added.insert(on.clone()) {
            let consequence = format!("point {above} stands on point {on} and cannot be restored");
            points.extend(reporter.take(domain.read_point(&on).await, consequence)?);
        }
    }
    Ok(points)
}

/// Walks everything the points name, and tells what they need. What `refusing` condemns counts as missing.
pub(super) async fn walk(
    core: &Checked,
    reporter: &Reporter,
    points: &[PointRoot],
    refusing: Option<&Arc<Marks>>,
) -> Result<Walked> {
    let mut walked = Walked::default();
    for point in points {
        let walk = Walk { core, reporter, point: &point.point, refusing };
        walk.stream(&point.manifest, &mut walked).await?;
        walk.stream(&point.catalogue, &mut walked).await?;
        walk.catalogue(&point.catalogue, &mut walked).await?;
    }
    Ok(walked)
}

/// The packs that the streams of this catalogue need, bases of deltas included. What is missing is for a check to tell.
pub(crate) async fn needed_packs(core: &Checked, catalogue: &StreamRoot) -> Result<PackSet> {
    Ok(needed(core, catalogue, None).await?.packs)
}

/// The same, and the list pages of the streams and of the catalogue.
pub(crate) async fn needed_packs_and_lists(
    core: &Checked,
    catalogue: &StreamRoot,
) -> Result<(PackSet, BTreeSet<ListId>)> {
    let walked = needed(core, catalogue, Some(BTreeSet::new())).await?;
    Ok((walked.packs, walked.lists.unwrap_or_default()))
}

async fn needed(core: &Checked, catalogue: &StreamRoot, lists: Option<BTreeSet<ListId>>) -> Result<Walked> {
    let reporter = Reporter::new(Box::new(|_| {}));
    let point = PointId::from_uuid(uuid::Uuid::nil());
    let walk = Walk { core, reporter: &reporter, point: &point, refusing: None };
    let mut walked = Walked { lists, ..Walked::default() };
    walk.stream(catalogue, &mut walked).await?;
    walk.catalogue(catalogue, &mut walked).await?;
    Ok(walked)
}

struct Walk<'a> {
    core: &'a Checked,
    reporter: &'a Reporter,
    point: &'a PointId,
    refusing: Option<&'a Arc<Marks>>,
}

impl Walk<'_> {
    /// Every stream of the point, read off its catalogue line by line.
    async fn catalogue(&self, catalogue: &StreamRoot, walked: &mut Walked) -> Result<()> {
        let consequence = format!("the streams of point {} cannot be listed", self.point);
        let domain = Domain { core: Arc::clone(self.core) };
        let mut lines = Catalogue::new(&domain, catalogue);
        loop {
            let line = match lines.next().await {
                Err(error @ Error::Invalid(_)) => Err(Error::Invalid(format!("point {}: {error}", self.point))),
                line => line,
            };
            let goes_on = matches!(line, Err(Error::Invalid(_)));
            match self.reporter.take(line, &*consequence)? {
                Some(Some(root)) => self.stream(&root, walked).await?,
                None if goes_on => {}
                Some(None) | None => return Ok(()),
            }
        }
    }

    /// One stream: its pages, and each of its chunks in the index.
    async fn stream(&self, root: &StreamRoot, walked: &mut Walked) -> Result<()> {
        let index = Arc::clone(&self.core.index().await?.index);
        let consequence = |what: &str| format!("stream {:?} of point {} {what}", root.name, self.point);
        let walker = Walker::new(root, 0..root.bytes.max(1))
            .map(|walker| walker.refusing(self.refusing).noting(walked.lists.is_some()));
        let Some(mut walker) = self.reporter.take(walker, consequence("cannot be read"))? else { return Ok(()) };
        let (mut missing, mut deltas) = (Vec::new(), 0_usize);
        loop {
            let run = walker.next(self.core).await;
            if let Some(lists) = &mut walked.lists {
                lists.extend(walker.take_read());
            }
            let run = match self.reporter.take(run, consequence("cannot be read in full"))? {
                Some(Some(run)) => run,
                Some(None) => break,
                // The walk goes on behind the page.
                None => continue,
            };
            let index = Arc::clone(&index);
            let look_up = move || {
                let (mut numbers, mut lost, mut on_deltas, mut some) = (Vec::new(), Vec::new(), 0, false);
                for chunk in run.chunks {
                    match index.find(&chunk.id)? {
                        Some(located) => {
                            numbers.push(located.pack);
                            if let Some(base) = located.record.base {
                                some = true;
                                match index.find(&base)? {
                                    Some(base) => {
                                        on_deltas += usize::from(base.record.kind == ChunkKind::Delta);
                                        numbers.push(base.pack);
                                    }
                                    None => lost.push(base),
                                }
                            }
                        }
                        None => lost.push(chunk.id),
                    }
                }
                numbers.dedup();
                Ok((numbers, lost, on_deltas, some))
            };
            let (numbers, lost, on_deltas, some) = self.core.pool.run(look_up).await?;
            numbers.into_iter().for_each(|number| walked.packs.insert(number));
            walked.deltas |= some;
            missing.extend(lost);
            deltas += on_deltas;
        }
        if deltas > 0 {
            self.reporter.put(Finding {
                kind: ObjectKind::Index,
                object: self.core.layout.indexes(),
                what: format!("{deltas} chunk(s) are deltas on chunks that are deltas too"),
                consequence: consequence("cannot be read in full"),
            });
        }
        if let Some(first) = missing.first() {
            self.reporter.put(Finding {
                kind: ObjectKind::Index,
                object: self.core.layout.indexes(),
                what: format!(
                    "{} chunk(s), or bases of chunks, are in no index object, the first of them {first}",
                    missing.len()
                ),
                consequence: consequence("cannot be read in full"),
            });
        }
        Ok(())
    }
}
