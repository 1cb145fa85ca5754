//! Rows that lie outside of an archive, taken into it. The merged archive is one that stock `pg_restore` reads: its table
//! of contents has a `TABLE DATA` entry for each such table, as `pg_dump` would have written it, and their blocks follow
//! right behind it, before those that the archive has itself.
//!
//! So blocks come in the order of their entries, which `pg_restore` needs where it cannot seek; and what the archive
//! itself has stays as it is, byte for byte.

use super::super::manifest::Table;
use super::super::quote;
use super::data::{DATA, END_OF_ROWS};
use super::primitive;
use super::rows_entry::{self, Original, Target};
use super::{Entry, Layout, Reader, Section};

/// Encodings in which names stand in an archive as a manifest has them.
const SAME_NAMES: [&str; 2] = ["UTF8", "SQL_ASCII"];

/// Stands for what could not be decoded.
const UNKNOWN: char = char::REPLACEMENT_CHARACTER;

/// Rows that cannot be taken into an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmergeable {
    /// Its table of contents has not been read, or does not say what it must.
    #[error("the archive's table of contents lacks what every archive has")]
    NoContents,
    /// The archive knows no such table, or several that it may be.
    #[error("the archive has {found} tables that may be {table}")]
    NotOne {
        /// The table.
        table: String,
        /// How many it may be.
        found: usize,
    },
    /// The rows are in another encoding than everything else.
    #[error("the rows of {table} are in {encoding}, and the archive says {statement:?}")]
    OtherEncoding {
        /// The table.
        table: String,
        /// Encoding of its rows.
        encoding: String,
        /// What the archive says of its encoding.
        statement: String,
    },
}

/// A table whose rows come into the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Which of the tables it is.
    pub table: usize,
    /// Number of its new entry.
    pub entry: i64,
}

/// The head of a merged archive, and how the blocks behind it are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Header and table of contents.
    pub head: Vec<u8>,
    /// The tables whose rows follow right behind the head, in this order.
    pub added: Vec<Added>,
    /// Tables whose rows the archive has itself all the same, with the entries that may be theirs.
    pub held: Vec<(usize, Vec<i64>)>,
    /// For each entry with data, by its number, where in the head stands where its data begin.
    fields: Vec<(i64, usize)>,
    layout: Layout,
}

impl Reader {
    /// Takes the rows of these tables into the archive, whose table of contents has been read.
    ///
    /// # Errors
    /// The archive does not know one of the tables, or its rows do not fit.
    pub fn merge(&self, tables: &[Table]) -> Result<Merged, Unmergeable> {
        let (true, Some(layout)) = (self.has_toc(), self.layout) else { return Err(Unmergeable::NoContents) };
        let sought = Sought { reader: self, layout };
        let statement = sought.encoding()?;
        let mut merged = Merged { head: Vec::new(), added: Vec::new(), held: Vec::new(), fields: Vec::new(), layout };
        let mut fresh = Vec::new();
        let highest = self.entries.iter().flat_map(|entry| entry.needs.iter().chain([&entry.id])).max();
        let mut next = highest.map_or(1, |id| id + 1);
        for (index, table) in tables.iter().enumerate() {
            if statement != format!("SET client_encoding = {};\n", quote::literal(&table.encoding)) {
                let (table, encoding) = (quote::qualified(&table.schema, &table.name), table.encoding.clone());
                return Err(Unmergeable::OtherEncoding { table, encoding, statement });
            }
            match sought.rows_of(table)? {
                Found::Apart(entry) => {
                    fresh.push(sought.entry_of_rows(next, table, entry)?);
                    merged.added.push(Added { table: index, entry: next });
                    next += 1;
                }
                Found::Held(entries) => merged.held.push((index, entries)),
            }
        }
        merged.write_head(self, &fresh);
        Ok(merged)
    }
}

impl Merged {
    /// The beginning of the block of an added table.
    pub fn begin_block(&self, added: Added) -> Vec<u8> {
        let mut bytes = vec![DATA];
        primitive::write_integer(&mut bytes, added.entry, self.layout.integer);
        bytes
    }

    /// What goes before a piece of rows of this length: not empty, and below 2 GiB.
    pub fn before_piece(&self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.layout.integer + 1);
        primitive::write_integer(&mut bytes, i64::try_from(length).unwrap_or(i64::MAX), self.layout.integer);
        bytes
    }

    /// The end of the block of an added table.
    pub fn end_block(&self) -> Vec<u8> {
        let mut bytes = self.before_piece(END_OF_ROWS.len());
        bytes.extend_from_slice(END_OF_ROWS);
        primitive::write_integer(&mut bytes, 0, self.layout.integer);
        bytes
    }

    /// What to write over the head, and where in it, once it is known where an entry's block begins. `pg_restore` works
    /// without, but has to look for each block then.
    pub fn place(&self, entry: i64, begins_at: u64) -> Option<(usize, Vec<u8>)> {
        let field = self.fields.iter().find(|(id, _)| *id == entry)?.1;
        let mut bytes = Vec::with_capacity(self.layout.offset + 1);
        primitive::write_offset(&mut bytes, Some(begins_at), self.layout.offset);
        Some((field, bytes))
    }

    fn write_head(&mut self, reader: &Reader, fresh: &[Vec<u8>]) {
        let Layout { integer, offset, .. } = self.layout;
        let (toc, entries) = (reader.toc_bytes(), &reader.entries);
        self.head.extend_from_slice(&toc[..reader.entries_from - (integer + 1)]);
        let count = i64::try_from(entries.len() + fresh.len()).unwrap_or(i64::MAX);
        primitive::write_integer(&mut self.head, count, integer);
        let comes_behind = |entry: &Entry| entry.has_data || matches!(entry.section, Section::Data | Section::PostData);
        let behind = entries.iter().position(comes_behind).unwrap_or(entries.len());
        let old = |entry: &Entry| (entry.id, entry.has_data, entry.at.clone());
        let mut append = |id: i64, has_data: bool, bytes: &[u8]| {
            self.head.extend_from_slice(bytes);
            if has_data {
                self.fields.push((id, self.head.len() - (offset + 1)));
            }
        };
        for (id, has_data, at) in entries[..behind].iter().map(old) {
            append(id, has_data, &toc[at]);
        }
        for (added, bytes) in self.added.iter().zip(fresh) {
            append(added.entry, true, bytes);
        }
        for (id, has_data, at) in entries[behind..].iter().map(old) {
            append(id, has_data, &toc[at]);
        }
    }
}

