//! The custom format of `pg_dump`, read as it streams by. It tells which entries an archive has, and whether it is
//! whole: a pipe that ends early leaves a file that looks like an archive, and `pg_dump`'s own reader would notice only
//! at restore. An archive is whole when every entry with data has had its block, every block its end, and nothing
//! follows.

mod data;
mod entry;
mod merge;
mod primitive;
mod rows_entry;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

pub use entry::{Entry, Section};
pub use merge::{Added, Merged, Unmergeable};
pub use texts::Foreign;

use super::content::{Content, LargeObjects};
use data::Blocks;
use primitive::Cursor;

/// Most bytes of header and table of contents together: far beyond any schema, so that a damaged count cannot take all
/// memory.
const MOST_TOC_BYTES: usize = 1 << 30;

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not begin as one.
    #[error("it is not a pg_dump archive")]
    NotAnArchive,
    /// It is of a format or version this code has never seen.
    #[error("archive format {format}, version {major}.{minor}, is not known")]
    Unknown {
        /// Format: 1 is custom.
        format: u8,
        /// Major version of the format.
        major: u8,
        /// Minor version of the format.
        minor: u8,
    },
    /// Its data is compressed, which a repository cannot deduplicate.
    #[error("its data is compressed")]
    Compressed,
    /// Something in it makes no sense.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where.
        at: u64,
        /// What makes no sense.
        what: &'static str,
    },
    /// It ends too early.
    #[error("it ends in the middle, after {after} bytes")]
    Truncated {
        /// Bytes there were.
        after: u64,
    },
    /// Data that its table of contents promises is not there.
    #[error("it lacks the data of {0}")]
    Missing(String),
}

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Major and minor version of the format.
    pub version: (u8, u8),
    /// Database it was taken from.
    pub database: String,
    /// Version of the server, as printed.
    pub server_version: String,
    /// Version of the `pg_dump` that wrote it.
    pub client_version: String,
}

/// Reads an archive as it streams by.
#[derive(Debug, Default)]
pub struct Reader {
    seen: u64,
    toc: Vec<u8>,
    parsed: usize,
    layout: Option<Layout>,
    header: Option<Header>,
    expected: usize,
    /// Where the first entry stands, right behind the number of them.
    entries_from: usize,
    entries: Vec<Entry>,
    blocks: Option<Blocks>,
}

/// Sizes of numbers, which an archive declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    version: (u8, u8),
    integer: usize,
    offset: usize,
}

/// A whole archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// What it says of itself.
    pub header: Header,
    /// Its table of contents.
    pub entries: Vec<Entry>,
    /// Bytes of it.
    pub bytes: u64,
    /// Where in it the block of each entry with data begins, by the entry's number.
    pub places: BTreeMap<i64, u64>,
    /// What is in the row blocks, by the number of their entry.
    pub rows: BTreeMap<i64, Content>,
    /// Large objects in it.
    pub large_objects: LargeObjects,
}

