//! Walking a list in stream order, a leaf page at a time; pages outside the wanted range are not read.

use std::ops::Range;
use std::sync::Arc;

use super::page::{Child, Page};
use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::ListId;
use crate::prune::marks::Marks;
use crate::stream::{ChunkRef, StreamContent, StreamRoot};

/// Chunks that follow one another in a stream.
pub(crate) struct Run {
    /// Where the first one starts.
    pub(crate) start: u64,
    pub(crate) chunks: Vec<ChunkRef>,
}

/// A page to be read, and what the page above says of it.
struct Pending {
    id: ListId,
    start: u64,
    bytes: u64,
    chunks: u64,
    /// `None` for the root, which says its level itself.
    level: Option<u8>,
}

/// Walks one stream's list.
pub(crate) struct Walker {
    wanted: Range<u64>,
    inline: Option<Vec<ChunkRef>>,
    /// Last one first.
    pending: Vec<Pending>,
    /// Pages that it condemns count as missing.
    refusing: Option<Arc<Marks>>,
    /// The pages that it has read, where somebody wants to know.
    read: Option<Vec<ListId>>,
}

impl Walker {
    pub(crate) fn new(root: &StreamRoot, wanted: Range<u64>) -> Result<Self> {
        let mut walker = Self { wanted, inline: None, pending: Vec::new(), refusing: None, read: None };
        match &root.content {
            StreamContent::Inline(chunks) => {
                let bytes: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
                if (bytes, chunks.len() as u64) != (root.bytes, root.chunks) {
                    return Err(Error::Invalid(format!("the root of stream {:?} contradicts itself", root.name)));
                }
                walker.inline = Some(chunks.clone());
            }
            StreamContent::Pages(id) => {
                walker.pending.push(Pending { id: *id, start: 0, bytes: root.bytes, chunks: root.chunks, level: None });
            }
        }
        Ok(walker)
    }

    /// Refuses pages that are about to be deleted.
    pub(crate) fn refusing(mut self, marks: Option<&Arc<Marks>>) -> Self {
        self.refusing = marks.map(Arc::clone);
        self
    }

    /// Notes the pages that it reads.
    pub(crate) fn noting(mut self, pages: bool) -> Self {
        self.read = pages.then(Vec::new);
        self
    }

    /// The next run of chunks, or the failure of one page. After a failure the walk goes on behind that page.
    pub(crate) async fn next(&mut self, core: &Arc<Core>) -> Result<Option<Run>> {
        if let Some(chunks) = self.inline.take() {
            return Ok(Some(Run { start: 0, chunks }));
        }
        while let Some(next) = self.pending.pop() {
            if next.start >= self.wanted.end || next.start.saturating_add(next.bytes) <= self.wanted.start {
                continue;
            }
            if self.refusing.as_ref().is_some_and(|marks| marks.condemns_list(&next.id)) {
                return Err(Error::Missing { kind: ObjectKind::List, object: core.layout.list(&next.id) });
            }
            let page = read(core, &next).await?;
            self.read.iter_mut().for_each(|read| read.push(next.id));
            match page {
                Page::Leaf(chunks) => return Ok(Some(Run { start: next.start, chunks })),
                Page::Node { level, children } => self.descend(next.start, level, &children),
            }
        }
        Ok(None)
    }

    /// The pages that were read since this was asked last, where they are noted.
    pub(crate) fn take_read(&mut self) -> Vec<ListId> {
        self.read.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn descend(&mut self, start: u64, level: u8, children: &[Child]) {
        let mut start = start;
        let first = self.pending.len();
        for child in children {
            self.pending.push(Pending {
                id: child.id,
                start,
                bytes: child.bytes,
                chunks: child.chunks,
                level: Some(level - 1),
            });
            start = start.saturating_add(child.bytes);
        }
        self.pending[first..].reverse();
    }
}

async fn read(core: &Arc<Core>, wanted: &Pending) -> Result<Page> {
    let object = core.layout.list(&wanted.id);
    let body = core.store.get(ObjectKind::List, &object).await?;
    let (keys, id, name) = (Arc::clone(&core.keys), wanted.id, object.clone());
    let page = core.pool.run(move || Page::open(&keys, &id, &name, &body)).await?;
    let level = match &page {
        Page::Leaf(_) => 0,
        Page::Node { level, .. } => *level,
    };
    if page.totals() != (wanted.bytes, wanted.chunks) || wanted.level.is_some_and(|wanted| wanted != level) {
        return Err(Error::damaged(ObjectKind::List, &object, "it does not cover what the page above says"));
    }
    Ok(page)
}