/// Where a table's rows are.
enum Found<'a> {
    /// Outside of the archive: this is the entry of the table itself.
    Apart(&'a Entry),
    /// In it: one of these entries is that of its rows.
    Held(Vec<i64>),
}

/// An archive in which tables are looked up.
struct Sought<'a> {
    reader: &'a Reader,
    layout: Layout,
}

impl<'a> Sought<'a> {
    /// The statement by which the archive says its encoding.
    fn encoding(&self) -> Result<String, Unmergeable> {
        let entry = self.reader.entries.iter().find(|entry| entry.kind == "ENCODING");
        entry.and_then(|entry| entry.statements.clone()).ok_or(Unmergeable::NoContents)
    }

    fn rows_of(&self, table: &Table) -> Result<Found<'a>, Unmergeable> {
        let find = |kind| self.find(kind, &table.schema, &table.name);
        let (tables, rows) = (find("TABLE"), find("TABLE DATA"));
        match (tables.as_slice(), rows.as_slice()) {
            ([entry], []) => Ok(Found::Apart(entry)),
            (tables, rows) if !rows.is_empty() && tables.len() == rows.len() => {
                Ok(Found::Held(rows.iter().map(|entry| entry.id).collect()))
            }
            (tables, _) => {
                Err(Unmergeable::NotOne { table: quote::qualified(&table.schema, &table.name), found: tables.len() })
            }
        }
    }

    /// The entries of a kind that are this table's, or may be: a name in another encoding than UTF-8 that nobody has decoded
    /// (see [`Reader::decode`]) is known by what of it is in ASCII.
    fn find(&self, kind: &str, schema: &str, name: &str) -> Vec<&'a Entry> {
        let entries = || self.reader.entries.iter().filter(|entry| entry.kind == kind);
        let stored_schema = |entry: &'a Entry| entry.schema.as_deref().unwrap_or_default();
        let exact: Vec<_> = entries().filter(|entry| entry.tag == name && stored_schema(entry) == schema).collect();
        if !exact.is_empty() {
            return exact;
        }
        let may_be = |stored: &str, name: &str| {
            stored == name || (stored.contains(UNKNOWN) && without_foreign(stored) == without_foreign(name))
        };
        entries().filter(|entry| may_be(&entry.tag, name) && may_be(stored_schema(entry), schema)).collect()
    }

    fn original(&self, entry: &Entry) -> Result<Original<'a>, Unmergeable> {
        let bytes = self.reader.toc_bytes().get(entry.at.clone()).unwrap_or_default();
        Original::read(bytes, self.layout).ok_or(Unmergeable::NoContents)
    }

    fn entry_of_rows(&self, id: i64, table: &Table, entry: &Entry) -> Result<Vec<u8>, Unmergeable> {
        let original = self.original(entry)?;
        let same_names = SAME_NAMES.contains(&table.encoding.as_str());
        let identifier = if same_names { quote::identifier } else { quote::ascii_identifier };
        let name_of = |original: &Original<'a>, schema: &str, name: &str| match original.qualified() {
            Some(name) => name.to_vec(),
            None => format!("{}.{}", identifier(schema), identifier(name)).into_bytes(),
        };
        let root = match &table.load_into {
            None => None,
            Some((schema, name)) => match self.find("TABLE", schema, name).as_slice() {
                [root] => Some(name_of(&self.original(root)?, schema, name)),
                several => {
                    let table = quote::qualified(schema, name);
                    return Err(Unmergeable::NotOne { table, found: several.len() });
                }
            },
        };
        let columns: Vec<_> = table.columns.iter().map(|column| identifier(column)).collect();
        let target = Target {
            name: &name_of(&original, &table.schema, &table.name),
            root: root.as_deref(),
            columns: &columns.join(", "),
        };
        Ok(rows_entry::write(id, entry.id, &original, &target, self.layout))
    }
}

/// The name with every run of letters outside of ASCII made one mark: all that is sure of a name in an unknown encoding.
fn without_foreign(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        let letter = if letter.is_ascii() { letter } else { UNKNOWN };
        if letter.is_ascii() || !plain.ends_with(letter) {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
