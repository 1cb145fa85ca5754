//! Texts of an archive whose database is not in UTF-8: names stand in its encoding, as rows do. Rows are best left as they
//! are, since not every character has an equivalent; names have to be understood. Only a server knows all encodings that
//! a server can have, so that the reader tells which texts need decoding, and is told what they mean.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::primitive::Cursor;
use super::{Entry, Layout, Reader};

/// How a text is decoded.
pub(super) type Decode<'a> = &'a dyn Fn(&[u8]) -> String;

/// Texts that are not in UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Their encoding, as PostgreSQL calls it: `LATIN1`.
    pub encoding: String,
    /// Those that are not ASCII.
    pub texts: BTreeSet<Vec<u8>>,
}

/// As UTF-8, with marks where it is not.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Reader {
    /// The archive's encoding where it is neither UTF-8 nor without meaning (`SQL_ASCII`), and what has to be decoded.
    /// Known once [`Reader::has_toc`].
    pub fn foreign(&self) -> Option<Foreign> {
        let entry = self.entries.iter().find(|entry| entry.kind == "ENCODING")?;
        let encoding = entry.statements.as_deref()?.split('\'').nth(1)?;
        if matches!(encoding, "UTF8" | "SQL_ASCII") {
            return None;
        }
        let texts = RefCell::new(BTreeSet::new());
        self.read_entries(&|bytes| {
            if !bytes.is_ascii() {
                texts.borrow_mut().insert(bytes.to_vec());
            }
            lossy(bytes)
        });
        Some(Foreign { encoding: encoding.to_owned(), texts: texts.into_inner() })
    }

    /// Takes in what foreign texts mean. One that is not told stays as it was.
    pub fn decode(&mut self, meanings: &BTreeMap<Vec<u8>, String>) {
        self.entries = self.read_entries(&|bytes| meanings.get(bytes).cloned().unwrap_or_else(|| lossy(bytes)));
    }

    /// The entries once more: they could be read, so they can be.
    fn read_entries(&self, decode: Decode<'_>) -> Vec<Entry> {
        let Some(Layout { version, .. }) = self.layout else { return Vec::new() };
        let mut at = self.entries_from;
        let mut entries = Vec::with_capacity(self.entries.len());
        while entries.len() < self.entries.len() {
            let mut cursor = Cursor::new(&self.toc[at..], self.layout);
            let Ok(Some(entry)) = Entry::read(&mut cursor, version, at, decode) else { break };
            at += cursor.taken();
            entries.push(entry);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Builder;
    use super::*;

    fn reader(encoding: &str, tag: &[u8]) -> Reader {
        let mut builder = Builder::new(14, &[]);
        builder.begin_entries(2);
        builder.encoding(1, encoding);
        builder.raw_entry(2, false, "TABLE", tag);
        let mut reader = Reader::new();
        reader.push(&builder.bytes).unwrap();
        assert!(reader.has_toc());
        reader
    }

    #[test]
    fn names_in_another_encoding_are_told_and_taken_in() {
        let mut reader = reader("LATIN1", b"t\xe9");
        let foreign = reader.foreign().unwrap();
        assert_eq!((foreign.encoding.as_str(), foreign.texts.len()), ("LATIN1", 1));
        assert!(foreign.texts.contains(b"t\xe9".as_slice()));
        let head = reader.toc_bytes().to_vec();
        reader.decode(&BTreeMap::from([(b"t\xe9".to_vec(), "té".to_owned())]));
        assert_eq!(reader.entries()[1].tag, "té");
        assert_eq!(reader.entries().len(), 2);
        assert_eq!(reader.toc_bytes(), head, "what is restored stays as it was written");
    }

    /// Bytes that happen to be UTF-8 are not, in an archive that says so.
    #[test]
    fn an_encoding_is_believed_over_how_bytes_look() {
        let foreign = reader("LATIN1", "é".as_bytes()).foreign().unwrap();
        assert!(foreign.texts.contains("é".as_bytes()));
        for ours in ["UTF8", "SQL_ASCII"] {
            assert_eq!(reader(ours, "é".as_bytes()).foreign(), None, "{ours}");
            assert_eq!(reader(ours, "é".as_bytes()).entries()[1].tag, "é");
        }
    }
}