impl Reader {
    /// A reader at the start of an archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes in.
    ///
    /// # Errors
    /// They cannot belong to a sound archive.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.seen += bytes.len() as u64;
        if let Some(blocks) = &mut self.blocks {
            return blocks.push(bytes);
        }
        if self.toc.len() + bytes.len() > MOST_TOC_BYTES {
            return Err(self.damaged("its table of contents is beyond all measure"));
        }
        self.toc.extend_from_slice(bytes);
        self.read_toc()
    }

    /// Whether the table of contents has been read.
    pub fn has_toc(&self) -> bool {
        self.blocks.is_some()
    }

    /// The entries read so far; all of them once [`Reader::has_toc`].
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the archive says of itself, once that is read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Header and table of contents as they stand in the archive: an archive without data, which `pg_restore` takes.
    /// Empty before [`Reader::has_toc`].
    pub fn toc_bytes(&self) -> &[u8] {
        if self.has_toc() { &self.toc } else { &[] }
    }

    /// The same with changes: what belongs to one of `ownerless` belongs to nobody in particular, so that `pg_restore`
    /// leaves it to whoever restores; entries in `statements` run those instead of their own, which are in the archive's
    /// encoding.
    pub fn changed_toc(&self, ownerless: &BTreeSet<String>, statements: &BTreeMap<i64, Vec<u8>>) -> Vec<u8> {
        let toc = self.toc_bytes();
        let mut bytes = Vec::with_capacity(toc.len());
        let mut copied = 0;
        let integer = self.layout.map_or(0, |layout| layout.integer);
        let mut replace = |place: &std::ops::Range<usize>, text: &[u8]| {
            bytes.extend_from_slice(&toc[copied..place.start]);
            primitive::write_text(&mut bytes, text, integer);
            copied = place.end;
        };
        // In the order in which they stand in an entry.
        for entry in self.entries.iter().filter(|entry| entry.owner_at.end <= toc.len()) {
            if let Some(other) = statements.get(&entry.id) {
                replace(&entry.statements_at, other);
            }
            if entry.owner.as_ref().is_some_and(|owner| ownerless.contains(owner)) {
                replace(&entry.owner_at, b"");
            }
        }
        bytes.extend_from_slice(&toc[copied..]);
        bytes
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// It is not whole.
    pub fn finish(self) -> Result<Contents, Fault> {
        let truncated = Fault::Truncated { after: self.seen };
        let (Some(blocks), Some(header)) = (self.blocks, self.header) else {
            return Err(truncated);
        };
        let found = blocks.finish().ok_or(truncated)?;
        let missing = self.entries.iter().find(|entry| entry.has_data && !found.entries.contains(&entry.id));
        if let Some(entry) = missing {
            return Err(Fault::Missing(entry.to_string()));
        }
        let data::Found { places, rows, objects: large_objects, .. } = found;
        Ok(Contents { header, entries: self.entries, bytes: self.seen, places, rows, large_objects })
    }

    fn damaged(&self, what: &'static str) -> Fault {
        Fault::Damaged { at: self.parsed as u64, what }
    }

    fn read_toc(&mut self) -> Result<(), Fault> {
        loop {
            let mut cursor = Cursor::new(&self.toc[self.parsed..], self.layout);
            let step = match self.layout {
                None => Self::read_header(&mut cursor)?.map(|(layout, header, expected)| {
                    self.layout = Some(layout);
                    self.header = Some(header);
                    self.expected = expected;
                    self.entries_from = cursor.taken();
                }),
                Some(layout) if self.entries.len() < self.expected => {
                    let damaged = Fault::Damaged { at: self.parsed as u64, what: "an entry makes no sense" };
                    Entry::read(&mut cursor, layout.version, self.parsed, &texts::lossy)
                        .map_err(|()| damaged)?
                        .map(|entry| self.entries.push(entry))
                }
                Some(layout) => {
                    let rest = self.toc.split_off(self.parsed);
                    self.toc.shrink_to_fit();
                    let with_data: BTreeSet<_> =
                        self.entries.iter().filter(|entry| entry.has_data).map(|entry| entry.id).collect();
                    let rows = self.entries.iter().filter(|entry| entry.is_rows()).map(|entry| entry.id).collect();
                    let mut blocks = Blocks::new(self.parsed as u64, layout.integer, with_data, rows);
                    let pushed = blocks.push(&rest);
                    self.blocks = Some(blocks);
                    return pushed;
                }
            };
            match step {
                Some(()) => self.parsed += cursor.taken(),
                None => return Ok(()),
            }
        }
    }

    /// Reads the header; `None` where more bytes are needed.
    fn read_header(cursor: &mut Cursor<'_>) -> Result<Option<(Layout, Header, usize)>, Fault> {
        let Some(start) = cursor.bytes(11) else { return Ok(None) };
        if &start[..5] != b"PGDMP" {
            return Err(Fault::NotAnArchive);
        }
        let (major, minor, format) = (start[5], start[6], start[10]);
        let layout = Layout { version: (major, minor), integer: usize::from(start[8]), offset: usize::from(start[9]) };
        if format != 1 || major != 1 || !(12..=16).contains(&minor) || !(4..=8).contains(&layout.integer) {
            return Err(Fault::Unknown { format, major, minor });
        }
        if layout.offset > 16 {
            return Err(Fault::Damaged { at: 9, what: "offsets of that size do not exist" });
        }
        let nonsense = |()| Fault::Damaged { at: 11, what: "its header makes no sense" };
        cursor.set_layout(layout);
        let compressed = if minor >= 15 {
            let Some(algorithm) = cursor.bytes(1) else { return Ok(None) };
            algorithm[0] != 0
        } else {
            let Some(level) = cursor.integer() else { return Ok(None) };
            level != 0
        };
        if compressed {
            return Err(Fault::Compressed);
        }
        for _ in 0..7 {
            if cursor.integer().is_none() {
                return Ok(None);
            }
        }
        let mut words = Vec::new();
        for _ in 0..3 {
            let Some(text) = cursor.text().map_err(nonsense)? else { return Ok(None) };
            words.push(texts::lossy(text.unwrap_or_default()));
        }
        let Some(count) = cursor.integer() else { return Ok(None) };
        let expected = usize::try_from(count).map_err(|_| nonsense(()))?;
        let mut words = words.into_iter();
        let mut next = || words.next().unwrap_or_default();
        let header =
            Header { version: (major, minor), database: next(), server_version: next(), client_version: next() };
        Ok(Some((layout, header, expected)))
    }
}

#[cfg(test)]
mod tests;
