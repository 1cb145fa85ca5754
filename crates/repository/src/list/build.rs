//! Filling the list tree of a stream. Pages end where the ids say so, not at fixed counts, so that a change in a stream
//! makes new pages near it and the others are the ones already stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::page::{Child, Page};
use crate::error::{ObjectKind, Result};
use crate::ids::ListId;
use crate::stream::{ChunkRef, StreamContent};
use crate::writer::shared::Shared;

/// A stream of up to this many chunks has no page: its ids stand in its root.
const INLINE: usize = 32;
/// Rows of a page: at least, on average twice that, at most.
const FEWEST: usize = 1 << 12;
const MOST: usize = 1 << 14;

/// Whether a page may end after this id.
fn ends(id: &[u8; 32], rows: usize) -> bool {
    rows >= MOST || (rows >= FEWEST && u16::from_le_bytes([id[0], id[1]]) & 0x0FFF == 0)
}

/// Builds the list of one stream.
#[derive(Default)]
pub(crate) struct ListBuilder {
    leaf: Vec<ChunkRef>,
    /// Open nodes, lowest level first.
    nodes: Vec<Vec<Child>>,
}

impl ListBuilder {
    pub(crate) async fn push(&mut self, shared: &Arc<Shared>, chunk: ChunkRef) -> Result<()> {
        self.leaf.push(chunk);
        if ends(&chunk.id.0, self.leaf.len()) {
            let page = Page::Leaf(std::mem::take(&mut self.leaf));
            self.store(shared, page, 0).await?;
        }
        Ok(())
    }

    /// Stores a page of `level` and hangs it into the tree.
    async fn store(&mut self, shared: &Arc<Shared>, page: Page, level: usize) -> Result<()> {
        let (mut page, mut level) = (page, level);
        loop {
            let child = put(shared, page).await?;
            if self.nodes.len() == level {
                self.nodes.push(Vec::new());
            }
            let node = &mut self.nodes[level];
            node.push(child);
            if !ends(&child.id.0, node.len()) {
                return Ok(());
            }
            level += 1;
            page = Page::Node { level: level as u8, children: std::mem::take(&mut self.nodes[level - 1]) };
        }
    }

    pub(crate) async fn finish(mut self, shared: &Arc<Shared>) -> Result<StreamContent> {
        if self.nodes.is_empty() && self.leaf.len() <= INLINE {
            return Ok(StreamContent::Inline(self.leaf));
        }
        if !self.leaf.is_empty() {
            let page = Page::Leaf(std::mem::take(&mut self.leaf));
            self.store(shared, page, 0).await?;
        }
        let mut level = 0;
        loop {
            let children = std::mem::take(&mut self.nodes[level]);
            let top = level + 1 == self.nodes.len();
            match children.as_slice() {
                [] => {}
                [only] if top => return Ok(StreamContent::Pages(only.id)),
                _ => {
                    let page = Page::Node { level: level as u8 + 1, children };
                    self.store(shared, page, level + 1).await?;
                }
            }
            level += 1;
        }
    }
}

/// Stores a page, unless an equal one is there. One that bears its name and is not equal to it is damaged: nothing new may
/// rely on it, so the page takes another name.
async fn put(shared: &Arc<Shared>, page: Page) -> Result<Child> {
    let (bytes, chunks) = page.totals();
    let page = Arc::new(page);
    let mut spoilt: Vec<ListId> = Vec::new();
    loop {
        let (keys, marks) = (Arc::clone(&shared.core.keys), Arc::clone(shared.loaded.marks()?));
        let (sealed, avoided) = (Arc::clone(&page), spoilt.clone());
        let seal = move || sealed.seal(&keys, |id| marks.has_list(id) || avoided.contains(id));
        let (id, body): (ListId, Vec<u8>) = shared.core.pool.run(seal).await?;
        let (object, body) = (shared.core.layout.list(&id), Bytes::from(body));
        if shared.core.store.put_new(&object, body.clone()).await? {
            shared.stats.bytes_stored.fetch_add(body.len() as u64, Ordering::Relaxed);
            return Ok(Child { id, bytes, chunks });
        }
        if shared.core.store.find(ObjectKind::List, &object).await?.is_some_and(|there| there == body) {
            if let Some(began) = shared.began {
                shared.core.store.hold(ObjectKind::List, &object, began.needed).await?;
            }
            return Ok(Child { id, bytes, chunks });
        }
        tracing::warn!(object, "a list page is damaged; it is stored anew under another name");
        spoilt.push(id);
    }
}
