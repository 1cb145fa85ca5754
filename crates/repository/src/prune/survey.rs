//! What there is, and what of it is needed.
//!
//! Points are listed first, then index objects, then packs and list pages: whatever a listed point needs is in the
//! listings that follow. What is published meanwhile is looked at again before anything is deleted.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt, TryStreamExt};
use haulier_domain::id::PointId;
use jiff::Timestamp;

use super::fates::Fates;
use super::locks;
use super::log::{self, Stored};
use super::plan::{ListFacts, Object, PackFacts};
use super::record::Names;
use super::sorter::{Sorted, Sorter};
use super::usage::{Place, Standing, by_pack, homes, pack_and_id};
use super::walk::{Needs, Walk};
use super::{PrunePhase, Teller};
use crate::domain::{Core, Domain};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{IndexId, PackId};
use crate::index::object::{IndexTable, PackEntry};

/// Index objects fetched at once.
const AT_ONCE: usize = 4;
/// After so many rounds the bases of all deltas count as needed, in whichever pack they lie.
const ROUNDS: usize = 8;
/// Stands for a pack that the store does not have.
const NO_PACK: u32 = u32::MAX;

/// An index object.
pub(super) struct IndexFacts {
    pub(super) id: IndexId,
    pub(super) rows: usize,
    /// Numbers of those of its packs that the store has.
    pub(super) packs: Vec<u32>,
    /// It names packs that are lost, and nothing that a point needs is.
    pub(super) stale: bool,
}

/// What there is.
pub(super) struct Survey {
    /// With the times at which the store took them.
    pub(super) points: Vec<(PointId, Timestamp)>,
    /// In order of their names, so that the place of one is its number.
    pub(super) packs: Vec<PackFacts>,
    pub(super) lists: Vec<ListFacts>,
    pub(super) indexes: Vec<IndexFacts>,
    /// Index objects that an earlier run has replaced, and not deleted.
    pub(super) replaced: Vec<IndexId>,
    /// Chunks that points need and that no index object knows.
    pub(super) homeless: u64,
    /// Whether there are such, or bases of that kind. What is lost stays in the index then, so that it can be told what it was.
    missed: bool,
    /// Every chunk that is needed, bases included.
    live: Sorted<32>,
    places: Sorted<41>,
}

/// Looks at everything.
pub(super) async fn survey(core: &Arc<Core>, stored: Option<&Stored>, tell: &Teller<'_>) -> Result<Survey> {
    let memory = core.plan.filter / 4;
    let domain = Domain { core: Arc::clone(core) };
    let listed = domain.list_points().await?;
    let fates = Fates::of(stored);
    let (replaced, ids) = list_indexes(core).await?.into_iter().partition(|id| fates.is_replaced(id));
    let mut packs = list_packs(core, &fates).await?;
    let mut lists = list_pages(core, &fates).await?;

    let Indexes { facts: mut indexes, places, deltas } = read_indexes(core, &packs, ids, memory, tell).await?;
    let mut walk = Walk::new(core, memory);
    let (total, mut points) = (listed.len() as u64, Vec::with_capacity(listed.len()));
    for (done, (id, modified)) in (0..).zip(listed) {
        tell(PrunePhase::Points, done, total);
        if follow(&domain, &mut walk, &id).await? {
            points.push((id, modified));
        }
    }
    let needs = walk.finish().await?;
    for list in &mut lists {
        list.live = needs.page(&list.id);
    }
    let Needs { ids, .. } = needs;
    let standings: Vec<Standing> = packs.iter().map(|pack| pack.fate.standing()).collect();
    let sorted = places.clone();
    let measured = on_disk(core, move |folder| measure(folder, memory, &standings, ids, &sorted, &deltas)).await?;
    for (pack, used) in packs.iter_mut().zip(measured.used) {
        pack.used = used;
    }
    locks::look(core, &mut packs, &mut lists).await?;
    let Measured { live, homeless, missed, .. } = measured;
    if missed {
        seek(&mut packs, &indexes);
    }
    indexes.iter_mut().for_each(|index| index.stale &= !missed);
    Ok(Survey { points, packs, lists, indexes, replaced, homeless, missed, live, places })
}

/// Where chunks are missing, an index object may have been lost, and what it named is all that is left of them: their packs
/// tell what they hold.
fn seek(packs: &mut [PackFacts], indexes: &[IndexFacts]) {
    let mut named = vec![false; packs.len()];
    for pack in indexes.iter().flat_map(|index| &index.packs) {
        named[*pack as usize] = true;
    }
    for (pack, named) in packs.iter_mut().zip(named) {
        pack.sought = !named;
    }
}

