//! Images that are written are read as what they were; real ones are read as what is known of them.

use std::io;
use std::path::PathBuf;

use haulier_pages::{PAGE, PageMaker};
use jiff::civil::date;
use uuid::Uuid;

use super::*;

struct Made(PageMaker);

impl Pages for Made {
    fn extent(&self, number: u32, into: &mut [u8; EXTENT]) -> io::Result<()> {
        for (page, number) in into.as_chunks_mut::<PAGE>().0.iter_mut().zip(number * 8..) {
            self.0.fill(page, 7, number);
        }
        Ok(())
    }
}

fn lsn(block: u32, slot: u16) -> Lsn {
    Lsn { file: 40, block, slot }
}

fn header() -> Header {
    Header {
        kind: Kind::Differential,
        database: "Größe".into(),
        server: "EC2AMAZ".into(),
        version: 957,
        compatibility: 160,
        set: Uuid::from_u128(1),
        member: Member { number: 2, of: 3 },
        first: lsn(100, 37),
        last: lsn(120, 1),
        checkpoint: lsn(100, 37),
        database_backup: lsn(50, 37),
        base: Some(Base { lsn: lsn(50, 37), set: Uuid::from_u128(2) }),
        family: Uuid::from_u128(3),
        fork: Uuid::from_u128(6),
        started: date(2026, 11, 27).at(10, 0, 0, 0),
        finished: date(2026, 11, 27).at(10, 0, 5, 0),
        bytes: 3 * EXTENT as u64,
        parts: vec![
            Part { logical_name: "a".into(), file_guid: Uuid::from_u128(4), log: false, bytes: 1 << 20 },
            Part { logical_name: "a_log".into(), file_guid: Uuid::from_u128(5), log: true, bytes: 2 << 20 },
        ],
    }
}

#[test]
fn an_image_says_what_was_written_into_it() {
    let image = Image::new(&header(), vec![1, 4, 9]);
    let pages = Made(PageMaker::new());
    let whole = image.read(&pages, 0, usize::MAX >> 1).unwrap();
    assert_eq!(whole.len() as u64, image.length());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bak");
    std::fs::write(&path, &whole).unwrap();
    let Inspected::Plain(read, range) = inspect(&path).unwrap() else { panic!("not read") };
    assert_eq!(*read, header());
    assert_eq!(range.end - range.start, 3 * EXTENT as u64);
    assert_eq!(range.start % 512, 0);
    let file = std::fs::File::open(&path).unwrap();
    let found: Vec<u32> = places(&file, &range).unwrap().into_iter().map(|(extent, _)| extent).collect();
    assert_eq!(found, [1, 4, 9]);
    // Parts of it are what they are in the whole.
    for (offset, length) in [(0, 10), (3000, 100_000), (60_000, 70_000), (image.length() - 10, 100)] {
        let part = image.read(&pages, offset, length).unwrap();
        let start = offset as usize;
        assert_eq!(part, whole[start..(start + length).min(whole.len())], "{offset} {length}");
    }
}

#[test]
fn a_log_says_what_was_written_into_it() {
    let header = Header { kind: Kind::Log, base: None, ..header() };
    let at = |milliseconds| date(2026, 11, 27).at(10, 0, 0, milliseconds * 1_000_000);
    let change = |block, pages| Change { lsn: lsn(block, 1), committed: at(7), generation: block, pages };
    let records = Records { until: at(250), changes: vec![change(101, vec![3, 5]), change(102, Vec::new())] };
    let bytes = records.image(&header);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trn");
    std::fs::write(&path, &bytes).unwrap();
    let Inspected::Plain(read, range) = inspect(&path).unwrap() else { panic!("not read") };
    assert_eq!(*read, header);
    assert_eq!(Records::read(&path, &range).unwrap().as_ref(), Some(&records));
    assert_eq!(Records::read(&path, &(range.start..range.end - 32)).unwrap(), None, "cut short");
}

#[test]
fn what_is_damaged_or_foreign_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bak");
    let mut whole = Image::new(&header(), Vec::new()).read(&Made(PageMaker::new()), 0, 1 << 20).unwrap();
    whole[4] ^= 1;
    for (bytes, expected) in [
        (whole, Inspected::Foreign),
        (b"TAPE".to_vec(), Inspected::Foreign),
        (Vec::new(), Inspected::Foreign),
        (b"MSSQLBAK\x02\0\0\0".to_vec(), Inspected::Compressed),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(inspect(&path).unwrap(), expected);
    }
}

/// The folder of real backups, where somebody names one: chain/, stripe/ and files of other databases.
fn samples() -> Option<PathBuf> {
    std::env::var_os("HAULIER_SAMPLE_BACKUPS").map(PathBuf::from)
}

fn real(name: &str) -> Option<Header> {
    let path = samples()?.join(name);
    match inspect(&path).unwrap() {
        Inspected::Plain(header, _) => Some(*header),
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn a_real_chain_hangs_together() {
    for (full, differential) in [
        ("chain/test_FULL_20160629_141300.bak", "chain/test_DIFF_20160629_141600.bak"),
        ("chain/test_FULL_20160629_142200.bak", "chain/test_DIFF_20160629_142500.bak"),
    ] {
        let (Some(full), Some(differential)) = (real(full), real(differential)) else { return };
        assert_eq!((full.kind, differential.kind), (Kind::Full, Kind::Differential));
        assert_eq!((&*full.database, full.version), ("OlaMsFilterTest", 661));
        assert_eq!(differential.base, Some(Base { lsn: full.checkpoint, set: full.set }));
        assert_eq!(differential.database_backup, full.checkpoint);
        assert_eq!(full.family, differential.family);
        assert!(full.last < differential.first);
        assert_eq!(full.parts.len(), 2);
        assert_eq!((&*full.parts[0].logical_name, full.parts[0].bytes), ("OlaMsFilterTest", 3 << 20));
        assert!(full.parts[1].log && !full.parts[1].file_guid.is_nil());
    }
}

#[test]
fn real_files_of_other_versions_are_read_too() {
    let Some(header) = real("northwind.bak") else { return };
    assert_eq!((&*header.database, &*header.server, header.version), ("Northwind", "LENOVO", 782));
    let compressed = samples().unwrap().join("TutorialDB.bak");
    assert_eq!(inspect(&compressed).unwrap(), Inspected::Compressed);
}
