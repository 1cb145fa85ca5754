//! The row of a local segment: a chunk's place in 64 bytes, so that a row can be found by arithmetic.

use super::doubtful::Doubtful;
use crate::codec::Codec;
use crate::ids::ChunkId;
use crate::pack::record::{ChunkKind, ChunkRecord};
use crate::wire::Cursor;

/// The rank that no other row of a chunk exceeds.
pub(crate) const BEST: u8 = 4;
/// Length of a row on disk.
pub(crate) const ROW_LENGTH: usize = 64;

/// A chunk's place. What seldom exists (base, sketch) lies in a file aside, at `extra` less one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: ChunkId,
    pub(crate) kind: u8,
    pub(crate) codec: u8,
    /// Number of the pack in the local table of packs.
    pub(crate) pack: u32,
    pub(crate) position: u32,
    pub(crate) offset: u32,
    pub(crate) stored: u32,
    pub(crate) plain: u32,
    pub(crate) extra: u64,
}

impl Row {
    pub(crate) fn of(record: &ChunkRecord, pack: u32, extra: u64) -> Self {
        Self {
            id: record.id,
            kind: record.kind as u8,
            codec: record.codec as u8,
            pack,
            position: record.position,
            offset: record.offset,
            stored: record.stored,
            plain: record.plain,
            extra,
        }
    }

    /// The record again, without base and sketch.
    pub(crate) fn record(&self) -> ChunkRecord {
        ChunkRecord {
            id: self.id,
            kind: if self.kind == ChunkKind::Delta as u8 { ChunkKind::Delta } else { ChunkKind::Whole },
            codec: if self.codec == Codec::Raw as u8 { Codec::Raw } else { Codec::Zstd },
            position: self.position,
            offset: self.offset,
            stored: self.stored,
            plain: self.plain,
            base: None,
            sketch: None,
        }
    }

    /// Which of several rows of a chunk is to be used, the greater the better: none of a pack that is missing, and none of a
    /// delta where the chunk is stored whole as well, be it in a pack that is marked: it may be the base of others, which a
    /// delta cannot be. A prune prefers the same, so that a whole chunk which a point needs never stays marked.
    pub(crate) fn rank(&self, doubtful: &Doubtful) -> u8 {
        let whole = self.kind == ChunkKind::Whole as u8;
        match (doubtful.is_missing(self.pack), doubtful.contains(self.pack)) {
            (true, _) => 0,
            (false, in_doubt) => 1 + 2 * u8::from(whole) + u8::from(!in_doubt),
        }
    }

    /// What rows are ordered by before their whole id is looked at.
    pub(crate) fn key(&self) -> u64 {
        key(&self.id)
    }

    pub(crate) fn to_bytes(self) -> [u8; ROW_LENGTH] {
        let mut out = [0; ROW_LENGTH];
        out[..32].copy_from_slice(&self.id.0);
        out[32] = self.kind;
        out[33] = self.codec;
        for (at, value) in
            [(36, self.pack), (40, self.position), (44, self.offset), (48, self.stored), (52, self.plain)]
        {
            out[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        out[56..].copy_from_slice(&self.extra.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let id = ChunkId(cursor.array()?);
        let [kind, codec, _, _] = cursor.array()?;
        Some(Self {
            id,
            kind,
            codec,
            pack: cursor.u32()?,
            position: cursor.u32()?,
            offset: cursor.u32()?,
            stored: cursor.u32()?,
            plain: cursor.u32()?,
            extra: cursor.u64()?,
        })
    }
}

/// The first eight bytes of an id, as a number that sorts as the id does.
pub(crate) fn key(id: &ChunkId) -> u64 {
    id.0[..8].iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::super::doubtful::Doubt;
    use super::*;

    #[test]
    fn a_row_survives_the_disk() {
        let row = Row {
            id: ChunkId(std::array::from_fn(|at| at as u8)),
            kind: 1,
            codec: 1,
            pack: 3,
            position: 4,
            offset: 5,
            stored: 6,
            plain: 7,
            extra: 8,
        };
        assert_eq!(Row::from_bytes(&row.to_bytes()), Some(row));
        assert_eq!(row.key(), 0x0001_0203_0405_0607);
    }

    #[test]
    fn a_whole_chunk_goes_before_a_delta_and_only_then_a_pack_in_doubt_matters() {
        let mut doubtful = Doubtful::default();
        doubtful.insert(1, Doubt::Marked);
        doubtful.insert(2, Doubt::Missing);
        let row = |kind: ChunkKind, pack| Row {
            id: ChunkId([0; 32]),
            kind: kind as u8,
            codec: 1,
            pack,
            position: 0,
            offset: 0,
            stored: 1,
            plain: 1,
            extra: 0,
        };
        let best_first = [(ChunkKind::Whole, 0), (ChunkKind::Whole, 1), (ChunkKind::Delta, 0), (ChunkKind::Delta, 1)];
        let ranks = best_first.map(|(kind, pack)| row(kind, pack).rank(&doubtful));
        assert_eq!(ranks[0], BEST);
        assert!(ranks.is_sorted_by(|better, worse| better > worse), "{ranks:?}");
        assert!([ChunkKind::Whole, ChunkKind::Delta].iter().all(|kind| row(*kind, 2).rank(&doubtful) < ranks[3]));
    }
}
