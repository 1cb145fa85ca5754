use proptest::prelude::*;

use super::*;

/// Writes archives as `pg_dump` does.
pub(super) struct Builder {
    pub(super) bytes: Vec<u8>,
    minor: u8,
}

impl Builder {
    pub(super) fn new(minor: u8, entries: &[(i64, bool, &str, &str)]) -> Self {
        let mut builder = Self { bytes: b"PGDMP".to_vec(), minor };
        builder.bytes.extend([1, minor, 0, 4, 8, 1]);
        if minor >= 15 {
            builder.bytes.push(0);
        } else {
            builder.integer(0);
        }
        (0..7).for_each(|_| builder.integer(1));
        for text in ["orders", "15.18", "15.18"] {
            builder.text(Some(text));
        }
        builder.integer(entries.len() as i64);
        for &(id, has_data, kind, tag) in entries {
            builder.entry(id, has_data, kind, tag);
        }
        builder
    }

    fn integer(&mut self, value: i64) {
        self.bytes.push(u8::from(value < 0));
        self.bytes.extend(&value.unsigned_abs().to_le_bytes()[..4]);
    }

    fn text(&mut self, text: Option<&str>) {
        self.raw_text(text.map(str::as_bytes));
    }

    fn raw_text(&mut self, text: Option<&[u8]>) {
        self.integer(text.map_or(-1, |text| text.len() as i64));
        self.bytes.extend(text.unwrap_or_default());
    }

    /// Says that there are so many entries after all; none has been written so far.
    pub(super) fn begin_entries(&mut self, count: i64) {
        self.bytes.truncate(self.bytes.len() - 5);
        self.integer(count);
    }

    pub(super) fn encoding(&mut self, id: i64, name: &str) {
        self.write_entry(id, false, "ENCODING", b"ENCODING", &format!("SET client_encoding = '{name}';\n"));
    }

    pub(super) fn raw_entry(&mut self, id: i64, has_data: bool, kind: &str, tag: &[u8]) {
        self.write_entry(id, has_data, kind, tag, "CREATE …");
    }

    fn entry(&mut self, id: i64, has_data: bool, kind: &str, tag: &str) {
        self.raw_entry(id, has_data, kind, tag.as_bytes());
    }

    fn write_entry(&mut self, id: i64, has_data: bool, kind: &str, tag: &[u8], statements: &str) {
        self.integer(id);
        self.integer(i64::from(has_data));
        for text in [b"1259".as_slice(), b"16400", tag, kind.as_bytes()] {
            self.raw_text(Some(text));
        }
        self.integer(match kind {
            "CONSTRAINT" => 4,
            "COMMENT" => 1,
            _ if has_data => 3,
            _ => 2,
        });
        self.text(Some(statements));
        if kind == "TABLE" {
            self.raw_text(Some(&[b"DROP TABLE public.".as_slice(), tag, b";\n"].concat()));
        } else {
            self.text(Some("DROP …"));
        }
        self.text((kind == "TABLE DATA").then_some("COPY …"));
        self.text(Some("public"));
        self.text(None);
        if self.minor >= 14 {
            self.text(Some("heap"));
        }
        if self.minor >= 16 {
            self.integer(0);
        }
        self.text(Some("app"));
        self.text(Some("false"));
        self.text(Some("7"));
        self.text(None);
        self.bytes.extend([1; 9]);
    }

    pub(super) fn rows(&mut self, id: i64, pieces: &[&[u8]]) {
        self.bytes.push(1);
        self.integer(id);
        for piece in pieces {
            self.integer(piece.len() as i64);
            self.bytes.extend(*piece);
        }
        self.integer(0);
    }

    pub(super) fn large_objects(&mut self, id: i64, objects: &[&[u8]]) {
        self.bytes.push(3);
        self.integer(id);
        for (oid, object) in objects.iter().enumerate() {
            self.integer(oid as i64 + 1);
            self.integer(object.len() as i64);
            self.bytes.extend(*object);
            self.integer(0);
        }
        self.integer(0);
    }
}

const ENTRIES: [(i64, bool, &str, &str); 3] =
    [(1, false, "TABLE", "t"), (2, true, "TABLE DATA", "t"), (3, true, "BLOBS", "BLOBS")];

fn whole(minor: u8) -> Vec<u8> {
    let mut builder = Builder::new(minor, &ENTRIES);
    builder.rows(2, &[b"1\ta\n", b"2\tb\n", b"\\.\n\n", b"\n"]);
    builder.large_objects(3, &[b"first", b"second"]);
    builder.bytes
}

fn read(bytes: &[u8], step: usize) -> Result<Contents, Fault> {
    let mut reader = Reader::new();
    for piece in bytes.chunks(step.max(1)) {
        reader.push(piece)?;
    }
    reader.finish()
}

#[test]
fn every_version_in_use_is_read() {
    for minor in [12, 13, 14, 15, 16] {
        let contents = read(&whole(minor), 7).unwrap();
        assert_eq!(contents.header.database, "orders");
        assert_eq!(contents.entries.len(), 3);
        assert_eq!(contents.entries[1].to_string(), "TABLE DATA public.t");
        assert_eq!(contents.entries[1].needs, [7]);
        assert_eq!(contents.entries[0].owner.as_deref(), Some("app"));
    }
}

