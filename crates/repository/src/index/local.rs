//! The local index: a small table in memory, spilled to sorted segments, which are merged by tiers as they grow. A
//! lookup asks the filter, then memory, then each segment; a merge rewrites a row once per tier, so loading is linear
//! but for a small factor. Shared by all streams of a domain handle.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::filter::Filter;
use super::object::{IndexTable, PACK_ENTRY_LENGTH, PackEntry};
use super::row::{BEST, Row};
use super::segment::{Merge, Segment};
use super::sketches::Sketches;
use crate::error::{Error, Result};
use crate::ids::ChunkId;
use crate::pack::record::{ChunkKind, ChunkRecord};
use crate::similarity::sketch::Sketch;
use crate::wire::Cursor;

/// Segments of a tier before they become one of the next.
const TIER: usize = 8;

/// A chunk's record and the number of its pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) pack: u32,
    pub(crate) record: ChunkRecord,
}

/// Everything the domain's index objects say, on the local disk.
pub(crate) struct LocalIndex {
    folder: PathBuf,
    rows_in_memory: usize,
    filter: Filter,
    state: RwLock<State>,
    /// What finds chunks that are similar to a new one.
    sketches: Sketches,
    packs: File,
    pack_count: AtomicU32,
    /// Packs that index objects name and the store does not have. Almost always empty.
    lost: RwLock<HashSet<u32>>,
    /// Records that have more than a row holds: those of deltas.
    extras: File,
    /// The length of `extras`. Held by whoever adds: one at a time, while lookups go on.
    adding: Mutex<u64>,
}

struct State {
    memory: BTreeMap<ChunkId, Row>,
    /// Segments and their tiers, oldest first.
    segments: Vec<(u32, Arc<Segment>)>,
}

impl LocalIndex {
    /// An empty index with files under `folder`, for about `expected` chunks.
    pub(crate) fn new(folder: &Path, expected: u64, rows_in_memory: usize, filter_bytes: usize) -> Result<Self> {
        let open = || -> io::Result<(File, File)> {
            std::fs::create_dir_all(folder)?;
            Ok((tempfile::tempfile_in(folder)?, tempfile::tempfile_in(folder)?))
        };
        let (packs, extras) =
            open().map_err(|source| Error::Local { doing: "creating", path: folder.to_owned(), source })?;
        Ok(Self {
            folder: folder.to_owned(),
            rows_in_memory,
            filter: Filter::new(expected, filter_bytes),
            state: RwLock::new(State { memory: BTreeMap::new(), segments: Vec::new() }),
            // An entry takes about a third of a row, and a chunk has four.
            sketches: Sketches::new(folder, rows_in_memory),
            packs,
            pack_count: AtomicU32::new(0),
            lost: RwLock::default(),
            extras,
            adding: Mutex::new(0),
        })
    }

    fn local(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = self.folder.clone();
        move |source| Error::Local { doing, path, source }
    }

    /// A failure of a file beside the index.
    pub(crate) fn failed(&self, source: io::Error) -> Error {
        self.local("reading")(source)
    }

    // A poisoned lock means that a thread panicked while it held it; every change below is complete or not begun.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn adding(&self) -> MutexGuard<'_, u64> {
        self.adding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> RwLockReadGuard<'_, HashSet<u32>> {
        self.lost.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the chunk is stored, if it is in some index object and in a pack that exists, and so is its base.
    pub(crate) fn stored(&self, id: &ChunkId) -> Result<Option<ChunkKind>> {
        let Some(located) = self.usable(id)? else { return Ok(None) };
        match located.record.base {
            Some(base) if self.usable(&base)?.is_none() => Ok(None),
            _ => Ok(Some(located.record.kind)),
        }
    }

    /// Where the chunk lies, if its pack exists: what something new may rely on.
    pub(crate) fn usable(&self, id: &ChunkId) -> Result<Option<Located>> {
        Ok(self.find(id)?.filter(|located| !self.lost().contains(&located.pack)))
    }

    /// A whole chunk that is similar to the one of this sketch, and may be a base.
    pub(crate) fn similar(&self, sketch: &Sketch) -> Result<Option<ChunkId>> {
        for start in self.sketches.similar(sketch).map_err(self.local("reading"))? {
            let Some(row) = self.find_start(start)? else { continue };
            if row.kind == ChunkKind::Whole as u8 && !self.lost().contains(&row.pack) {
                return Ok(Some(row.id));
            }
        }
        Ok(None)
    }

