//! Deleting what is condemned: first the index objects that name it, each replaced by one that names the rest, then the
//! packs and list pages themselves. Every part may be repeated, so a run that is killed is carried on by the next one.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::record::Names;
use super::repack::put_index;
use super::survey::{IndexFacts, Survey};
use super::{PrunePhase, Teller};
use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::PackId;
use crate::index::object::IndexTable;

/// Objects deleted at once.
const AT_ONCE: usize = 8;
/// An index object with less than this part of the usual rows is small.
const SMALL: usize = 8;
/// So many small ones are worth making one of.
const MANY: usize = 16;

/// The index objects to be written anew: those that name packs of `condemned` (by their numbers) or packs that an earlier
/// one names too, and small ones if there are many.
pub(super) fn outdated(indexes: &[IndexFacts], condemned: impl Fn(u32) -> bool, rows_per_object: usize) -> Vec<usize> {
    let mut named = HashSet::new();
    let mut outdated = vec![false; indexes.len()];
    for (at, index) in indexes.iter().enumerate() {
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

/// Deletes. `outdated` are the index objects to be written anew.
pub(super) async fn sweep(
    core: &Arc<Core>,
    survey: &Survey,
    outdated: &[usize],
    condemned: &Names,
    tell: &Teller<'_>,
) -> Result<()> {
    rewrite(core, survey, outdated, condemned).await?;
    let objects: Vec<String> = (condemned.packs.iter().map(|id| core.layout.pack(id)))
        .chain(condemned.lists.iter().map(|id| core.layout.list(id)))
        .collect();
    let total = objects.len() as u64;
    let mut deleted =
        stream::iter(objects).map(|object| async move { core.store.delete(&object).await }).buffer_unordered(AT_ONCE);
    let mut done = 0;
    while deleted.try_next().await?.is_some() {
        done += 1;
        tell(PrunePhase::Delete, done, total);
    }
    Ok(())
}

async fn rewrite(core: &Arc<Core>, survey: &Survey, outdated: &[usize], condemned: &Names) -> Result<()> {
    let gone: HashSet<PackId> = condemned.packs.iter().copied().collect();
    let mut elsewhere: HashSet<PackId> = HashSet::new();
    let mut next = outdated.iter().peekable();
    for (at, index) in survey.indexes.iter().enumerate() {
        if next.next_if(|outdated| **outdated == at).is_none() {
            elsewhere.extend(index.packs.iter().map(|pack| survey.packs[*pack as usize].id));
        }
    }
    let mut table = IndexTable::default();
    for at in outdated {
        let key = survey.indexes[*at].key.clone();
        let body = match core.store.get(ObjectKind::Index, &key).await {
            // Another run was faster, or this one was killed after it had been replaced.
            Err(Error::Missing { .. }) => continue,
            body => body?,
        };
        let keys = Arc::clone(&core.keys);
        let old = core.pool.run(move || IndexTable::open(&keys, &key, &body)).await?;
        let IndexTable { packs, rows } = old;
        let mut kept: Vec<Option<u32>> = Vec::with_capacity(packs.len());
        for pack in packs {
            let keep = !gone.contains(&pack.id) && elsewhere.insert(pack.id);
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
    for at in outdated {
        core.store.delete(&survey.indexes[*at].key).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(rows: usize, packs: &[u32]) -> IndexFacts {
        IndexFacts { key: String::new(), rows, packs: packs.to_vec() }
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
        ];
        for (what, indexes, expected) in cases {
            assert_eq!(outdated(&indexes, |pack| pack == 2, 1_000), expected, "{what}");
        }
    }
}
