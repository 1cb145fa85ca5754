//! Sorting more records than fit into memory: sorted runs on the local disk, merged by tiers. Equal records become one.
//! The files have no names and vanish with the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs of a tier before they become one of the next.
const TIER: usize = 16;
/// Bytes that are read ahead of each run.
const READ_AHEAD: usize = 64 << 10;

/// Takes records in any order.
pub(super) struct Sorter<const N: usize> {
    folder: PathBuf,
    limit: usize,
    buffer: Vec<[u8; N]>,
    /// Tier of each run, and the run; oldest first.
    runs: Vec<(u32, Sorted<N>)>,
}

/// Records in order, each once.
#[derive(Clone)]
pub(super) struct Sorted<const N: usize> {
    file: Arc<File>,
    records: u64,
}

impl<const N: usize> Sorter<N> {
    /// `memory` bytes are used for what is not yet on disk.
    pub(super) fn new(folder: &Path, memory: usize) -> Self {
        Self { folder: folder.to_owned(), limit: (memory / N).max(1), buffer: Vec::new(), runs: Vec::new() }
    }

    pub(super) fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        self.buffer.push(record);
        if self.buffer.len() < self.limit {
            return Ok(());
        }
        self.buffer.sort_unstable();
        self.buffer.dedup();
        // Many equal records: there is room again.
        if self.buffer.len() < self.limit / 2 { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.buffer.sort_unstable();
        self.buffer.dedup();
        let run = Sorted::write(&self.folder, self.buffer.drain(..).map(Ok))?;
        self.runs.push((0, run));
        while let Some((tier, _)) = self.runs.last() {
            let tier = *tier;
            let start = self.runs.iter().rposition(|(other, _)| *other != tier).map_or(0, |at| at + 1);
            if self.runs.len() - start < TIER {
                break;
            }
            let merged = self.merge(start)?;
            self.runs.truncate(start);
            self.runs.push((tier + 1, merged));
        }
        Ok(())
    }

    fn merge(&self, start: usize) -> io::Result<Sorted<N>> {
        let runs: Vec<Sorted<N>> = self.runs[start..].iter().map(|(_, run)| run.clone()).collect();
        Sorted::write(&self.folder, Merge::new(&runs)?)
    }

    pub(super) fn finish(mut self) -> io::Result<Sorted<N>> {
        if !self.buffer.is_empty() || self.runs.is_empty() {
            self.spill()?;
        }
        match self.runs.as_slice() {
            [(_, only)] => Ok(only.clone()),
            _ => self.merge(0),
        }
    }
}

impl<const N: usize> Sorted<N> {
    fn write(folder: &Path, records: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder)?);
        let mut count = 0;
        for record in records {
            out.write_all(&record?)?;
            count += 1;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file: Arc::new(file), records: count })
    }

    /// This one and another, merged.
    pub(super) fn with(&self, folder: &Path, other: &Self) -> io::Result<Self> {
        Self::write(folder, Merge::new(&[self.clone(), other.clone()])?)
    }

    pub(super) fn len(&self) -> u64 {
        self.records
    }

    pub(super) fn iter(&self) -> Records<N> {
        Records { sorted: self.clone(), next: 0, buffer: Vec::new(), at: 0 }
    }
}

/// Reads from front to back.
pub(super) struct Records<const N: usize> {
    sorted: Sorted<N>,
    next: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<const N: usize> Iterator for Records<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.buffer.len() {
            let left = (self.sorted.records - self.next).min((READ_AHEAD / N).max(1) as u64);
            if left == 0 {
                return None;
            }
            self.buffer.resize(left as usize * N, 0);
            self.at = 0;
            if let Err(error) = self.sorted.file.read_exact_at(&mut self.buffer, self.next * N as u64) {
                self.next = self.sorted.records;
                self.buffer.clear();
                return Some(Err(error));
            }
            self.next += left;
        }
        let mut record = [0; N];
        record.copy_from_slice(&self.buffer[self.at..self.at + N]);
        self.at += N;
        Some(Ok(record))
    }
}

/// Merges runs in order.
struct Merge<const N: usize> {
    sources: Vec<Records<N>>,
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Merge<N> {
    fn new(runs: &[Sorted<N>]) -> io::Result<Self> {
        let mut merge = Self { sources: runs.iter().map(Sorted::iter).collect(), heads: BinaryHeap::new() };
        for source in 0..runs.len() {
            merge.advance(source)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, source: usize) -> io::Result<()> {
        if let Some(record) = self.sources[source].next().transpose()? {
            self.heads.push(Reverse((record, source)));
        }
        Ok(())
    }

    fn take(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(Reverse((record, source))) = self.heads.pop() else { return Ok(None) };
        self.advance(source)?;
        while let Some(Reverse((same, source))) = self.heads.peek().copied()
            && same == record
        {
            self.heads.pop();
            self.advance(source)?;
        }
        Ok(Some(record))
    }
}

impl<const N: usize> Iterator for Merge<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_out_sorted_and_once(
            records in prop::collection::vec(any::<u16>(), 0..3_000),
            more in prop::collection::vec(any::<u16>(), 0..300),
            memory in 2_usize..200,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let sort = |records: &[u16]| {
                let mut sorter = Sorter::<2>::new(folder.path(), memory);
                for record in records {
                    sorter.push(record.to_be_bytes()).unwrap();
                }
                sorter.finish().unwrap()
            };
            let read = |sorted: &Sorted<2>| -> Vec<u16> {
                sorted.iter().map(|record| u16::from_be_bytes(record.unwrap())).collect()
            };
            let sorted = sort(&records);
            let expected: BTreeSet<u16> = records.iter().copied().collect();
            prop_assert_eq!(sorted.len(), expected.len() as u64);
            prop_assert_eq!(read(&sorted), expected.iter().copied().collect::<Vec<_>>());
            let both: BTreeSet<u16> = expected.into_iter().chain(more.iter().copied()).collect();
            prop_assert_eq!(read(&sorted.with(folder.path(), &sort(&more)).unwrap()), both.into_iter().collect::<Vec<_>>());
        }
    }
}