    /// A chunk whose id starts like this.
    fn find_start(&self, start: u64) -> Result<Option<Row>> {
        let (mut first, mut last) = ([0; 32], [0xFF; 32]);
        first[..8].copy_from_slice(&start.to_be_bytes());
        last[..8].copy_from_slice(&start.to_be_bytes());
        let segments = {
            let state = self.read();
            if let Some((_, row)) = state.memory.range(ChunkId(first)..=ChunkId(last)).next() {
                return Ok(Some(*row));
            }
            state.segments.iter().map(|(_, segment)| Arc::clone(segment)).collect::<Vec<_>>()
        };
        for segment in segments {
            if let Some(row) = segment.find_start(start).map_err(self.local("reading"))? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Where the chunk lies. What a row of a whole chunk has as sketch is not given again.
    pub(crate) fn find(&self, id: &ChunkId) -> Result<Option<Located>> {
        let Some(row) = self.find_row(id)? else { return Ok(None) };
        let mut record = row.record();
        if row.extra != 0 {
            record = self.read_extra(row.extra - 1).map_err(self.local("reading"))?.unwrap_or(record);
        }
        Ok(Some(Located { pack: row.pack, record }))
    }

    /// The chunk's row; one of a delta, or of a pack that is lost, only where there is no better one.
    fn find_row(&self, id: &ChunkId) -> Result<Option<Row>> {
        if !self.filter.may_contain(id) {
            return Ok(None);
        }
        let (mut found, segments) = {
            let state = self.read();
            let segments: Vec<Arc<Segment>> = state.segments.iter().map(|(_, segment)| Arc::clone(segment)).collect();
            (state.memory.get(id).copied(), segments)
        };
        let rank = |row: &Option<Row>| row.map(|row| row.rank(&self.lost()));
        for segment in segments {
            if rank(&found) == Some(BEST) {
                break;
            }
            let row = segment.find(id).map_err(self.local("reading"))?;
            if rank(&row) > rank(&found) {
                found = row;
            }
        }
        Ok(found)
    }

    /// The number of packs known.
    pub(crate) fn pack_count(&self) -> u32 {
        self.pack_count.load(Ordering::Acquire)
    }

    /// The pack of that number.
    pub(crate) fn pack(&self, number: u32) -> Result<PackEntry> {
        let mut bytes = [0; PACK_ENTRY_LENGTH];
        let at = u64::from(number) * PACK_ENTRY_LENGTH as u64;
        self.packs.read_exact_at(&mut bytes, at).map_err(self.local("reading"))?;
        PackEntry::take(&mut Cursor::new(&bytes))
            .ok_or_else(|| self.local("reading")(io::Error::from(io::ErrorKind::InvalidData)))
    }

    /// The packs whose name starts with `first`, or all, with their numbers.
    pub(crate) fn packs(&self, first: Option<u8>) -> Result<Vec<(u32, PackEntry)>> {
        let mut packs = Vec::new();
        for number in 0..self.pack_count() {
            let entry = self.pack(number)?;
            if first.is_none_or(|first| entry.id.0[0] == first) {
                packs.push((number, entry));
            }
        }
        Ok(packs)
    }

    /// Adds what an index object says, and tells the number its first pack got. `lost` says which packs are not there.
    /// Chunks that are known keep their place, unless there is a better one.
    pub(crate) fn add(&self, table: &IndexTable, lost: impl Fn(&PackEntry) -> bool) -> Result<u32> {
        let mut extras_length = self.adding();
        let first = self.pack_count();
        let rows = self.append(table, first, &mut extras_length).map_err(self.local("writing"))?;
        let missing = (first..).zip(&table.packs).filter(|(_, pack)| lost(pack)).map(|(number, _)| number);
        self.lost.write().unwrap_or_else(PoisonError::into_inner).extend(missing);
        let sketches = table.rows.iter().filter(|(_, record)| record.kind == ChunkKind::Whole);
        let sketches = sketches.filter_map(|(_, record)| {
            Some((super::row::key(&record.id), Sketch::from_bytes(record.sketch.as_deref()?)?))
        });
        self.sketches.add(sketches).map_err(self.local("writing"))?;
        // Rows become visible before their ids leave the writer's set of chunks in flight, and the filter before both.
        for row in &rows {
            self.filter.insert(&row.id);
        }
        let full = {
            let mut state = self.write();
            let lost = self.lost();
            for row in rows {
                let known = state.memory.entry(row.id).or_insert(row);
                if row.rank(&lost) > known.rank(&lost) {
                    *known = row;
                }
            }
            state.memory.len() >= self.rows_in_memory
        };
        if full {
            self.spill().map_err(self.local("writing"))?;
        }
        Ok(first)
    }

    /// Moves the rows in memory to a segment, and merges tiers that are full. The caller holds `adding`.
    fn spill(&self) -> io::Result<()> {
        let rows: Vec<Row> = self.read().memory.values().copied().collect();
        let segment = Arc::new(Segment::write(&self.folder, rows.into_iter().map(Ok))?);
        {
            let mut state = self.write();
            state.segments.push((0, segment));
            state.memory.clear();
        }
        loop {
            let (tier, tail) = {
                let state = self.read();
                let Some((tier, _)) = state.segments.last() else { return Ok(()) };
                let start = state.segments.iter().rposition(|(other, _)| other != tier).map_or(0, |at| at + 1);
                (*tier, state.segments[start..].iter().map(|(_, segment)| Arc::clone(segment)).collect::<Vec<_>>())
            };
            if tail.len() < TIER {
                return Ok(());
            }
            self.replace_tail(&tail, tier + 1)?;
        }
    }

    fn replace_tail(&self, tail: &[Arc<Segment>], tier: u32) -> io::Result<()> {
        let merged = Arc::new(Segment::write(&self.folder, Merge::new(tail, self.lost().clone())?)?);
        let mut state = self.write();
        let keep = state.segments.len() - tail.len();
        state.segments.truncate(keep);
        state.segments.push((tier, merged));
        Ok(())
    }

    /// Merges everything on disk into one segment: worth it after loading, before many lookups.
    pub(crate) fn compact(&self) -> Result<()> {
        let _adding = self.adding();
        self.sketches.compact().map_err(self.local("writing"))?;
        let (tier, all) = {
            let state = self.read();
            let tier = state.segments.iter().map(|(tier, _)| *tier).max().unwrap_or_default();
            (tier, state.segments.iter().map(|(_, segment)| Arc::clone(segment)).collect::<Vec<_>>())
        };
        if all.len() < 2 { Ok(()) } else { self.replace_tail(&all, tier + 1).map_err(self.local("writing")) }
    }

    /// Number of rows, those known twice counted twice where they lie in different segments.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> u64 {
        let state = self.read();
        state.memory.len() as u64 + state.segments.iter().map(|(_, segment)| segment.rows()).sum::<u64>()
    }

    fn read_extra(&self, at: u64) -> io::Result<Option<ChunkRecord>> {
        let mut length = [0; 4];
        self.extras.read_exact_at(&mut length, at)?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.extras.read_exact_at(&mut bytes, at + 4)?;
        Ok(ChunkRecord::take(&mut Cursor::new(&bytes)).ok())
    }

    /// Writes what does not belong into segments, and makes the rows that do.
    fn append(&self, table: &IndexTable, first: u32, extras_length: &mut u64) -> io::Result<Vec<Row>> {
        let mut packs = Vec::with_capacity(table.packs.len() * PACK_ENTRY_LENGTH);
        for pack in &table.packs {
            pack.put(&mut packs);
        }
        self.packs.write_all_at(&packs, u64::from(first) * PACK_ENTRY_LENGTH as u64)?;
        let mut extras = Vec::new();
        let mut rows = Vec::with_capacity(table.rows.len());
        for (pack, record) in &table.rows {
            let mut extra = 0;
            if record.kind == ChunkKind::Delta {
                extra = *extras_length + extras.len() as u64 + 1;
                let mut bytes = Vec::new();
                record.put(&mut bytes);
                extras.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                extras.extend_from_slice(&bytes);
            }
            rows.push(Row::of(record, first + pack, extra));
        }
        self.extras.write_all_at(&extras, *extras_length)?;
        *extras_length += extras.len() as u64;
        self.pack_count.store(first + table.packs.len() as u32, Ordering::Release);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
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
        Sketch(std::array::from_fn(|at| {
            u64::from_le_bytes(bytes.as_bytes()[at * 8..at * 8 + 8].try_into().unwrap()) >> 16
        }))
    }

    /// An index of that many chunks, half of which could be bases.
    fn fill(index: &LocalIndex, chunks: u64, batch: u64) {
        for part in 0..chunks / batch {
            let mut table = table(part * batch..(part + 1) * batch);
            for (_, record) in table.rows.iter_mut().step_by(2) {
                record.sketch = Some(sketch(record.position.into()).to_bytes());
            }
            assert_eq!(index.add(&table, |_| false).unwrap(), part as u32);
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
    /// that while it merges, and minutes: `cargo nextest run --release -p haulier-repository --run-ignored only
    /// a_hundred_million`.
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
        index.add(&first, |_| false).unwrap();
        assert_eq!(index.find(&id(1)).unwrap(), Some(Located { pack: 0, record: expected }));
        index.add(&table(0..40), |_| false).unwrap();
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
            index.add(&table(0..5), |_| true).unwrap();
            assert_eq!(index.stored(&id(3)).unwrap(), None);
            assert_eq!(index.find(&id(3)).unwrap().unwrap().pack, 0, "so that a reader can say what is lost");
            index.add(&table(3..8), |_| false).unwrap();
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
                    index.add(&table(batch * 300..(batch + 1) * 300), |_| false).unwrap();
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
}
