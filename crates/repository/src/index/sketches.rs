//! From a number of a sketch to chunks that have it: sorted segments on disk beside those of the chunks, and a small sorted
//! set in memory. Sixteen bytes per number on disk, a thirty-second of a byte in memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::tiers::{Merging, Tiers};
use crate::similarity::sketch::Sketch;

/// Length of an entry on disk: the number, and the first eight bytes of the chunk's id.
const ENTRY: usize = 16;
/// Entries between two fences: 4 KiB.
const BLOCK: usize = 256;
/// Entries that a merge reads ahead of each segment.
const READ_AHEAD: usize = 4 * BLOCK;
/// Chunks that one number gives; more of them are equally good.
const MOST: usize = 4;

type Entry = (u64, u64);

/// All sketches of the chunks that can be bases.
pub(crate) struct Sketches {
    folder: PathBuf,
    in_memory: usize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    memory: BTreeSet<Entry>,
    segments: Tiers<Segment>,
}

impl Sketches {
    /// An empty set with files under `folder`; beyond `in_memory` entries it spills.
    pub(crate) fn new(folder: &Path, in_memory: usize) -> Self {
        Self { folder: folder.to_owned(), in_memory, state: RwLock::default() }
    }

    // As in the chunk index: every change is complete or not begun.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds chunks by the start of their ids. Only one at a time may add.
    pub(crate) fn add(&self, sketches: impl Iterator<Item = (u64, Sketch)>) -> io::Result<()> {
        let full = {
            let mut state = self.write();
            for (chunk, sketch) in sketches {
                state.memory.extend(sketch.0.map(|number| (number, chunk)));
            }
            state.memory.len() >= self.in_memory
        };
        if full { self.spill() } else { Ok(()) }
    }

    fn spill(&self) -> io::Result<()> {
        let entries: Vec<Entry> = self.read().memory.iter().copied().collect();
        let segment = Segment::write(&self.folder, entries.into_iter().map(Ok))?;
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
        let merged = Segment::write(&self.folder, Merge::new(&merging.segments)?)?;
        self.write().segments.replace(merging, merged);
        Ok(())
    }

    /// Merges everything on disk into one segment.
    pub(crate) fn compact(&self) -> io::Result<()> {
        let all = self.read().segments.everything();
        all.map_or(Ok(()), |all| self.merge(&all))
    }

    /// The starts of the ids of chunks that have some of these numbers in their sketches, most in common first.
    pub(crate) fn similar(&self, numbers: &[u64]) -> io::Result<Vec<u64>> {
        let segments = self.read().segments.segments();
        let mut votes: Vec<(u64, u32)> = Vec::new();
        for number in numbers.iter().copied() {
            let mut found: Vec<u64> =
                self.read().memory.range((number, 0)..=(number, u64::MAX)).take(MOST).map(|entry| entry.1).collect();
            for segment in &segments {
                segment.find(number, &mut found)?;
            }
            found.sort_unstable();
            found.dedup();
            for chunk in found {
                match votes.iter_mut().find(|(known, _)| *known == chunk) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((chunk, 1)),
                }
            }
        }
        votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(votes.into_iter().map(|(chunk, _)| chunk).collect())
    }
}

/// A sorted, immutable set of entries. Its file has no name.
struct Segment {
    file: File,
    entries: u64,
    fences: Vec<u64>,
}

