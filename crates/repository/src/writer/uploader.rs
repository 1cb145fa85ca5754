//! The one task that writes packs and index objects, in that order: an index object names only packs that are durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc::UnboundedReceiver;

use super::buffers::Permit;
use super::shared::{Finished, Shared};
use crate::error::Result;
use crate::index::object::{IndexTable, PackEntry};
use crate::pack::builder::BuiltPack;
use crate::pack::record::ChunkRecord;

/// Packs after which an index object is written however few chunks they hold: what a writer that dies has stored since
/// its last index object is stored again by the next.
const PACKS_PER_INDEX: usize = 16;

/// Runs until it is told to close, or something fails.
pub(super) async fn run(shared: Arc<Shared>, finished: UnboundedReceiver<Finished>) -> Result<()> {
    let result = upload(&shared, finished).await;
    shared.watch(result)
}

async fn upload(shared: &Arc<Shared>, mut finished: UnboundedReceiver<Finished>) -> Result<()> {
    let mut packs = FuturesUnordered::new();
    // Driven beside the packs, never instead of them: sealing an index object waits for the pool, whose threads may all be
    // waiting for a pack to be uploaded.
    let mut indexes = FuturesUnordered::new();
    let mut table = IndexTable::default();
    let mut closed = false;
    loop {
        if closed && packs.is_empty() && !table.packs.is_empty() {
            indexes.push(put_index(shared, std::mem::take(&mut table)));
        }
        if closed && packs.is_empty() && indexes.is_empty() {
            return Ok(());
        }
        tokio::select! {
            message = finished.recv(), if !closed => match message {
                Some(Finished::Pack(pack, permit)) => packs.push(put_pack(shared, pack, permit)),
                Some(Finished::Close) | None => closed = true,
            },
            Some(done) = packs.next() => {
                let (pack, records) = done?;
                table.add_pack(pack, records);
                if table.rows.len() >= shared.core.plan.index_object_rows || table.packs.len() >= PACKS_PER_INDEX {
                    indexes.push(put_index(shared, std::mem::take(&mut table)));
                }
            }
            Some(done) = indexes.next() => done?,
        }
    }
}

async fn put_pack(shared: &Arc<Shared>, pack: BuiltPack, permit: Permit) -> Result<(PackEntry, Vec<ChunkRecord>)> {
    let BuiltPack { id, salt, body, records } = pack;
    let size = body.len() as u64;
    shared.core.store.put_content(&shared.core.layout.pack(&id), body.clone()).await?;
    shared.uploaded(body, permit);
    shared.stats.bytes_stored.fetch_add(size, Ordering::Relaxed);
    Ok((PackEntry { id, salt, size }, records))
}

async fn put_index(shared: &Arc<Shared>, mut table: IndexTable) -> Result<()> {
    let keys = Arc::clone(&shared.core.keys);
    let (table, id, body) = shared
        .core
        .pool
        .run(move || {
            let (id, body) = table.seal(&keys)?;
            Ok((table, id, body))
        })
        .await?;
    let key = shared.core.layout.index(&id);
    let size = body.len() as u64;
    shared.core.store.put_content(&key, Bytes::from(body)).await?;
    shared.stats.bytes_stored.fetch_add(size, Ordering::Relaxed);
    shared.loaded.note(key).await;
    let adding = Arc::clone(shared);
    shared
        .core
        .pool
        .run(move || {
            adding.index.add(&table, |_| None)?;
            adding.settled(table.rows.iter().map(|(_, record)| &record.id));
            Ok(())
        })
        .await
}
