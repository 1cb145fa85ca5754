//! Filling a pack. Chunks are sealed straight into the buffer that is uploaded.

use bytes::Bytes;

use super::record::ChunkRecord;
use crate::chunker::LONGEST_CHUNK;
use crate::crypto::TAG_LENGTH;
use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::seal::{HEADER_LENGTH, SALT_LENGTH, SealedKind, Sealer};
use crate::error::Result;
use crate::ids::PackId;
use crate::wire::put_u32;

/// Length of the trailer: table length, number of chunks, mark.
pub(crate) const TRAILER_LENGTH: usize = 16;
/// The mark at a pack's end.
pub(crate) const TRAILER_MARK: &[u8; 8] = b"HAULTAIL";

/// What a pack takes beside its chunks and their rows.
pub(crate) const OVERHEAD: usize = HEADER_LENGTH + TAG_LENGTH + TRAILER_LENGTH;

/// A pack being filled.
pub(crate) struct PackBuilder {
    sealer: Sealer,
    target: usize,
    buffer: Vec<u8>,
    records: Vec<ChunkRecord>,
}

/// A pack ready for upload.
pub(crate) struct BuiltPack {
    pub(crate) id: PackId,
    pub(crate) salt: [u8; SALT_LENGTH],
    pub(crate) body: Bytes,
    pub(crate) records: Vec<ChunkRecord>,
}

impl PackBuilder {
    /// `target`: length at which the pack is full. `buffer`: empty, perhaps an earlier pack's; its room is taken at once and never
    /// grows for usual chunks.
    pub(crate) fn new(keys: &DomainKeys, target: usize, mut buffer: Vec<u8>) -> Result<Self> {
        let sealer = keys.new_sealer(SealedKind::Pack)?;
        buffer.reserve(target + target / 16);
        sealer.put_header(&mut buffer);
        Ok(Self { sealer, target, buffer, records: Vec::new() })
    }

    /// Seals an encoded chunk into the pack; its place there replaces what the record says of one.
    pub(crate) fn add(&mut self, record: ChunkRecord, encoded: &[u8]) -> Result<()> {
        let start = self.buffer.len();
        let position = self.records.len() as u32;
        self.buffer.extend_from_slice(encoded);
        self.sealer.seal_tail(&mut self.buffer, start, u64::from(position), "")?;
        let stored = (encoded.len() + TAG_LENGTH) as u32;
        self.records.push(ChunkRecord { position, offset: start as u32, stored, ..record });
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= self.target
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Appends table and trailer. The table is the part after the last chunk.
    pub(crate) fn finish(mut self) -> Result<BuiltPack> {
        let start = self.buffer.len();
        for record in &self.records {
            record.put(&mut self.buffer);
        }
        let count = self.records.len() as u32;
        self.sealer.seal_tail(&mut self.buffer, start, u64::from(count), "")?;
        let table = (self.buffer.len() - start) as u32;
        put_u32(&mut self.buffer, table);
        put_u32(&mut self.buffer, count);
        self.buffer.extend_from_slice(TRAILER_MARK);
        let id = PackId(*blake3::hash(&self.buffer).as_bytes());
        Ok(BuiltPack { id, salt: self.sealer.salt(), body: Bytes::from(self.buffer), records: self.records })
    }
}

// A pack may exceed its target by one chunk, and offsets are 32 bits wide.
const _: () = assert!((crate::memory::LARGEST_PACK as u64 + LONGEST_CHUNK as u64) * 2 < u32::MAX as u64);
