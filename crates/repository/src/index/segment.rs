//! A sorted segment on disk: rows in order of their ids, found through one fence in memory per 64 rows (an eighth of a
//! byte per row). Its file has no name, so nothing is left behind however the process ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::doubtful::Doubtful;
use super::row::{ROW_LENGTH, Row, key};
use crate::ids::ChunkId;

/// Rows between two fences: 4 KiB, one page of the disk.
const BLOCK_ROWS: usize = 64;
/// Rows that a merge reads ahead of each segment.
const READ_AHEAD: usize = 1024;

/// A sorted, immutable set of rows.
pub(crate) struct Segment {
    file: File,
    rows: u64,
    fences: Vec<u64>,
}

impl Segment {
    /// Writes rows that come in order.
    pub(crate) fn write(folder: &Path, rows: impl Iterator<Item = io::Result<Row>>) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder)?);
        let mut count = 0_u64;
        let mut fences = Vec::new();
        for row in rows {
            let row = row?;
            if count.is_multiple_of(BLOCK_ROWS as u64) {
                fences.push(row.key());
            }
            out.write_all(&row.to_bytes())?;
            count += 1;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, rows: count, fences })
    }

    #[cfg(test)]
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Looks for an id: usually one read of 4 KiB.
    pub(crate) fn find(&self, id: &ChunkId) -> io::Result<Option<Row>> {
        self.look(key(id), |row| row[..32] == id.0)
    }

    /// Looks for an id of which only the first eight bytes are known.
    pub(crate) fn find_start(&self, start: u64) -> io::Result<Option<Row>> {
        self.look(start, |row| row[..8] == start.to_be_bytes())
    }

    fn look(&self, wanted: u64, is_it: impl Fn(&[u8]) -> bool) -> io::Result<Option<Row>> {
        let mut block = self.fences.partition_point(|fence| *fence <= wanted);
        let mut buffer = [0; BLOCK_ROWS * ROW_LENGTH];
        while block > 0 {
            block -= 1;
            let bytes = self.read(block as u64 * BLOCK_ROWS as u64, &mut buffer)?;
            for row in bytes.chunks_exact(ROW_LENGTH) {
                if is_it(row) {
                    return Ok(Row::from_bytes(row));
                }
            }
            // Rows of the same key may straddle two blocks; else this block was the only place.
            if self.fences[block] != wanted {
                break;
            }
        }
        Ok(None)
    }

    fn read<'a>(&self, row: u64, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let rows = (self.rows - row).min((buffer.len() / ROW_LENGTH) as u64);
        let bytes = &mut buffer[..rows as usize * ROW_LENGTH];
        self.file.read_exact_at(bytes, row * ROW_LENGTH as u64)?;
        Ok(bytes)
    }
}

/// Reads a segment from front to back.
pub(crate) struct Rows {
    segment: Arc<Segment>,
    next: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Rows {
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        Self { segment, next: 0, buffer: Vec::new(), at: 0 }
    }
}

impl Iterator for Rows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        if self.at == self.buffer.len() {
            let left = (self.segment.rows - self.next).min(READ_AHEAD as u64) as usize;
            if left == 0 {
                return None;
            }
            self.buffer.resize(left * ROW_LENGTH, 0);
            self.at = 0;
            let read = self.segment.file.read_exact_at(&mut self.buffer, self.next * ROW_LENGTH as u64);
            if let Err(error) = read {
                return Some(Err(error));
            }
            self.next += left as u64;
        }
        let row = Row::from_bytes(&self.buffer[self.at..self.at + ROW_LENGTH]);
        self.at += ROW_LENGTH;
        row.map(Ok)
    }
}

/// Merges segments in order. Of rows with the same id the one of the earliest segment stays, unless another ranks higher.
pub(crate) struct Merge {
    sources: Vec<Rows>,
    heads: BinaryHeap<Reverse<(ChunkId, usize)>>,
    rows: Vec<Option<Row>>,
    doubtful: Doubtful,
}

