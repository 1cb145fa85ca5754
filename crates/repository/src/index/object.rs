//! Index objects: a table of packs, then rows that point into it, sorted by chunk id.

use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::seal::{SALT_LENGTH, SealedKind, open_object, seal_object};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{IndexId, PackId};
use crate::pack::record::{ChunkRecord, FIXED_LENGTH};
use crate::wire::{Cursor, put_u32, put_u64};

/// A pack as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackEntry {
    pub(crate) id: PackId,
    pub(crate) salt: [u8; SALT_LENGTH],
    /// Length of the object.
    pub(crate) size: u64,
}

pub(crate) const PACK_ENTRY_LENGTH: usize = 72;

impl PackEntry {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.salt);
        put_u64(out, self.size);
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { id: PackId(cursor.array()?), salt: cursor.array()?, size: cursor.u64()? })
    }
}

/// The content of an index object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexTable {
    pub(crate) packs: Vec<PackEntry>,
    /// Rows with the number of their pack in `packs`.
    pub(crate) rows: Vec<(u32, ChunkRecord)>,
}

impl IndexTable {
    pub(crate) fn add_pack(&mut self, pack: PackEntry, records: Vec<ChunkRecord>) {
        let number = self.packs.len() as u32;
        self.packs.push(pack);
        self.rows.extend(records.into_iter().map(|record| (number, record)));
    }

    /// Sorts, seals and names the object.
    pub(crate) fn seal(&mut self, keys: &DomainKeys) -> Result<(IndexId, Vec<u8>)> {
        self.rows.sort_by_key(|(_, record)| record.id);
        let mut plain =
            Vec::with_capacity(8 + self.packs.len() * PACK_ENTRY_LENGTH + self.rows.len() * (FIXED_LENGTH + 4));
        put_u32(&mut plain, self.packs.len() as u32);
        put_u32(&mut plain, self.rows.len() as u32);
        for pack in &self.packs {
            pack.put(&mut plain);
        }
        for (pack, record) in &self.rows {
            put_u32(&mut plain, *pack);
            record.put(&mut plain);
        }
        let body = seal_object(&keys.new_sealer(SealedKind::Index)?, &plain, "")?;
        Ok((IndexId(*blake3::hash(&body).as_bytes()), body))
    }

    /// Opens an index object.
    pub(crate) fn open(keys: &DomainKeys, object: &str, body: &[u8]) -> Result<Self> {
        let plain = open_object(keys, SealedKind::Index, object, body, "")?;
        Self::parse(&plain).ok_or_else(|| Error::damaged(ObjectKind::Index, object, "its table makes no sense"))
    }

    fn parse(plain: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(plain);
        let (packs, rows) = (cursor.u32()?, cursor.u32()?);
        let mut table = Self::default();
        for _ in 0..packs {
            table.packs.push(PackEntry::take(&mut cursor)?);
        }
        for _ in 0..rows {
            let pack = cursor.u32()?;
            let record = ChunkRecord::take(&mut cursor).ok()?;
            let within = table.packs.get(pack as usize)?.size >= u64::from(record.offset) + u64::from(record.stored);
            if !within {
                return None;
            }
            table.rows.push((pack, record));
        }
        cursor.is_empty().then_some(table)
    }

    /// How many rows each pack has, in the order of `packs`.
    pub(crate) fn rows_per_pack(&self) -> Vec<u32> {
        let mut counts = vec![0; self.packs.len()];
        for (pack, _) in &self.rows {
            counts[*pack as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Codec;
    use crate::crypto::DomainKey;
    use crate::ids::ChunkId;
    use crate::pack::record::ChunkKind;

    fn keys() -> DomainKeys {
        DomainKeys::derive(&"dom-a".parse().unwrap(), &DomainKey::generate().unwrap())
    }

    fn record(seed: u8, base: bool) -> ChunkRecord {
        ChunkRecord {
            id: ChunkId([seed; 32]),
            kind: if base { ChunkKind::Delta } else { ChunkKind::Whole },
            codec: Codec::Zstd,
            position: u32::from(seed),
            offset: 48,
            stored: 100,
            plain: 200,
            base: base.then_some(ChunkId([!seed; 32])),
            sketch: base.then(|| vec![1, seed].into()),
        }
    }

    proptest! {
        #[test]
        fn a_table_comes_back_sorted_and_damage_never_panics(
            packs in prop::collection::vec(prop::collection::vec((any::<u8>(), any::<bool>()), 0..20), 0..5),
            at in any::<prop::sample::Index>(),
            with in 1_u8..,
        ) {
            let keys = keys();
            let mut table = IndexTable::default();
            for (number, rows) in packs.iter().enumerate() {
                let pack = PackEntry { id: PackId([number as u8; 32]), salt: [7; 32], size: 1_000 };
                table.add_pack(pack, rows.iter().map(|(seed, base)| record(*seed, *base)).collect());
            }
            let (id, body) = table.seal(&keys).unwrap();
            prop_assert_eq!(id.0, *blake3::hash(&body).as_bytes());
            prop_assert!(table.rows.is_sorted_by_key(|(_, record)| record.id));
            prop_assert_eq!(&IndexTable::open(&keys, "index", &body).unwrap(), &table);

            let mut damaged = body.clone();
            damaged[at.index(body.len())] ^= with;
            prop_assert!(IndexTable::open(&keys, "index", &damaged).is_err());
            // Whoever has the key may still write nonsense: it must not be believed, nor bring the reader down.
            let mut plain = open_object(&keys, SealedKind::Index, "index", &body, "").unwrap();
            plain[at.index(body.len()) % body.len().saturating_sub(64).max(1)] ^= with;
            let _ = IndexTable::parse(&plain);
            plain.pop();
            prop_assert!(IndexTable::parse(&plain).is_none_or(|parsed| parsed != table));
        }
    }
}
