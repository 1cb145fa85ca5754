//! Reading packs: one chunk out of a range of bytes, or the table at the end.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;

use super::builder::{TRAILER_LENGTH, TRAILER_MARK};
use super::record::{BadRecord, ChunkKind, ChunkRecord, FIXED_LENGTH};
use crate::codec::{DeltaDecoder, decode};
use crate::crypto::TAG_LENGTH;
use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::seal::{HEADER_LENGTH, SALT_LENGTH, SealedKind, Sealer};
use crate::error::{Error, ObjectKind, Result};
use crate::wire::Cursor;

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The content of a chunk's base, and what decodes the chunk on it.
pub(crate) type OnBase<'d, 'b> = (&'d mut DeltaDecoder<'b>, &'b [u8]);

/// Opens parts of one pack.
pub(crate) struct PackOpener {
    keys: Arc<DomainKeys>,
    sealer: Sealer,
    object: String,
}

impl PackOpener {
    pub(crate) fn new(keys: Arc<DomainKeys>, salt: [u8; SALT_LENGTH], object: String) -> Result<Self> {
        Ok(Self { sealer: keys.sealer(SealedKind::Pack, salt)?, keys, object })
    }

    fn damaged(&self, what: String) -> Error {
        Error::damaged(ObjectKind::Pack, &self.object, what)
    }

    /// Opens, decodes and verifies a chunk, and appends its content to `out`. Nothing unverified is ever left there. `base`
    /// is the content of the chunk's base, if it has one.
    pub(crate) fn chunk(
        &self,
        record: &ChunkRecord,
        base: Option<OnBase<'_, '_>>,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        self.unverified(record, base, sealed, out)?;
        if self.keys.chunk_id(&out[start..]) != record.id {
            out.truncate(start);
            return Err(self.damaged(format!("chunk {} at {} has another content", record.id, record.offset)));
        }
        Ok(())
    }

    /// The same without a look at the id: for what only helps to decode a chunk that is verified itself.
    pub(crate) fn unverified(
        &self,
        record: &ChunkRecord,
        base: Option<OnBase<'_, '_>>,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let (start, length) = (out.len(), record.plain as usize);
        let decoded = ENCODED.with_borrow_mut(|buffer| {
            let encoded = self.open(record, sealed, buffer)?;
            Ok::<_, Error>(match (record.kind, base) {
                (ChunkKind::Whole, _) => decode(record.codec, encoded, length, out),
                (ChunkKind::Delta, Some((decoder, base))) => decoder.decode(base, encoded, length, out),
                (ChunkKind::Delta, None) => false,
            })
        })?;
        if decoded {
            return Ok(());
        }
        out.truncate(start);
        Err(self.damaged(format!("chunk {} at {} does not decompress", record.id, record.offset)))
    }

    /// Opens the seal of a chunk, and no more: what was sealed with the domain's key is what a writer put there.
    pub(crate) fn encoded(&self, record: &ChunkRecord, sealed: &[u8]) -> Result<Vec<u8>> {
        let mut encoded = Vec::new();
        self.open(record, sealed, &mut encoded)?;
        Ok(encoded)
    }

    /// The same into a buffer that may be longer, and is used again.
    fn open<'a>(&self, record: &ChunkRecord, sealed: &[u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        let length = sealed.len().saturating_sub(TAG_LENGTH);
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let encoded = &mut buffer[..length];
        if self.sealer.open(sealed, u64::from(record.position), "", encoded) {
            Ok(encoded)
        } else {
            Err(self.damaged(format!("the seal of chunk {} at {} is broken", record.id, record.offset)))
        }
    }

    /// Where the sealed table lies, from the object's size and its last 16 bytes.
    pub(crate) fn table_range(&self, size: u64, trailer: &[u8]) -> Result<(std::ops::Range<u64>, u32)> {
        let mut cursor = Cursor::new(trailer);
        let (table, count, mark) = (cursor.u32(), cursor.u32(), cursor.array::<8>());
        let (Some(table), Some(count), Some(mark)) = (table, count, mark) else {
            return Err(self.damaged("it is cut off".to_owned()));
        };
        if &mark != TRAILER_MARK {
            return Err(self.damaged("its trailer is not there: cut off".to_owned()));
        }
        let end = size.saturating_sub(TRAILER_LENGTH as u64);
        match end.checked_sub(u64::from(table)) {
            Some(start)
                if start >= HEADER_LENGTH as u64
                    && u64::from(table) >= TAG_LENGTH as u64 + u64::from(count) * FIXED_LENGTH as u64 =>
            {
                Ok((start..end, count))
            }
            _ => Err(self.damaged("its trailer makes no sense".to_owned())),
        }
    }

    /// Opens the table.
    pub(crate) fn table(&self, sealed: &[u8], count: u32) -> Result<Vec<ChunkRecord>> {
        let mut plain = vec![0; sealed.len().saturating_sub(TAG_LENGTH)];
        if !self.sealer.open(sealed, u64::from(count), "", &mut plain) {
            return Err(self.damaged("the seal of its table is broken".to_owned()));
        }
        let mut cursor = Cursor::new(&plain);
        let mut records = Vec::with_capacity(count as usize);
        for _ in 0..count {
            records.push(ChunkRecord::take(&mut cursor).map_err(|bad| {
                self.damaged(match bad {
                    BadRecord::CutOff => "its table is cut off".to_owned(),
                    BadRecord::Nonsense => "its table makes no sense".to_owned(),
                })
            })?);
        }
        if cursor.is_empty() { Ok(records) } else { Err(self.damaged("its table is longer than it says".to_owned())) }
    }

    /// The sealed bytes of a chunk within the whole pack.
    pub(crate) fn slice<'a>(&self, body: &'a Bytes, record: &ChunkRecord) -> Result<&'a [u8]> {
        let start = record.offset as usize;
        body.get(start..start + record.stored as usize)
            .ok_or_else(|| self.damaged(format!("it is cut off before chunk {}", record.id)))
    }
}