/// Takes note of what a point needs. `false`: it has been removed since it was listed.
pub(super) async fn follow(domain: &Domain, walk: &mut Walk, point: &PointId) -> Result<bool> {
    let Err(error) = walk.point(point).await else { return Ok(true) };
    if domain.read_point(point).await.is_err_and(|error| error.is_absent()) {
        return Ok(false);
    }
    match error {
        Error::Missing { .. } | Error::Damaged { .. } | Error::ChunkMissing { .. } | Error::Invalid(_) => {
            Err(Error::PointUnreadable { point: point.clone(), cause: Box::new(error) })
        }
        other => Err(other),
    }
}

async fn list_indexes(core: &Core) -> Result<Vec<IndexId>> {
    let prefix = core.layout.indexes();
    let objects = core.store.list_all(&prefix).await?;
    objects
        .into_iter()
        .map(|object| {
            let id = object.key[prefix.len()..].parse();
            id.map_err(|_| Error::damaged(ObjectKind::Index, &object.key, "it has a strange name"))
        })
        .collect()
}

impl Survey {
    /// Adds the name of an object.
    pub(super) fn name(&self, names: &mut Names, object: Object) {
        match object {
            Object::Pack(number) => names.packs.push(self.packs[number as usize].id),
            Object::List(number) => names.lists.push(self.lists[number as usize].id),
        }
    }

    /// Whether something that is needed is in no index object.
    pub(super) fn misses(&self) -> bool {
        self.missed
    }

    /// Whether the index is to go on naming a pack: one that is lost only where something is missed.
    pub(super) fn keeps_rows_of(&self, pack: &PackEntry) -> bool {
        let stored = self.packs.binary_search_by_key(&pack.id, |pack| pack.id).map(|at| self.packs[at].size);
        self.missed || stored == Ok(pack.size)
    }

    /// The chunks that have their home in one of these packs (numbers, in order), by pack.
    pub(super) async fn residents(&self, core: &Core, of: &[u32]) -> Result<Sorted<36>> {
        let memory = core.plan.filter / 4;
        let standings: Vec<Standing> = self.packs.iter().map(|pack| pack.fate.standing()).collect();
        let (live, places, of) = (self.live.clone(), self.places.clone(), of.to_vec());
        on_disk(core, move |folder| {
            let mut found = Sorter::new(folder, memory);
            homes(
                live.iter(),
                places.iter(),
                |pack| standings[pack as usize],
                |place| {
                    if of.binary_search(&place.pack).is_ok() {
                        found.push(by_pack(place.pack, &place.id))
                    } else {
                        Ok(())
                    }
                },
            )?;
            found.finish()
        })
        .await
    }
}

async fn on_disk<T: Send + 'static>(
    core: &Core,
    job: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let folder = core.folder.clone();
    core.pool.run(move || job(&folder).map_err(|source| Error::Local { doing: "sorting", path: folder, source })).await
}

async fn list_packs(core: &Core, fates: &Fates) -> Result<Vec<PackFacts>> {
    let prefix = core.layout.packs();
    let mut packs = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (objects, next) = core.store.page(&prefix, after.as_deref()).await?;
        for object in objects {
            let name = object.key[prefix.len()..].split_once('/').and_then(|(_, name)| name.parse::<PackId>().ok());
            packs.extend(name.map(|id| PackFacts {
                id,
                size: object.size,
                modified: object.modified,
                used: 0,
                sought: false,
                fate: fates.pack(&id),
                locked: None,
            }));
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    packs.sort_unstable_by_key(|pack| pack.id);
    Ok(packs)
}

async fn list_pages(core: &Core, fates: &Fates) -> Result<Vec<ListFacts>> {
    let prefix = core.layout.lists();
    let mut lists = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (objects, next) = core.store.page(&prefix, after.as_deref()).await?;
        for object in objects {
            let Ok(id) = object.key[prefix.len()..].parse() else { continue };
            let fate = fates.list(&id);
            lists.push(ListFacts { id, size: object.size, modified: object.modified, live: false, fate, locked: None });
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(lists),
        }
    }
}

/// What the index objects say.
struct Indexes {
    facts: Vec<IndexFacts>,
    places: Sorted<41>,
    deltas: Sorted<36>,
}

