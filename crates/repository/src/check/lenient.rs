//! Loading the index for a check: what does not open is a finding, and the rest is used.

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::Checked;
use super::report::Reporter;
use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::IndexId;
use crate::index::doubtful::Doubt;
use crate::index::listing::PackListing;
use crate::index::local::LocalIndex;
use crate::index::object::IndexTable;
use crate::prune::marks::Marks;

/// Index objects fetched at once.
const AT_ONCE: usize = 4;

const CONSEQUENCE: &str = "the chunks it names are not found, and streams that need them not readable, until the index is rebuilt from the packs";

/// What hangs on the prune record.
const UNKNOWN: &str = "what is stored can be read, and restored, but no backup can be made and nothing deleted until the record is \
                       removed, as docs/failures.md says";

/// A handle with an index of what could be opened, and the number of rows of each pack by its local number.
pub(super) async fn load(core: &Core, reporter: &Reporter) -> Result<(Checked, Vec<u32>)> {
    let prefix = core.layout.indexes();
    let objects = core.store.list_all(&prefix).await?;
    let marks = Marks::read(&core.store, &core.layout, &core.keys).await?;
    reporter.take(marks.known(), UNKNOWN)?;
    let loaded = core.loader().empty(objects.iter().map(|object| object.size).sum()).await?.with_marks(marks);
    let packs = Arc::new(PackListing::read(&core.store, &core.layout).await?);
    let mut rows: Vec<u32> = Vec::new();
    let mut opened = stream::iter(objects.into_iter().map(|object| object.key))
        .map(|key| {
            let (index, packs) = (Arc::clone(&loaded.index), Arc::clone(&packs));
            let hash = key[prefix.len()..].parse::<IndexId>();
            async move { (open(core, index, packs, &key, hash.ok()).await, key) }
        })
        .buffer_unordered(AT_ONCE);
    while let Some((result, key)) = opened.next().await {
        if let Some((first, counts)) = reporter.take(result, CONSEQUENCE)? {
            let (first, end) = (first as usize, first as usize + counts.len());
            rows.resize(rows.len().max(end), 0);
            rows[first..end].copy_from_slice(&counts);
        }
        // Seen either way: a later look at the store must not trip over it again.
        loaded.note(key).await;
    }
    drop(opened);
    let index = Arc::clone(&loaded.index);
    core.pool.run(move || index.compact()).await?;
    Ok((Arc::new(core.with_index(Arc::new(loaded))), rows))
}

/// Adds an index object. Gives the local number of its first pack, and the number of rows of each.
async fn open(
    core: &Core,
    index: Arc<LocalIndex>,
    packs: Arc<PackListing>,
    key: &str,
    hash: Option<IndexId>,
) -> Result<(u32, Vec<u32>)> {
    let body = core.store.get(ObjectKind::Index, key).await?;
    let (keys, name) = (Arc::clone(&core.keys), key.to_owned());
    let job = move || {
        if hash != Some(IndexId(*blake3::hash(&body).as_bytes())) {
            return Err(Error::damaged(ObjectKind::Index, &name, "its content does not match its name"));
        }
        let table = IndexTable::open(&keys, &name, &body)?;
        Ok((index.add(&table, |pack| (!packs.has(pack)).then_some(Doubt::Missing))?, table.rows_per_pack()))
    };
    core.pool.run(job).await
}
