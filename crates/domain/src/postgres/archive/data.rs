//! The data blocks that follow the table of contents: each names its entry, then pieces with their lengths, then an
//! empty piece. A block of large objects holds one such run per object.

use std::collections::{BTreeMap, BTreeSet};

use super::super::content::{Content, LargeObjects, ObjectTally, Tally};
use super::{Fault, primitive};

/// A block of one entry's data.
pub(super) const DATA: u8 = 1;
const LARGE_OBJECTS: u8 = 3;

/// What `pg_dump` writes at the end of a table's rows.
pub(super) const END_OF_ROWS: &[u8] = b"\\.\n\n\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    BlockKind,
    EntryNumber,
    LargeObject,
    PieceLength,
    Piece(u64),
}

/// What blocks were found, and what was in them.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The entries whose data were whole.
    pub(super) entries: BTreeSet<i64>,
    /// Where their blocks begin.
    pub(super) places: BTreeMap<i64, u64>,
    /// Rows of those that have rows.
    pub(super) rows: BTreeMap<i64, Content>,
    /// Large objects of all blocks.
    pub(super) objects: LargeObjects,
}

/// Follows the blocks, keeping nothing of their data but the last few bytes, and what they add up to.
#[derive(Debug)]
pub(super) struct Blocks {
    at: u64,
    integer: usize,
    awaited: Awaited,
    partial: Vec<u8>,
    kind: u8,
    begun_at: u64,
    entry: i64,
    tail: Vec<u8>,
    with_data: BTreeSet<i64>,
    rows: BTreeSet<i64>,
    in_rows: bool,
    found: Found,
    tally: Tally,
    objects: ObjectTally,
}

impl Blocks {
    pub(super) fn new(at: u64, integer: usize, with_data: BTreeSet<i64>, rows: BTreeSet<i64>) -> Self {
        Self {
            at,
            integer,
            awaited: Awaited::BlockKind,
            partial: Vec::new(),
            kind: 0,
            begun_at: 0,
            entry: 0,
            tail: Vec::new(),
            with_data,
            rows,
            in_rows: false,
            found: Found::default(),
            tally: Tally::default(),
            objects: ObjectTally::default(),
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let used = match self.awaited {
                Awaited::BlockKind => {
                    self.begin(bytes[0])?;
                    1
                }
                Awaited::Piece(left) => self.skip(bytes, left),
                Awaited::EntryNumber | Awaited::LargeObject | Awaited::PieceLength => self.number(bytes)?,
            };
            self.at += used as u64;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// What was found, if the archive may end here.
    pub(super) fn finish(self) -> Option<Found> {
        let found = Found { objects: self.objects.finish(), ..self.found };
        (self.awaited == Awaited::BlockKind).then_some(found)
    }

    fn damaged<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault::Damaged { at: self.at, what })
    }

    fn begin(&mut self, kind: u8) -> Result<(), Fault> {
        if kind != DATA && kind != LARGE_OBJECTS {
            return self.damaged("a block of unknown kind");
        }
        self.kind = kind;
        self.begun_at = self.at;
        self.awaited = Awaited::EntryNumber;
        Ok(())
    }

    fn skip(&mut self, bytes: &[u8], left: u64) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if self.kind == LARGE_OBJECTS {
            self.objects.push(&bytes[..used]);
        } else if self.in_rows {
            self.tally.push(&bytes[..used]);
            self.tail.extend_from_slice(&bytes[used.saturating_sub(END_OF_ROWS.len())..used]);
            let excess = self.tail.len().saturating_sub(END_OF_ROWS.len());
            self.tail.drain(..excess);
        }
        let left = left - used as u64;
        self.awaited = if left == 0 { Awaited::PieceLength } else { Awaited::Piece(left) };
        used
    }

    fn number(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let used = (self.integer + 1 - self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..used]);
        if self.partial.len() == self.integer + 1 {
            let value = primitive::integer(&self.partial);
            self.partial.clear();
            self.take(value)?;
        }
        Ok(used)
    }

    fn take(&mut self, value: i64) -> Result<(), Fault> {
        let in_objects = self.kind == LARGE_OBJECTS;
        self.awaited = match (self.awaited, value) {
            (Awaited::EntryNumber, entry) => {
                if !self.with_data.contains(&entry) || self.found.entries.contains(&entry) {
                    return self.damaged("data of an entry that has none, or twice");
                }
                self.entry = entry;
                self.in_rows = self.rows.contains(&entry);
                self.tail.clear();
                if in_objects { Awaited::LargeObject } else { Awaited::PieceLength }
            }
            (Awaited::LargeObject, 0) => self.end()?,
            (Awaited::LargeObject, oid) => {
                // Numbers beyond 2^31 are written as negative ones.
                let signed = i32::try_from(oid).map(i32::cast_unsigned);
                let Ok(oid) = signed.or_else(|_| u32::try_from(oid)) else {
                    return self.damaged("a large object of impossible number");
                };
                self.objects.begin(oid);
                Awaited::PieceLength
            }
            (_, 0) if in_objects => Awaited::LargeObject,
            (_, 0) => self.end()?,
            (_, length) => match u64::try_from(length) {
                Ok(length) => Awaited::Piece(length),
                Err(_) => return self.damaged("a piece of negative length"),
            },
        };
        Ok(())
    }

    fn end(&mut self) -> Result<Awaited, Fault> {
        if self.in_rows {
            let content = std::mem::take(&mut self.tally).finish();
            let Some(content) = content.filter(|_| self.tail == END_OF_ROWS) else {
                return self.damaged("rows without their end mark");
            };
            self.found.rows.insert(self.entry, content);
        }
        self.found.entries.insert(self.entry);
        self.found.places.insert(self.entry, self.begun_at);
        Ok(Awaited::BlockKind)
    }
}
