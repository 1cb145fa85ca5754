//! One page of a list: either chunk ids with lengths, or the pages below with what they cover.

use crate::chunker::LONGEST_CHUNK;
use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::seal::{SealedKind, open_object, seal_object};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{ChunkId, ListId};
use crate::stream::ChunkRef;
use crate::wire::{Cursor, put_u32, put_u64};

/// A page below another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) id: ListId,
    /// Bytes of the stream under it.
    pub(crate) bytes: u64,
    /// Chunks under it.
    pub(crate) chunks: u64,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// Chunks, in the order of the stream.
    Leaf(Vec<ChunkRef>),
    /// Pages, in the order of the stream, all of the level one below.
    Node { level: u8, children: Vec<Child> },
}

impl Page {
    /// Bytes and chunks of the stream under this page.
    pub(crate) fn totals(&self) -> (u64, u64) {
        match self {
            Self::Leaf(chunks) => (chunks.iter().map(|chunk| u64::from(chunk.length)).sum(), chunks.len() as u64),
            Self::Node { children, .. } => children.iter().fold((0, 0), |(bytes, chunks), child| {
                (bytes.saturating_add(child.bytes), chunks.saturating_add(child.chunks))
            }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Leaf(chunks) => {
                let mut out = Vec::with_capacity(8 + chunks.len() * 36);
                put_u32(&mut out, 0);
                put_u32(&mut out, chunks.len() as u32);
                for chunk in chunks {
                    out.extend_from_slice(&chunk.id.0);
                    put_u32(&mut out, chunk.length);
                }
                out
            }
            Self::Node { level, children } => {
                let mut out = Vec::with_capacity(8 + children.len() * 48);
                put_u32(&mut out, u32::from(*level));
                put_u32(&mut out, children.len() as u32);
                for child in children {
                    out.extend_from_slice(&child.id.0);
                    put_u64(&mut out, child.bytes);
                    put_u64(&mut out, child.chunks);
                }
                out
            }
        }
    }

    fn parse(plain: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(plain);
        let level = u8::try_from(cursor.u32()?).ok()?;
        let count = cursor.u32()?;
        let page = if level == 0 {
            let mut chunks = Vec::new();
            for _ in 0..count {
                let chunk = ChunkRef { id: ChunkId(cursor.array()?), length: cursor.u32()? };
                if chunk.length > LONGEST_CHUNK {
                    return None;
                }
                chunks.push(chunk);
            }
            Self::Leaf(chunks)
        } else {
            let mut children = Vec::new();
            for _ in 0..count {
                children.push(Child { id: ListId(cursor.array()?), bytes: cursor.u64()?, chunks: cursor.u64()? });
            }
            Self::Node { level, children }
        };
        cursor.is_empty().then_some(page)
    }

    /// Seals and names the page. Equal pages become equal objects.
    ///
    /// A name that `marked` knows is not used: whatever bears it may be deleted before anything names it.
    pub(crate) fn seal(&self, keys: &DomainKeys, marked: impl Fn(&ListId) -> bool) -> Result<(ListId, Vec<u8>)> {
        let plain = self.encode();
        let mut variant = 0;
        loop {
            let body = seal_object(&keys.content_sealer(SealedKind::List, &plain, variant)?, &plain, "")?;
            let id = ListId(*blake3::hash(&body).as_bytes());
            if !marked(&id) {
                return Ok((id, body));
            }
            variant += 1;
        }
    }

    /// Opens a page. Its name is verified too: another page of the domain must not stand in for it.
    pub(crate) fn open(keys: &DomainKeys, id: &ListId, object: &str, body: &[u8]) -> Result<Self> {
        let plain = open_object(keys, SealedKind::List, object, body, "")?;
        if *blake3::hash(body).as_bytes() != id.0 {
            return Err(Error::damaged(ObjectKind::List, object, "its content is that of another page"));
        }
        Self::parse(&plain).ok_or_else(|| Error::damaged(ObjectKind::List, object, "its table makes no sense"))
    }
}
