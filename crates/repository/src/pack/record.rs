//! What is known of a stored chunk: the row that pack tables and index objects share.

use crate::chunker::LONGEST_CHUNK;
use crate::codec::Codec;
use crate::ids::ChunkId;
use crate::wire::{Cursor, put_u32};

/// Length of a row without base and sketch.
pub(crate) const FIXED_LENGTH: usize = 52;

const HAS_BASE: u8 = 1;
const HAS_SKETCH: u8 = 2;

/// Whether a chunk stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    /// The whole content.
    Whole = 0,
    /// A difference to the chunk named as base, which is whole.
    Delta = 1,
}

/// A stored chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkRecord {
    pub(crate) id: ChunkId,
    pub(crate) kind: ChunkKind,
    pub(crate) codec: Codec,
    /// Its number within the pack, which its nonce is made from.
    pub(crate) position: u32,
    /// Where its sealed bytes start within the pack.
    pub(crate) offset: u32,
    /// How many they are, tag included.
    pub(crate) stored: u32,
    /// Length of the content.
    pub(crate) plain: u32,
    pub(crate) base: Option<ChunkId>,
    /// What finds similar chunks; opaque here, its first byte names the scheme.
    pub(crate) sketch: Option<Box<[u8]>>,
}

/// Why a row could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadRecord {
    CutOff,
    Nonsense,
}

impl ChunkRecord {
    /// Length of the row that [`ChunkRecord::put`] writes.
    pub(crate) fn row_length(&self) -> usize {
        FIXED_LENGTH + self.base.map_or(0, |base| base.0.len()) + self.sketch.as_deref().map_or(0, <[u8]>::len)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let sketch = self.sketch.as_deref().unwrap_or_default();
        let flags = if self.base.is_some() { HAS_BASE } else { 0 } | if self.sketch.is_some() { HAS_SKETCH } else { 0 };
        out.extend_from_slice(&self.id.0);
        // A sketch is at most 255 bytes long: whoever makes one keeps to that.
        out.extend_from_slice(&[self.kind as u8, self.codec as u8, flags, sketch.len() as u8]);
        for value in [self.position, self.offset, self.stored, self.plain] {
            put_u32(out, value);
        }
        if let Some(base) = &self.base {
            out.extend_from_slice(&base.0);
        }
        out.extend_from_slice(sketch);
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Result<Self, BadRecord> {
        let mut fixed = Cursor::new(cursor.take(FIXED_LENGTH).ok_or(BadRecord::CutOff)?);
        let id = ChunkId(fixed.array().ok_or(BadRecord::CutOff)?);
        let [kind, codec, flags, sketch] = fixed.array().ok_or(BadRecord::CutOff)?;
        let mut number = || fixed.u32().ok_or(BadRecord::CutOff);
        let (position, offset, stored, plain) = (number()?, number()?, number()?, number()?);
        let base = match flags & HAS_BASE {
            0 => None,
            _ => Some(ChunkId(cursor.array().ok_or(BadRecord::CutOff)?)),
        };
        let sketch_bytes = cursor.take(usize::from(sketch)).ok_or(BadRecord::CutOff)?;
        let sketch = (flags & HAS_SKETCH != 0).then(|| sketch_bytes.into());
        let (kind, codec) = match (kind, base, Codec::from_byte(codec)) {
            (0, None, Some(codec)) => (ChunkKind::Whole, codec),
            (1, Some(_), Some(codec @ Codec::Zstd)) => (ChunkKind::Delta, codec),
            _ => return Err(BadRecord::Nonsense),
        };
        if flags & !(HAS_BASE | HAS_SKETCH) != 0 || plain > LONGEST_CHUNK || offset.checked_add(stored).is_none() {
            return Err(BadRecord::Nonsense);
        }
        Ok(Self { id, kind, codec, position, offset, stored, plain, base, sketch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_with_and_without_base_and_sketch() {
        let plain = ChunkRecord {
            id: ChunkId([1; 32]),
            kind: ChunkKind::Whole,
            codec: Codec::Raw,
            position: 2,
            offset: 3,
            stored: 4,
            plain: 5,
            base: None,
            sketch: None,
        };
        let delta = ChunkRecord {
            kind: ChunkKind::Delta,
            codec: Codec::Zstd,
            base: Some(ChunkId([9; 32])),
            sketch: Some(vec![1, 2, 3].into()),
            ..plain.clone()
        };
        for record in [plain, delta] {
            let mut bytes = Vec::new();
            record.put(&mut bytes);
            assert_eq!(record.row_length(), bytes.len());
            let mut cursor = Cursor::new(&bytes);
            assert_eq!(ChunkRecord::take(&mut cursor), Ok(record));
            assert!(cursor.is_empty());
            for cut in 0..bytes.len() {
                assert!(ChunkRecord::take(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
            }
        }
    }
}
