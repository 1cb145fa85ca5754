//! Everything that points name: their list pages, and the ids of their chunks. Pages that several points share are read
//! once. What cannot be read stops a prune: as long as it is not known what a point needs, nothing may be deleted.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use haulier_domain::id::PointId;

use super::sorter::{Sorted, Sorter};
use super::usage::IdRecord;
use crate::catalogue::Catalogue;
use crate::domain::{Core, Domain};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{ChunkId, ListId};
use crate::list::page::Page;
use crate::stream::{StreamContent, StreamRoot};

/// Pages fetched at once.
const AT_ONCE: usize = 8;

/// Follows points.
pub(super) struct Walk {
    core: Arc<Core>,
    /// Pages by half of their names: sixteen bytes are as good as all of them, and there may be millions.
    pages: HashSet<[u8; 16]>,
    ids: Sorter<32>,
}

/// What points need.
pub(super) struct Needs {
    pages: HashSet<[u8; 16]>,
    /// Chunks, in order.
    pub(super) ids: Sorted<32>,
}

impl Needs {
    pub(super) fn page(&self, id: &ListId) -> bool {
        self.pages.contains(&half(id))
    }
}

fn half(id: &ListId) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&id.0[..16]);
    half
}

impl Walk {
    pub(super) fn new(core: &Arc<Core>, memory: usize) -> Self {
        Self { ids: Sorter::new(&core.folder, memory), core: Arc::clone(core), pages: HashSet::new() }
    }

    /// Takes note of everything a point names.
    pub(super) async fn point(&mut self, id: &PointId) -> Result<()> {
        let domain = Domain { core: Arc::clone(&self.core) };
        let root = domain.read_point(id).await?;
        self.stream(&root.manifest).await?;
        self.stream(&root.catalogue).await?;
        let mut catalogue = Catalogue::new(&domain, &root.catalogue);
        while let Some(root) = catalogue.next().await? {
            self.stream(&root).await?;
        }
        Ok(())
    }

    async fn stream(&mut self, root: &StreamRoot) -> Result<()> {
        let top = match &root.content {
            StreamContent::Inline(chunks) => return self.take(chunks.iter().map(|chunk| chunk.id).collect()).await,
            StreamContent::Pages(top) => *top,
        };
        let mut met = Vec::new();
        let walked = self.pages_under(top, &mut met).await;
        if walked.is_err() {
            // Other points may have them too: what hangs on them has not been looked at, or not all of it.
            for page in met {
                self.pages.remove(&page);
            }
        }
        walked
    }

    /// Follows a page down to its chunks. Those that nobody has met before are added to `met`.
    async fn pages_under(&mut self, top: ListId, met: &mut Vec<[u8; 16]>) -> Result<()> {
        let mut pending = Vec::from_iter(self.meet(&top, met).then_some(top));
        while !pending.is_empty() {
            let some = pending.split_off(pending.len().saturating_sub(AT_ONCE));
            let core = Arc::clone(&self.core);
            let mut pages = stream::iter(some).map(|id| read(&core, id)).buffer_unordered(AT_ONCE);
            let mut chunks = Vec::new();
            while let Some(page) = pages.try_next().await? {
                match page {
                    Page::Leaf(leaf) => chunks.extend(leaf.into_iter().map(|chunk| chunk.id)),
                    Page::Node { children, .. } => {
                        pending.extend(children.iter().map(|child| child.id).filter(|id| self.meet(id, met)));
                    }
                }
            }
            drop(pages);
            self.take(chunks).await?;
        }
        Ok(())
    }

    /// Whether the page is met for the first time.
    fn meet(&mut self, id: &ListId, met: &mut Vec<[u8; 16]>) -> bool {
        let new = self.pages.insert(half(id));
        if new {
            met.push(half(id));
        }
        new
    }

    async fn take(&mut self, chunks: Vec<ChunkId>) -> Result<()> {
        let empty = Sorter::new(&self.core.folder, 1);
        let mut ids = std::mem::replace(&mut self.ids, empty);
        let folder = self.core.folder.clone();
        let sort = move || {
            let pushed: io::Result<()> = chunks.into_iter().try_for_each(|id| ids.push(id.0));
            pushed.map(|()| ids).map_err(|source| Error::Local { doing: "writing", path: folder, source })
        };
        self.ids = self.core.pool.run(sort).await?;
        Ok(())
    }

    /// Everything that was found.
    pub(super) async fn finish(self) -> Result<Needs> {
        let Self { core, pages, ids } = self;
        let folder = core.folder.clone();
        let sort = move || ids.finish().map_err(|source| Error::Local { doing: "writing", path: folder, source });
        Ok(Needs { pages, ids: core.pool.run(sort).await? })
    }
}

async fn read(core: &Arc<Core>, id: ListId) -> Result<Page> {
    let object = core.layout.list(&id);
    let body = core.store.get(ObjectKind::List, &object).await?;
    let keys = Arc::clone(&core.keys);
    core.pool.run(move || Page::open(&keys, &id, &object, &body)).await
}

/// An id as it comes out of the sorter.
pub(super) fn chunk(record: IdRecord) -> ChunkId {
    ChunkId(record)
}