#[test]
fn what_it_holds_is_told_however_it_is_cut() {
    use super::super::content::{ObjectTally, Tally};

    let mut rows = Tally::default();
    rows.push(b"2\tb\n1\ta\n");
    let mut objects = ObjectTally::default();
    for (oid, object) in [(1, b"first".as_slice()), (2, b"second")] {
        objects.begin(oid);
        objects.push(object);
    }
    let objects = objects.finish();
    for step in [1, 2, 3, 5, 1000] {
        let contents = read(&whole(15), step).unwrap();
        assert_eq!(contents.rows, BTreeMap::from([(2, rows_of(b"1\ta\n2\tb\n"))]), "in steps of {step}");
        assert_eq!(contents.large_objects, objects, "in steps of {step}");
    }
    assert_eq!(rows.finish(), Some(rows_of(b"1\ta\n2\tb\n")));
}

fn rows_of(bytes: &[u8]) -> Content {
    let mut tally = super::super::content::Tally::default();
    tally.push(bytes);
    tally.finish().unwrap()
}

#[test]
fn large_objects_of_every_number_are_read() {
    let mut builder = Builder::new(15, &ENTRIES);
    builder.rows(2, &[b"\\.\n\n\n"]);
    builder.bytes.push(3);
    builder.integer(3);
    // 4294967295, as `pg_dump` writes it.
    builder.integer(-1);
    builder.integer(0);
    builder.integer(0);
    let contents = read(&builder.bytes, 100).unwrap();
    assert_eq!((contents.large_objects.count, contents.large_objects.bytes), (1, 0));
}

#[test]
fn its_head_alone_is_an_archive_without_data() {
    let bytes = whole(14);
    let mut reader = Reader::new();
    reader.push(&bytes).unwrap();
    assert!(bytes.starts_with(reader.toc_bytes()));
    assert_eq!(reader.toc_bytes().len(), Builder::new(14, &ENTRIES).bytes.len());
}

#[test]
fn owners_and_statements_in_the_head_can_be_changed() {
    let entries = [(1, false, "TABLE", "t"), (2, false, "ACL", "TABLE t")];
    let mut reader = Reader::new();
    reader.push(&Builder::new(16, &entries).bytes).unwrap();
    assert_eq!(reader.changed_toc(&BTreeSet::new(), &BTreeMap::new()), reader.toc_bytes());
    let statements = BTreeMap::from([(2, b"SET ROLE x".to_vec())]);
    let mut again = Reader::new();
    again.push(&reader.changed_toc(&BTreeSet::from(["app".to_owned()]), &statements)).unwrap();
    assert!(again.has_toc());
    let shape = |reader: &Reader| -> Vec<_> {
        reader
            .entries()
            .iter()
            .map(|entry| (entry.owner.clone(), entry.statements.clone(), entry.needs.clone()))
            .collect()
    };
    let app = || Some("app".to_owned());
    assert_eq!(shape(&reader), [(app(), None, vec![7]), (app(), Some("CREATE …".into()), vec![7])]);
    assert_eq!(shape(&again), [(None, None, vec![7]), (None, Some("SET ROLE x".into()), vec![7])]);
}

#[test]
fn data_that_is_promised_must_be_there() {
    let mut builder = Builder::new(14, &ENTRIES);
    builder.rows(2, &[b"\\.\n\n\n"]);
    assert_eq!(read(&builder.bytes, 64), Err(Fault::Missing("BLOBS public.BLOBS".into())));
}

#[test]
fn rows_without_their_end_mark_are_damage() {
    let mut builder = Builder::new(14, &ENTRIES);
    builder.rows(2, &[b"1\ta\n"]);
    assert!(matches!(read(&builder.bytes, 64), Err(Fault::Damaged { what: "rows without their end mark", .. })));
}

#[test]
fn what_is_not_ours_is_refused() {
    assert_eq!(read(b"-- PostgreSQL database dump\n\n", 64), Err(Fault::NotAnArchive));
    let mut newer = whole(14);
    newer[6] = 99;
    assert!(matches!(read(&newer, 64), Err(Fault::Unknown { minor: 99, .. })));
    let mut compressed = whole(15);
    compressed[11] = 1;
    assert_eq!(read(&compressed, 64), Err(Fault::Compressed));
    let mut trailing = whole(14);
    trailing.push(9);
    assert!(matches!(read(&trailing, 64), Err(Fault::Damaged { .. })));
}

proptest! {
    #[test]
    fn a_cut_anywhere_is_noticed_however_it_arrives(cut in 0_usize..2000, step in 1_usize..200, minor in 12_u8..=16) {
        let bytes = whole(minor);
        let cut = cut % bytes.len();
        prop_assert!(read(&bytes[..cut], step).is_err());
        prop_assert!(read(&bytes, step).is_ok());
    }

    #[test]
    fn noise_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1_usize..64) {
        let _ = read(&bytes, step);
        bytes.splice(0..0, whole(14)[..60].iter().copied());
        let _ = read(&bytes, step);
    }
}
