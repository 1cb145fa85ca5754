#![allow(clippy::print_stdout, reason = "the measurement among them speaks")]

use super::*;
use crate::codec::Codec;
use crate::ids::PackId;

fn id(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn table(numbers: std::ops::Range<u64>) -> IndexTable {
    let mut table = IndexTable::default();
    let records = numbers
        .clone()
        .map(|number| ChunkRecord {
            id: id(number),
            kind: ChunkKind::Whole,
            codec: Codec::Zstd,
            position: number as u32,
            offset: 48,
            stored: 100,
            plain: 200,
            base: None,
            sketch: None,
        })
        .collect();
    table.add_pack(PackEntry { id: PackId(id(numbers.start).0), salt: [1; 32], size: numbers.start }, records);
    table
}

/// Peak resident memory of this process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn sketch(number: u64) -> Sketch {
    let bytes = blake3::hash(&(!number).to_le_bytes());
    Sketch(std::array::from_fn(|at| u64::from_le_bytes(bytes.as_bytes()[at * 8..at * 8 + 8].try_into().unwrap()) >> 16))
}

/// An index of that many chunks, half of which could be bases.
fn fill(index: &LocalIndex, chunks: u64, batch: u64) {
    for part in 0..chunks / batch {
        let mut table = table(part * batch..(part + 1) * batch);
        for (_, record) in table.rows.iter_mut().step_by(2) {
            record.sketch = Some(sketch(record.position.into()).to_bytes());
        }
        assert_eq!(index.add(&table, |_| None).unwrap(), part as u32);
    }
    index.compact().unwrap();
    assert_eq!(index.rows(), chunks);
}

fn find_all(index: &LocalIndex, chunks: u64, batch: u64, step: usize) {
    for number in (0..chunks).step_by(step) {
        let located = index.find(&id(number)).unwrap().unwrap();
        assert_eq!((u64::from(located.record.position), u64::from(located.pack)), (number, number / batch));
        assert_eq!(index.pack(located.pack).unwrap().size, number / batch * batch);
        assert_eq!(index.similar(&sketch(number)).unwrap(), (number % 2 == 0).then(|| id(number)));
    }
    assert!((chunks..chunks + 1_000).all(|number| index.stored(&id(number)).unwrap().is_none()));
}

#[test]
fn millions_of_chunks_are_found_in_bounded_memory() {
    const BATCH: u64 = 1 << 15;
    const CHUNKS: u64 = 64 * BATCH;
    let folder = tempfile::tempdir().unwrap();
    let before = peak();
    let index = LocalIndex::new(folder.path(), CHUNKS, 1 << 15, 4 << 20).unwrap();
    fill(&index, CHUNKS, BATCH);
    find_all(&index, CHUNKS, BATCH, 997);
    // Two million rows and their sketches are 200 MB on disk.
    let grown = peak() - before;
    assert!(grown < 48 << 20, "grew by {} MiB", grown >> 20);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the files have no names");
}

/// A hundred million chunks, 25 TB at 256 KiB, or as many as `HAULIER_INDEX_CHUNKS` says. Takes 10 GB of disk, twice
/// that while it merges, and minutes: see `docs/benchmarks.md`.
#[test]
#[ignore = "takes minutes and tens of gigabytes of disk"]
fn a_hundred_million_chunks_are_found_in_the_memory_that_a_worker_grants() {
    const BATCH: u64 = 1 << 15;
    let asked = std::env::var("HAULIER_INDEX_CHUNKS").map_or(100_000_000, |chunks| chunks.parse().unwrap());
    let chunks = u64::div_ceil(asked, BATCH) * BATCH;
    let plan = crate::memory::Plan::new(crate::memory::DEFAULT);
    let folder = tempfile::tempdir().unwrap();
    let (before, started) = (peak(), std::time::Instant::now());
    let index = LocalIndex::new(folder.path(), chunks, plan.index_rows, plan.filter).unwrap();
    fill(&index, chunks, BATCH);
    let filled = started.elapsed();
    find_all(&index, chunks, BATCH, 999_983);
    let looked_up = std::time::Instant::now();
    let new = (chunks + 1_000..chunks + 101_000).filter(|number| index.stored(&id(*number)).unwrap().is_none());
    assert_eq!(new.count(), 100_000);
    let each = looked_up.elapsed() / 100_000;
    let grown = peak() - before;
    println!("{chunks} chunks: {} MiB, filled in {filled:?}, {each:?} to see that a chunk is new", grown >> 20);
    assert!(grown < 128 << 20, "grew by {} MiB", grown >> 20);
}

#[test]
fn a_chunk_known_twice_keeps_its_first_place_but_a_whole_one_goes_before_a_delta() {
    let folder = tempfile::tempdir().unwrap();
    let index = LocalIndex::new(folder.path(), 1_000, 4, 1 << 20).unwrap();
    let mut first = table(0..3);
    first.rows[1].1.kind = ChunkKind::Delta;
    first.rows[1].1.base = Some(id(0));
    let expected = first.rows[1].1.clone();
    index.add(&first, |_| None).unwrap();
    assert_eq!(index.find(&id(1)).unwrap(), Some(Located { pack: 0, record: expected }));
    index.add(&table(0..40), |_| None).unwrap();
    for compacted in [false, true] {
        if compacted {
            index.compact().unwrap();
        }
        assert_eq!([0, 1, 3].map(|number| index.find(&id(number)).unwrap().unwrap().pack), [0, 1, 1]);
        assert_eq!(index.stored(&id(1)).unwrap(), Some(ChunkKind::Whole));
    }
}

#[test]
fn a_place_in_a_lost_pack_is_the_last_resort() {
    let folder = tempfile::tempdir().unwrap();
    // In memory, then spilled, then merged: the answer is the same.
    for rows_in_memory in [1_000, 1] {
        let index = LocalIndex::new(folder.path(), 1_000, rows_in_memory, 1 << 20).unwrap();
        index.add(&table(0..5), |_| Some(Doubt::Missing)).unwrap();
        assert_eq!(index.stored(&id(3)).unwrap(), None);
        assert_eq!(index.find(&id(3)).unwrap().unwrap().pack, 0, "so that a reader can say what is lost");
        index.add(&table(3..8), |_| None).unwrap();
        for compacted in [false, true] {
            if compacted {
                index.compact().unwrap();
            }
            assert!(index.stored(&id(3)).unwrap().is_some() && index.stored(&id(2)).unwrap().is_none());
            assert_eq!(index.find(&id(3)).unwrap().unwrap().pack, 1);
            assert_eq!(index.find(&id(2)).unwrap().unwrap().pack, 0);
        }
    }
}

#[test]
fn lookups_see_every_settled_row_while_others_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let index = LocalIndex::new(folder.path(), 100_000, 1_000, 1 << 20).unwrap();
    let settled = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..200 {
                index.add(&table(batch * 300..(batch + 1) * 300), |_| None).unwrap();
                settled.store((batch + 1) * 300, Ordering::Release);
            }
        });
        let mut seen = 0;
        while seen < 60_000 {
            seen = settled.load(Ordering::Acquire);
            for number in (0..seen).rev().step_by(101) {
                assert!(index.stored(&id(number)).unwrap().is_some(), "{number} of {seen}");
            }
        }
    });
}
