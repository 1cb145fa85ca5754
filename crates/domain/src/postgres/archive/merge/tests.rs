use std::collections::BTreeMap;

use super::super::super::content::Tally;
use super::super::tests::Builder;
use super::super::{Contents, Fault};
use super::*;
use crate::postgres::manifest::{DataStream, StreamReference};

/// An archive with an encoding, two tables without rows, one with, and a large object behind everything.
const ENTRIES: [(i64, bool, &str, &str); 8] = [
    (90, false, "ENCODING", "ENCODING"),
    (1, false, "TABLE", "big"),
    (2, false, "TABLE", "small"),
    (3, false, "TABLE", "part"),
    (4, false, "COMMENT", "TABLE big"),
    (12, true, "TABLE DATA", "small"),
    (13, true, "BLOBS", "BLOBS"),
    (20, false, "CONSTRAINT", "big big_pkey"),
];

fn archive(minor: u8, entries: &[(i64, bool, &str, &str)]) -> Vec<u8> {
    let entries: Vec<_> =
        entries.iter().map(|(id, has_data, kind, tag)| (*id, *has_data, *kind, tag.as_bytes())).collect();
    archive_in("UTF8", minor, &entries)
}

fn archive_in(encoding: &str, minor: u8, entries: &[(i64, bool, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(minor, &[]);
    builder.begin_entries(entries.len() as i64);
    for (id, has_data, kind, tag) in entries {
        match *kind {
            "ENCODING" => builder.encoding(*id, encoding),
            _ => builder.raw_entry(*id, *has_data, kind, tag),
        }
    }
    for (id, _, kind, _) in entries.iter().filter(|entry| entry.1) {
        match *kind {
            "BLOBS" => builder.large_objects(*id, &[b"first"]),
            _ => builder.rows(*id, &[b"1\ta\n", b"\\.\n\n\n"]),
        }
    }
    builder.bytes
}

fn reader(bytes: &[u8]) -> Reader {
    let mut reader = Reader::new();
    reader.push(bytes).unwrap();
    reader
}

fn table(name: &str, load_into: Option<&str>) -> Table {
    Table {
        schema: "public".into(),
        name: name.into(),
        columns: vec!["a".into(), "select".into()],
        load_into: load_into.map(|root| ("public".to_owned(), root.to_owned())),
        encoding: "UTF8".into(),
        streams: vec![DataStream { stream: StreamReference(0.into()), pages: None, rows: 0, bytes: 0, hash: None }],
    }
}

/// The merged archive as it would be written, places of the blocks included.
fn written(bytes: &[u8], merged: &Merged, rows: &[&[&[u8]]]) -> Vec<u8> {
    let original = reader(bytes);
    let mut all = merged.head.clone();
    let mut places = BTreeMap::new();
    for (added, pieces) in merged.added.iter().zip(rows) {
        places.insert(added.entry, all.len() as u64);
        all.extend(merged.begin_block(*added));
        for piece in *pieces {
            all.extend(merged.before_piece(piece.len()));
            all.extend_from_slice(piece);
        }
        all.extend(merged.end_block());
    }
    let head = original.toc_bytes().len();
    let moved = all.len() as u64 - head as u64;
    all.extend_from_slice(&bytes[head..]);
    for (entry, at) in original.finish().unwrap().places {
        places.insert(entry, at + moved);
    }
    for (entry, at) in places {
        let (field, bytes) = merged.place(entry, at).unwrap();
        all[field..field + bytes.len()].copy_from_slice(&bytes);
    }
    all
}

fn read(bytes: &[u8]) -> Result<Contents, Fault> {
    let mut reader = Reader::new();
    for piece in bytes.chunks(13) {
        reader.push(piece)?;
    }
    reader.finish()
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn kinds(contents: &Contents) -> Vec<(i64, &str, &str)> {
    contents.entries.iter().map(|entry| (entry.id, entry.kind.as_str(), entry.tag.as_str())).collect()
}

#[test]
fn rows_come_in_behind_the_structure_in_every_version() {
    for minor in [12, 13, 14, 15, 16] {
        let bytes = archive(minor, &ENTRIES);
        let merged = reader(&bytes).merge(&[table("big", None), table("part", Some("big"))]).unwrap();
        assert_eq!(merged.added, [Added { table: 0, entry: 91 }, Added { table: 1, entry: 92 }]);
        let all = written(&bytes, &merged, &[&[b"1\tx\n2\t", b"y\n"], &[]]);
        let contents = read(&all).unwrap();
        assert_eq!(
            kinds(&contents)[4..],
            [
                (4, "COMMENT", "TABLE big"),
                (91, "TABLE DATA", "big"),
                (92, "TABLE DATA", "part"),
                (12, "TABLE DATA", "small"),
                (13, "BLOBS", "BLOBS"),
                (20, "CONSTRAINT", "big big_pkey"),
            ],
            "1.{minor}"
        );
        assert_eq!(contents.header, read(&bytes).unwrap().header);
        let rows = |entry: i64| contents.rows[&entry];
        let mut tally = Tally::default();
        tally.push(b"1\tx\n2\ty\n");
        assert_eq!((rows(91), rows(92).rows, rows(12).rows), (tally.finish().unwrap(), 0, 1));
        assert_eq!(contents.large_objects.count, 1);
        // Blocks come in the order of their entries.
        let places: Vec<_> = [91, 92, 12, 13].iter().map(|entry| contents.places[entry]).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}

#[test]
fn the_entry_of_rows_is_as_pg_dump_writes_it() {
    for minor in [13, 14, 16] {
        let bytes = archive(minor, &ENTRIES);
        let merged = reader(&bytes).merge(&[table("big", None), table("part", Some("big"))]).unwrap();
        let merged_reader = reader(&written(&bytes, &merged, &[&[], &[]]));
        let layout = merged_reader.layout.unwrap();
        let copy = b"COPY public.big (\"a\", \"select\") FROM stdin;\n".as_slice();
        for (id, of, tag, by_root) in [(91, 1, b"big".as_slice(), false), (92, 3, b"part".as_slice(), true)] {
            let entry = merged_reader.entries.iter().find(|entry| entry.id == id).unwrap();
            assert_eq!((entry.section, entry.needs.as_slice(), entry.has_data), (Section::Data, [of].as_slice(), true));
            assert_eq!((entry.schema.as_deref(), entry.owner.as_deref()), (Some("public"), Some("app")));
            let stands = &merged_reader.toc_bytes()[entry.at.clone()];
            assert!(has(stands, copy), "1.{minor}");
            let original = Original::read(stands, layout).unwrap();
            assert_eq!((original.tag, original.oid), (tag, b"16400".as_slice()));
            assert_eq!(has(stands, b"-- load via partition root public.big"), by_root, "1.{minor}");
        }
    }
}

#[test]
fn every_place_stands_where_pg_restore_looks_for_it() {
    let bytes = archive(14, &ENTRIES);
    let merged = reader(&bytes).merge(&[table("big", None)]).unwrap();
    let all = written(&bytes, &merged, &[&[b"1\tx\n"]]);
    let reader = reader(&all);
    for (entry, place) in read(&all).unwrap().places {
        let entry = reader.entries.iter().find(|known| known.id == entry).unwrap();
        let field = &all[entry.at.end - 9..entry.at.end];
        assert_eq!((field[0], u64::from_le_bytes(field[1..].try_into().unwrap())), (2, place), "{entry}");
    }
}

#[test]
fn an_archive_without_rows_of_its_own_takes_them_before_what_comes_after_data() {
    let entries =
        [(1, false, "ENCODING", "ENCODING"), (2, false, "TABLE", "big"), (3, false, "CONSTRAINT", "big big_pkey")];
    for count in [2, 3] {
        let bytes = archive(14, &entries[..count]);
        let merged = reader(&bytes).merge(&[table("big", None)]).unwrap();
        let contents = read(&written(&bytes, &merged, &[&[b"1\n"]])).unwrap();
        // Beyond every number that is spoken of: each of these entries needs a 7 that is not there.
        assert_eq!(kinds(&contents)[2], (8, "TABLE DATA", "big"));
    }
}

#[test]
fn without_large_tables_it_stays_as_it_is() {
    let bytes = archive(15, &ENTRIES);
    let merged = reader(&bytes).merge(&[]).unwrap();
    assert!(bytes.starts_with(&merged.head) && merged.added.is_empty());
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let bytes = archive(14, &ENTRIES);
    let refused = |table: Table| reader(&bytes).merge(&[table]).unwrap_err();
    assert_eq!(refused(table("lost", None)), Unmergeable::NotOne { table: "\"public\".\"lost\"".into(), found: 0 });
    assert_eq!(
        refused(table("big", Some("lost"))),
        Unmergeable::NotOne { table: "\"public\".\"lost\"".into(), found: 0 }
    );
    let other = Table { encoding: "LATIN1".into(), ..table("big", None) };
    let statement = "SET client_encoding = 'UTF8';\n".to_owned();
    assert_eq!(
        refused(other),
        Unmergeable::OtherEncoding { table: "\"public\".\"big\"".into(), encoding: "LATIN1".into(), statement }
    );
    assert_eq!(Reader::new().merge(&[]), Err(Unmergeable::NoContents));
    let bare = archive(14, &[(1, false, "TABLE", "big")]);
    assert_eq!(reader(&bare).merge(&[]), Err(Unmergeable::NoContents));
}

/// In an archive of another encoding a name outside of ASCII is known once it is decoded, and by its rest until then.
#[test]
fn a_foreign_name_is_found_as_well_as_it_is_known() {
    let latin_table = |name: &str| Table { encoding: "LATIN1".into(), ..table(name, None) };
    let encoding = (90, false, "ENCODING", b"ENCODING".as_slice());
    let tables = [encoding, (1, false, "TABLE", b"t\xfc".as_slice()), (2, false, "TABLE", b"t\xe9".as_slice())];
    let alone = archive_in("LATIN1", 14, &tables[..2]);
    assert_eq!(reader(&alone).merge(&[latin_table("tü")]).unwrap().added.len(), 1);
    let both = archive_in("LATIN1", 14, &tables);
    let mut both = reader(&both);
    assert!(matches!(both.merge(&[latin_table("tü")]), Err(Unmergeable::NotOne { found: 2, .. })));
    both.decode(&BTreeMap::from([(b"t\xfc".to_vec(), "tü".to_owned()), (b"t\xe9".to_vec(), "té".to_owned())]));
    let merged = both.merge(&[latin_table("tü")]).unwrap();
    assert!(has(&merged.head, b"COPY public.t\xfc (\"a\", \"select\") FROM stdin;\n"));
    let data = [(11, true, "TABLE DATA", b"t\xfc".as_slice()), (12, true, "TABLE DATA", b"t\xe9".as_slice())];
    let inside = archive_in("LATIN1", 14, &[&tables[..], &data].concat());
    let mut inside = reader(&inside);
    assert_eq!(inside.merge(&[latin_table("tü")]).unwrap().held, [(0, vec![11, 12])]);
    inside.decode(&BTreeMap::from([(b"t\xfc".to_vec(), "tü".to_owned()), (b"t\xe9".to_vec(), "té".to_owned())]));
    assert_eq!(inside.merge(&[latin_table("tü")]).unwrap().held, [(0, vec![11])]);
}