impl Segment {
    fn write(folder: &Path, entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder)?);
        let mut count = 0_u64;
        let mut fences = Vec::new();
        for entry in entries {
            let (number, chunk) = entry?;
            if count.is_multiple_of(BLOCK as u64) {
                fences.push(number);
            }
            out.write_all(&number.to_le_bytes())?;
            out.write_all(&chunk.to_le_bytes())?;
            count += 1;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, entries: count, fences })
    }

    fn load(&self, first: u64, most: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let count = (self.entries - first).min(most as u64) as usize;
        buffer.resize(count * ENTRY, 0);
        self.file.read_exact_at(buffer, first * ENTRY as u64)
    }

    /// Adds chunks with this number to `found`, a few at most.
    fn find(&self, number: u64, found: &mut Vec<u64>) -> io::Result<()> {
        // Entries of the number begin in the block before the first fence that is not below it.
        let mut block = self.fences.partition_point(|fence| *fence < number).saturating_sub(1);
        let mut buffer = Vec::new();
        let mut left = MOST;
        while block < self.fences.len() && self.fences[block] <= number && left > 0 {
            self.load((block * BLOCK) as u64, BLOCK, &mut buffer)?;
            for (other, chunk) in buffer.chunks_exact(ENTRY).map(entry) {
                if other == number && left > 0 {
                    found.push(chunk);
                    left -= 1;
                }
            }
            block += 1;
        }
        Ok(())
    }
}

fn entry(bytes: &[u8]) -> Entry {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    (number(&bytes[..8]), number(&bytes[8..16]))
}

/// Merges segments in order, each entry once.
struct Merge {
    sources: Vec<Source>,
    heads: std::collections::BinaryHeap<std::cmp::Reverse<(Entry, usize)>>,
    last: Option<Entry>,
}

struct Source {
    segment: Arc<Segment>,
    next: u64,
    at: usize,
    buffer: Vec<u8>,
}

impl Source {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.at == self.buffer.len() {
            if self.next == self.segment.entries {
                return Ok(None);
            }
            self.segment.load(self.next, READ_AHEAD, &mut self.buffer)?;
            self.next += (self.buffer.len() / ENTRY) as u64;
            self.at = 0;
        }
        let found = entry(&self.buffer[self.at..self.at + ENTRY]);
        self.at += ENTRY;
        Ok(Some(found))
    }
}

impl Merge {
    fn new(segments: &[Arc<Segment>]) -> io::Result<Self> {
        let sources =
            segments.iter().map(|segment| Source { segment: Arc::clone(segment), next: 0, at: 0, buffer: Vec::new() });
        let mut merge = Self { sources: sources.collect(), heads: Default::default(), last: None };
        for source in 0..segments.len() {
            merge.advance(source)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, source: usize) -> io::Result<()> {
        if let Some(entry) = self.sources[source].next()? {
            self.heads.push(std::cmp::Reverse((entry, source)));
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        while let Some(std::cmp::Reverse((entry, source))) = self.heads.pop() {
            if let Err(error) = self.advance(source) {
                return Some(Err(error));
            }
            if self.last.replace(entry) != Some(entry) {
                return Some(Ok(entry));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(seed: u64) -> Sketch {
        Sketch(std::array::from_fn(|at| (seed * 4 + at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16))
    }

    #[test]
    fn chunks_are_found_in_memory_and_in_segments_of_every_tier() {
        let folder = tempfile::tempdir().unwrap();
        let sketches = Sketches::new(folder.path(), 1_000);
        for part in 0..100 {
            sketches.add((part * 100..part * 100 + 100).map(|chunk| (chunk, sketch(chunk)))).unwrap();
        }
        let found_all = |sketches: &Sketches| {
            (0..10_000).all(|chunk| sketches.similar(&sketch(chunk).0).unwrap() == [chunk])
                && (10_000..11_000).all(|chunk| sketches.similar(&sketch(chunk).0).unwrap().is_empty())
        };
        assert!(found_all(&sketches));
        sketches.compact().unwrap();
        assert!(found_all(&sketches));
    }

    #[test]
    fn most_in_common_comes_first_and_crowds_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let sketches = Sketches::new(folder.path(), 500);
        sketches.add([(1, Sketch([10, 20, 31, 41])), (2, Sketch([10, 20, 30, 42]))].into_iter()).unwrap();
        sketches.add((1_000..3_000).map(|chunk| (chunk, Sketch([7, 8, 9, chunk])))).unwrap();
        assert_eq!(sketches.similar(&[10, 20, 30, 40]).unwrap(), [2, 1]);
        let crowd = sketches.similar(&[7, 8, 9, 5]).unwrap();
        assert!((1..=100).contains(&crowd.len()), "{}", crowd.len());
    }
}
