//! Deleting what is settled: the index objects that name it, which have been replaced by ones that name the rest, then the
//! packs and list pages themselves. Every part may be repeated, so a run that is killed is carried on by the next one.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use haulier_cloud::object_lock::Destruction;

use super::record::{Names, Record};
use super::repack::put_index;
use super::survey::{IndexFacts, Survey};
use super::{PrunePhase, Teller, log};
use crate::domain::Core;
use crate::error::{ObjectKind, Result};
use crate::ids::PackId;
use crate::index::object::IndexTable;
use crate::lock::hidden::MOST;

/// Objects deleted at once.
const AT_ONCE: usize = 8;
/// Objects deleted between two looks at the record.
const BATCH: usize = 1_000;
/// An index object with less than this part of the usual rows is small.
const SMALL: usize = 8;
/// So many small ones are worth making one of.
const MANY: usize = 16;

/// The index objects to be written anew: those that name packs of `condemned` (by their numbers), packs that an earlier
/// one names too, or packs that are lost and missed by nobody, and small ones if there are many.
pub(super) fn outdated(indexes: &[IndexFacts], condemned: impl Fn(u32) -> bool, rows_per_object: usize) -> Vec<usize> {
    let mut named = HashSet::new();
    let mut outdated = vec![false; indexes.len()];
    for (at, index) in indexes.iter().enumerate() {
        outdated[at] |= index.stale;
        for pack in &index.packs {
            outdated[at] |= !named.insert(*pack) || condemned(*pack);
        }
    }
    let small = |index: &IndexFacts| index.rows < rows_per_object / SMALL;
    if indexes.iter().filter(|index| small(index)).count() >= MANY {
        for (at, index) in indexes.iter().enumerate() {
            outdated[at] |= small(index);
        }
    }
    (0..indexes.len()).filter(|at| outdated[*at]).collect()
}

/// Writes the index objects that are to replace the `outdated` ones: what these say, without what is `gone`.
/// [`Error::PruneOverlap`]: an outdated one is not there any more, so that another run has come between.
///
/// [`Error::PruneOverlap`]: crate::error::Error::PruneOverlap
pub(super) async fn replace(core: &Arc<Core>, survey: &Survey, outdated: &[usize], gone: &Names) -> Result<()> {
    let gone: HashSet<PackId> = gone.packs.iter().copied().collect();
    let mut elsewhere: HashSet<PackId> = HashSet::new();
    let mut next = outdated.iter().peekable();
    for (at, index) in survey.indexes.iter().enumerate() {
        if next.next_if(|outdated| **outdated == at).is_none() {
            elsewhere.extend(index.packs.iter().map(|pack| survey.packs[*pack as usize].id));
        }
    }
    let mut table = IndexTable::default();
    for at in outdated {
        let key = core.layout.index(&survey.indexes[*at].id);
        let body = match core.store.get(ObjectKind::Index, &key).await {
            Err(error) if error.is_absent() => return Err(log::overlap(core)),
            body => body?,
        };
        let keys = Arc::clone(&core.keys);
        let old = core.pool.run(move || IndexTable::open(&keys, &key, &body)).await?;
        let IndexTable { packs, rows } = old;
        let mut kept: Vec<Option<u32>> = Vec::with_capacity(packs.len());
        for pack in packs {
            let stays = survey.keeps_rows_of(&pack) && !gone.contains(&pack.id);
            let keep = stays && elsewhere.insert(pack.id);
            kept.push(keep.then(|| {
                table.packs.push(pack);
                table.packs.len() as u32 - 1
            }));
        }
        table.rows.extend(rows.into_iter().filter_map(|(pack, record)| Some((kept[pack as usize]?, record))));
        if table.rows.len() >= core.plan.index_object_rows {
            put_index(core, std::mem::take(&mut table)).await?;
        }
    }
    if !table.packs.is_empty() {
        put_index(core, table).await?;
    }
    Ok(())
}

/// Deletes what the record settles, as long as it is the newest. What the newest one settles may be deleted by anyone at any
/// time; whoever wrote it goes on with the rest.
pub(super) async fn sweep(core: &Arc<Core>, record: &Record, tell: &Teller<'_>) -> Result<()> {
    let indexes = record.settled.indexes.iter().map(|id| core.layout.index(id));
    let packs = record.condemned.packs.iter().map(|id| core.layout.pack(id));
    let lists = record.condemned.lists.iter().map(|id| core.layout.list(id));
    // A replaced index object goes out of sight at once; what else is locked stays for a later run.
    let objects = indexes.map(|key| (key, true)).collect::<Vec<_>>();
    let rest: Vec<(String, bool)> = packs.chain(lists).map(|key| (key, false)).collect();
    let total = (objects.len() + rest.len()) as u64;
    let (mut done, mut protected) = (0, 0_u64);
    for batch in objects.chunks(BATCH).chain(rest.chunks(BATCH)) {
        if log::newest_number(&core.store, &core.layout).await? != Some(record.number) {
            return Err(log::overlap(core));
        }
        let mut deleted = stream::iter(batch.to_vec())
            .map(|(object, hide)| async move {
                if hide { core.store.remove(&object).await } else { core.store.delete(&object).await }
            })
            .buffer_unordered(AT_ONCE);
        while let Some(end) = deleted.try_next().await? {
            done += 1;
            protected += u64::from(end == Destruction::Protected);
            tell(PrunePhase::Delete, done, total);
        }
    }
    if protected > 0 {
        tracing::info!(protected, "S3 keeps objects that a lock protects");
    }
    Ok(())
}

/// Destroys index objects that earlier runs have replaced and put out of sight, once their locks have ended. As long as chunks
/// are missed, one that somebody else has hidden may be among them.
pub(super) async fn bury(core: &Arc<Core>, survey: &Survey) -> Result<()> {
    if core.store.lock().is_none() || survey.misses() {
        return Ok(());
    }
    for hidden in core.store.hidden(&core.layout.indexes(), MOST).await? {
        core.store.delete(&hidden.key).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IndexId;

    fn index(rows: usize, packs: &[u32]) -> IndexFacts {
        IndexFacts { id: IndexId([0; 32]), rows, packs: packs.to_vec(), stale: false }
    }

    #[test]
    fn index_objects_are_written_anew_where_that_is_due() {
        let many: Vec<IndexFacts> = (10..26).map(|pack| index(10, &[pack])).chain([index(900, &[26])]).collect();
        let cases = [
            ("nothing to do", vec![index(900, &[0]), index(900, &[1, 3])], vec![]),
            ("a pack goes", vec![index(900, &[0]), index(900, &[1, 2])], vec![1]),
            ("a pack is listed twice", vec![index(900, &[0, 1]), index(900, &[1, 3])], vec![1]),
            ("a few small ones", vec![index(1, &[0]), index(1, &[1])], vec![]),
            ("many small ones", many, (0..16).collect()),
            ("a lost pack is named", vec![index(900, &[0]), IndexFacts { stale: true, ..index(900, &[1]) }], vec![1]),
        ];
        for (what, indexes, expected) in cases {
            assert_eq!(outdated(&indexes, |pack| pack == 2, 1_000), expected, "{what}");
        }
    }
}
