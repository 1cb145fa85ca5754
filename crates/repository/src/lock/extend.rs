//! Extending the locks of what a new point takes over, and of the point that it stands on.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::check::{PackSet, needed_packs, needed_packs_and_lists};
use crate::domain::Core;
use crate::error::{ObjectKind, Result};
use crate::index::load::LoadedIndex;
use crate::stream::StreamRoot;

/// Locks that are looked at, and extended, at once.
const AT_ONCE: usize = 64;

/// What a writer remembers for the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began {
    /// Everything has to be locked until then.
    pub(crate) needed: Timestamp,
    /// Packs from this number on are the writer's own, and locked long enough.
    pub(crate) first_own: u32,
}

/// Extends the locks of the packs that the streams of this catalogue need, bases of deltas included, and of the index objects.
/// Gives the number of locks that were extended. `loaded` is the index that the writer has used: numbers of packs mean nothing in
/// another one, and one that was loaded since need not know what this writer has stored.
pub(crate) async fn extend(
    core: &Arc<Core>,
    loaded: &Arc<LoadedIndex>,
    catalogue: &StreamRoot,
    began: Began,
) -> Result<u64> {
    let core = Arc::new(core.with_index(Arc::clone(loaded)));
    let store = &core.store;
    let of_packs = hold_packs(&core, loaded, &needed_packs(&core, catalogue).await?, began).await?;
    let indexes = store.list_all(&core.layout.indexes()).await?;
    let of_indexes = stream::iter(indexes)
        .map(|object| async move {
            match store.hold(ObjectKind::Index, &object.key, began.needed).await {
                // A prune has replaced it since it was listed, by ones that it has locked for long enough.
                Err(error) if error.is_absent() => Ok(false),
                held => held,
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |extended, more| async move { Ok(extended + u64::from(more)) })
        .await?;
    Ok(of_packs + of_indexes)
}

/// Extends the locks of the packs and the list pages that the streams of an earlier point's catalogue need, for a new point that
/// stands on it; the index objects are extended for the new point itself. Gives the number of locks that were extended.
pub(crate) async fn extend_foundation(
    core: &Arc<Core>,
    loaded: &Arc<LoadedIndex>,
    catalogue: &StreamRoot,
    began: Began,
) -> Result<u64> {
    let core = Arc::new(core.with_index(Arc::clone(loaded)));
    let (packs, lists) = needed_packs_and_lists(&core, catalogue).await?;
    let of_packs = hold_packs(&core, loaded, &packs, began).await?;
    let (store, layout) = (&core.store, &core.layout);
    let of_lists = stream::iter(lists)
        .map(|list| async move { store.hold(ObjectKind::List, &layout.list(&list), began.needed).await })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |extended, more| async move { Ok(extended + u64::from(more)) })
        .await?;
    Ok(of_packs + of_lists)
}

async fn hold_packs(core: &Core, loaded: &LoadedIndex, packs: &PackSet, began: Began) -> Result<u64> {
    let (index, store, layout) = (&loaded.index, &core.store, &core.layout);
    let numbers: Vec<u32> = packs.iter().filter(|number| *number < began.first_own).collect();
    stream::iter(numbers)
        .map(|number| async move {
            let key = layout.pack(&index.pack(number)?.id);
            store.hold(ObjectKind::Pack, &key, began.needed).await
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |extended, more| async move { Ok(extended + u64::from(more)) })
        .await
}