impl Merge {
    pub(crate) fn new(segments: &[Arc<Segment>], doubtful: Doubtful) -> io::Result<Self> {
        let mut merge = Self {
            sources: segments.iter().map(|segment| Rows::new(Arc::clone(segment))).collect(),
            heads: BinaryHeap::new(),
            rows: vec![None; segments.len()],
            doubtful,
        };
        for source in 0..segments.len() {
            merge.advance(source)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, source: usize) -> io::Result<()> {
        let row = self.sources[source].next().transpose()?;
        if let Some(row) = row {
            self.heads.push(Reverse((row.id, source)));
        }
        self.rows[source] = row;
        Ok(())
    }

    /// The row at the head of a source, which moves on.
    fn take(&mut self, source: usize) -> io::Result<Option<Row>> {
        let row = self.rows[source];
        self.advance(source)?;
        Ok(row)
    }

    fn merge(&mut self) -> io::Result<Option<Row>> {
        let Some(Reverse((id, source))) = self.heads.pop() else { return Ok(None) };
        let mut chosen = self.take(source)?;
        while let Some(Reverse((same, source))) = self.heads.peek().copied()
            && same == id
        {
            self.heads.pop();
            let other = self.take(source)?;
            if other.map(|row| row.rank(&self.doubtful)) > chosen.map(|row| row.rank(&self.doubtful)) {
                chosen = other;
            }
        }
        Ok(chosen)
    }
}

impl Iterator for Merge {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        self.merge().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubtful::Doubt;
    use super::*;

    fn row(high: u64, low: u8, pack: u32) -> Row {
        let mut id = [low; 32];
        id[..8].copy_from_slice(&high.to_be_bytes());
        Row { id: ChunkId(id), kind: 0, codec: 1, pack, position: 1, offset: 2, stored: 3, plain: 4, extra: 0 }
    }

    fn segment(rows: &[Row]) -> Arc<Segment> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| row.id);
        Arc::new(Segment::write(&std::env::temp_dir(), rows.into_iter().map(Ok)).unwrap())
    }

    #[test]
    fn every_row_is_found_even_where_keys_collide_across_blocks() {
        let rows: Vec<Row> =
            (0..200).map(|low| row(7, low, u32::from(low))).chain([row(6, 0, 1), row(8, 0, 2)]).collect();
        let segment = segment(&rows);
        for wanted in &rows {
            assert_eq!(segment.find(&wanted.id).unwrap(), Some(*wanted));
        }
        for absent in [row(0, 0, 0), row(7, 250, 0), row(9, 9, 0)] {
            assert_eq!(segment.find(&absent.id).unwrap(), None);
        }
        assert_eq!(Segment::write(&std::env::temp_dir(), std::iter::empty()).unwrap().find(&rows[0].id).unwrap(), None);
    }

    #[test]
    fn a_merge_is_sorted_and_the_earliest_row_of_an_id_stays() {
        let first = segment(&(0..3_000).step_by(2).map(|high| row(high, 0, 1)).collect::<Vec<_>>());
        let second = segment(&(0..3_000).step_by(3).map(|high| row(high, 0, 2)).collect::<Vec<_>>());
        let merged: Vec<Row> =
            Merge::new(&[first, second], Doubtful::default()).unwrap().collect::<io::Result<_>>().unwrap();
        assert!(merged.is_sorted_by(|a, b| a.id < b.id));
        assert_eq!(merged.len(), 2_000);
        assert!(merged.iter().all(|row| row.pack == if row.key() % 2 == 0 { 1 } else { 2 }));
    }

    #[test]
    fn a_row_of_a_missing_pack_gives_way() {
        let segments = [1, 2, 3].map(|pack| segment(&[row(5, 0, pack), row(6, 0, 1)]));
        let packs = |missing: &[u32]| -> Vec<u32> {
            let mut doubtful = Doubtful::default();
            missing.iter().for_each(|pack| doubtful.insert(*pack, Doubt::Missing));
            let merge = Merge::new(&segments, doubtful).unwrap();
            merge.map(|row| row.unwrap().pack).collect()
        };
        assert_eq!(packs(&[]), [1, 1]);
        assert_eq!(packs(&[1]), [2, 1]);
        assert_eq!(packs(&[1, 2]), [3, 1]);
        assert_eq!(packs(&[1, 2, 3]), [1, 1]);
    }
}
