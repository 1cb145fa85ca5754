//! The local index: a small table in memory, spilled to sorted segments, which are merged by tiers as they grow. A
//! lookup asks the filter, then memory, then each segment; a merge rewrites a row once per tier, so loading is linear
//! but for a small factor. Shared by all streams of a domain handle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::doubtful::{Doubt, Doubtful};
use super::filter::Filter;
use super::object::{IndexTable, PACK_ENTRY_LENGTH, PackEntry};
use super::row::{BEST, Row};
use super::segment::{Merge, Segment};
use super::sketches::Sketches;
use super::tiers::{Merging, Tiers};
use crate::error::{Error, Result};
use crate::ids::ChunkId;
use crate::pack::record::{ChunkKind, ChunkRecord};
use crate::similarity::sketch::Sketch;
use crate::wire::Cursor;

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
    doubtful: RwLock<Doubtful>,
    /// Records that have more than a row holds: those of deltas.
    extras: File,
    /// The length of `extras`. Held by whoever adds: one at a time, while lookups go on.
    adding: Mutex<u64>,
}

struct State {
    memory: BTreeMap<ChunkId, Row>,
    segments: Tiers<Segment>,
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
            state: RwLock::new(State { memory: BTreeMap::new(), segments: Tiers::default() }),
            // An entry takes about a third of a row, and a chunk has four.
            sketches: Sketches::new(folder, rows_in_memory),
            packs,
            pack_count: AtomicU32::new(0),
            doubtful: RwLock::default(),
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

    fn doubtful(&self) -> RwLockReadGuard<'_, Doubtful> {
        self.doubtful.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the chunk is stored, if it is in some index object and in a pack that stays, and so is its base, whole.
    pub(crate) fn stored(&self, id: &ChunkId) -> Result<Option<ChunkKind>> {
        let Some(located) = self.usable(id)? else { return Ok(None) };
        match located.record.base {
            Some(base) if self.usable(&base)?.is_none_or(|base| base.record.kind != ChunkKind::Whole) => Ok(None),
            _ => Ok(Some(located.record.kind)),
        }
    }

    /// Where the chunk lies, if its pack exists and stays: what something new may rely on.
    pub(crate) fn usable(&self, id: &ChunkId) -> Result<Option<Located>> {
        Ok(self.find(id)?.filter(|located| !self.doubtful().contains(located.pack)))
    }

    /// A whole chunk that is similar to the one of this sketch, and may be a base.
    pub(crate) fn similar(&self, sketch: &Sketch) -> Result<Option<ChunkId>> {
        self.with_numbers(&sketch.0)?.next().transpose()
    }

    /// Whole chunks that begin in a similar way and may be bases, the most similar first.
    pub(crate) fn begin_alike(&self, beginning: &[u64]) -> Result<Vec<ChunkId>> {
        self.with_numbers(beginning)?.collect()
    }

    /// Looks each of them up only when it is asked for.
    fn with_numbers(&self, numbers: &[u64]) -> Result<impl Iterator<Item = Result<ChunkId>>> {
        let starts = self.sketches.similar(numbers).map_err(self.local("reading"))?;
        let usable = |row: &Row| row.kind == ChunkKind::Whole as u8 && !self.doubtful().contains(row.pack);
        Ok(starts.into_iter().filter_map(move |start| {
            let found = self.find_start(start).map(|row| row.filter(usable).map(|row| row.id));
            found.transpose()
        }))
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
            state.segments.segments()
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

    /// The chunk's row; one of a delta, or of a pack in doubt, only where there is no better one.
    fn find_row(&self, id: &ChunkId) -> Result<Option<Row>> {
        if !self.filter.may_contain(id) {
            return Ok(None);
        }
        let (mut found, segments) = {
            let state = self.read();
            (state.memory.get(id).copied(), state.segments.segments())
        };
        let rank = |row: &Option<Row>| row.map(|row| row.rank(&self.doubtful()));
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

    /// Adds what an index object says, and tells the number its first pack got. `doubt` says which packs are
    /// not to be relied on.
    /// Chunks that are known keep their place, unless there is a better one.
    pub(crate) fn add(&self, table: &IndexTable, doubt: impl Fn(&PackEntry) -> Option<Doubt>) -> Result<u32> {
        let mut extras_length = self.adding();
        let first = self.pack_count();
        let rows = self.append(table, first, &mut extras_length).map_err(self.local("writing"))?;
        for (number, pack) in (first..).zip(&table.packs) {
            if let Some(doubt) = doubt(pack) {
                self.doubtful.write().unwrap_or_else(PoisonError::into_inner).insert(number, doubt);
            }
        }
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
            let doubtful = self.doubtful();
            for row in rows {
                let known = state.memory.entry(row.id).or_insert(row);
                if row.rank(&doubtful) > known.rank(&doubtful) {
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
        let segment = Segment::write(&self.folder, rows.into_iter().map(Ok))?;
        {
            let mut state = self.write();
            state.segments.push(segment);
            state.memory.clear();
        }
        loop {
            let full = self.read().segments.full();
            let Some(tier) = full else { return Ok(()) };
            self.merge(&tier)?;
        }
    }

    fn merge(&self, merging: &Merging<Segment>) -> io::Result<()> {
        let merged = Segment::write(&self.folder, Merge::new(&merging.segments, self.doubtful().clone())?)?;
        self.write().segments.replace(merging, merged);
        Ok(())
    }

    /// Merges everything on disk into one segment: worth it after loading, before many lookups.
    pub(crate) fn compact(&self) -> Result<()> {
        let _adding = self.adding();
        self.sketches.compact().map_err(self.local("writing"))?;
        let all = self.read().segments.everything();
        all.map_or(Ok(()), |all| self.merge(&all).map_err(self.local("writing")))
    }

    /// Number of rows, those known twice counted twice where they lie in different segments.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> u64 {
        let state = self.read();
        state.memory.len() as u64 + state.segments.segments().iter().map(|segment| segment.rows()).sum::<u64>()
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
mod tests;