async fn read_indexes(
    core: &Arc<Core>,
    packs: &[PackFacts],
    ids: Vec<IndexId>,
    memory: usize,
    tell: &Teller<'_>,
) -> Result<Indexes> {
    // A name and a length: what has another length than the index says is lost.
    let known: Arc<Vec<(PackId, u64)>> = Arc::new(packs.iter().map(|pack| (pack.id, pack.size)).collect());
    let sorters = Arc::new(Mutex::new((Sorter::new(&core.folder, memory), Sorter::new(&core.folder, memory))));
    let total = ids.len() as u64;
    let mut facts = Vec::new();
    let mut read = stream::iter(ids)
        .map(|id| {
            let (known, sorters) = (Arc::clone(&known), Arc::clone(&sorters));
            async move {
                let key = core.layout.index(&id);
                let body = match core.store.get(ObjectKind::Index, &key).await {
                    // Another run has replaced it since it was listed.
                    Err(error) if error.is_absent() => return Err(log::overlap(core)),
                    body => body?,
                };
                let keys = Arc::clone(&core.keys);
                let folder = core.folder.clone();
                let job = move || {
                    let table = IndexTable::open(&keys, &key, &body)?;
                    let mut sorters = sorters.lock().unwrap_or_else(PoisonError::into_inner);
                    let (places, deltas) = &mut *sorters;
                    take(&table, id, &known, places, deltas).map_err(|source| Error::Local {
                        doing: "sorting",
                        path: folder,
                        source,
                    })
                };
                core.pool.run(job).await
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(fact) = read.try_next().await? {
        facts.push(fact);
        tell(PrunePhase::Index, facts.len() as u64, total);
    }
    drop(read);
    facts.sort_unstable_by_key(|index: &IndexFacts| index.id);
    let finish = move |folder: &Path| {
        let empty = (Sorter::new(folder, 1), Sorter::new(folder, 1));
        let mut sorters = sorters.lock().unwrap_or_else(PoisonError::into_inner);
        let (places, deltas) = std::mem::replace(&mut *sorters, empty);
        Ok((places.finish()?, deltas.finish()?))
    };
    let (places, deltas) = on_disk(core, finish).await?;
    Ok(Indexes { facts, places, deltas })
}

/// Takes note of one index object.
fn take(
    table: &IndexTable,
    id: IndexId,
    known: &[(PackId, u64)],
    places: &mut Sorter<41>,
    deltas: &mut Sorter<36>,
) -> io::Result<IndexFacts> {
    let number = |id: &PackId, size| known.binary_search(&(*id, size)).map_or(NO_PACK, |number| number as u32);
    let numbers: Vec<u32> = table.packs.iter().map(|pack| number(&pack.id, pack.size)).collect();
    for (pack, record) in &table.rows {
        let pack = numbers[*pack as usize];
        if pack == NO_PACK {
            continue;
        }
        let stored = record.stored + record.row_length() as u32;
        places.push(Place { id: record.id, delta: record.base.is_some(), pack, stored }.to_record())?;
        if let Some(base) = &record.base {
            deltas.push(by_pack(pack, base))?;
        }
    }
    let stale = numbers.contains(&NO_PACK);
    let packs = numbers.into_iter().filter(|number| *number != NO_PACK).collect();
    Ok(IndexFacts { id, rows: table.rows.len(), packs, stale })
}

struct Measured {
    used: Vec<u64>,
    live: Sorted<32>,
    homeless: u64,
    /// Whether chunks or bases have no home.
    missed: bool,
}

/// What is needed of each pack. A delta that stays in the index keeps its base, whether or not a point needs the delta: a
/// writer may rely on anything in a pack that is not marked. So the bases of all deltas in packs that are needed are
/// needed too, which may make further packs needed.
fn measure(
    folder: &Path,
    memory: usize,
    standings: &[Standing],
    live: Sorted<32>,
    places: &Sorted<41>,
    deltas: &Sorted<36>,
) -> io::Result<Measured> {
    let mut live = live;
    let mut missing = None;
    let mut counted = vec![false; standings.len()];
    for round in 0.. {
        let mut used = vec![0; standings.len()];
        let homeless = homes(
            live.iter(),
            places.iter(),
            |pack| standings[pack as usize],
            |place| {
                used[place.pack as usize] += u64::from(place.stored);
                Ok(())
            },
        )?;
        let missed = homeless > 0;
        let homeless = *missing.get_or_insert(homeless);
        let mut bases = Sorter::new(folder, memory);
        for delta in deltas.iter() {
            let (pack, base) = pack_and_id(&delta?);
            if !counted[pack as usize] && (used[pack as usize] > 0 || round >= ROUNDS) {
                bases.push(base.0)?;
            }
        }
        for (counted, used) in counted.iter_mut().zip(&used) {
            *counted |= *used > 0 || round >= ROUNDS;
        }
        let grown = live.with(folder, &bases.finish()?)?;
        if grown.len() == live.len() {
            return Ok(Measured { used, live, homeless, missed });
        }
        live = grown;
    }
    Err(io::Error::other("the rounds are over"))
}

#[cfg(test)]
mod tests;
