//! Loading the index for a check: what does not open is a finding, and the rest is used.

use std::sync::Arc;

use super::Checked;
use super::report::Reporter;
use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::IndexId;
use crate::index::object::IndexTable;

const CONSEQUENCE: &str = "the chunks it names are not found, and streams that need them not readable, until the index is rebuilt from the packs";

/// A handle with an index of what could be opened, and the number of rows of each pack by its local number.
pub(super) async fn load(core: &Core, reporter: &Reporter) -> Result<(Checked, Vec<u32>)> {
    let prefix = core.layout.indexes();
    let objects = core.store.list_all(&prefix).await?;
    let loaded = core.loader().empty(objects.iter().map(|object| object.size).sum()).await?;
    let mut rows: Vec<u32> = Vec::new();
    for object in objects {
        let key = object.key;
        let opened = async {
            let body = core.store.get(ObjectKind::Index, &key).await?;
            let (keys, index, name) = (Arc::clone(&core.keys), Arc::clone(&loaded.index), key.clone());
            let hash = key[prefix.len()..].parse::<IndexId>();
            let job = move || {
                if hash != Ok(IndexId(*blake3::hash(&body).as_bytes())) {
                    return Err(Error::damaged(ObjectKind::Index, &name, "its content does not match its name"));
                }
                let table = IndexTable::open(&keys, &name, &body)?;
                Ok((index.add(&table)?, table.rows_per_pack()))
            };
            core.pool.run(job).await
        };
        if let Some((first, counts)) = reporter.take(opened.await, CONSEQUENCE)? {
            rows.resize(first as usize, 0);
            rows.extend(counts);
        }
        // Seen either way: a later look at the store must not trip over it again.
        loaded.note(key).await;
    }
    let index = Arc::clone(&loaded.index);
    core.pool.run(move || index.compact()).await?;
    Ok((Arc::new(core.with_index(loaded)), rows))
}
