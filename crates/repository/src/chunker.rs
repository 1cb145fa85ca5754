//! Cutting a stream into chunks at places its content decides (FastCDC, 2020 variant), so that an insertion moves
//! boundaries near it and leaves the others where they were. The bytes are copied once, into the window; chunks are
//! slices of it.

mod window;

use bytes::Bytes;
use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};
use serde::{Deserialize, Serialize};

use self::window::Window;
use crate::codec;
use crate::error::{Error, Result};
use crate::stream::StreamKind;

const KIB: u32 = 1024;
/// The longest chunk any reader has to expect.
pub(crate) const LONGEST_CHUNK: u32 = 16 * KIB * KIB;
/// How much the window grows by: several chunks of any kind, so that few of them straddle two windows.
const WINDOW: usize = 1 << 20;

/// How a stream is cut. Recorded with the stream; a reader does not need it, a later writer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunking {
    /// Always `fastcdc-v2020` in this version.
    pub algorithm: Algorithm,
    /// The shortest chunk, but for the last one.
    pub min: u32,
    /// What the cut masks aim at.
    pub avg: u32,
    /// The longest chunk.
    pub max: u32,
    /// FastCDC's normalisation level.
    pub normalization: u8,
}

/// The cutting algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// FastCDC as published in 2020, gear table mixed with the domain's boundary key.
    #[serde(rename = "fastcdc-v2020")]
    FastCdcV2020,
}

impl Chunking {
    /// Chunks of `avg` bytes on average, between a quarter and four times that.
    pub fn around(avg: u32) -> Self {
        Self { algorithm: Algorithm::FastCdcV2020, min: avg / 4, avg, max: avg * 4, normalization: 1 }
    }

    /// The default of a kind of stream (see `docs/adr/0002-repository-chunks.md`).
    pub fn of(kind: StreamKind) -> Self {
        match kind {
            StreamKind::TableRows => Self::around(256 * KIB),
            StreamKind::Pages => Self::around(128 * KIB),
            StreamKind::Archive => Self::around(64 * KIB),
            StreamKind::Document => Self::around(16 * KIB),
        }
    }

    /// The way for rows that shrink to next to nothing: what each chunk costs by itself would be more than its content, and what
    /// makes them shrink lies megabytes apart. They are so alike that boundaries are rare, and one at the longest length would
    /// hang on all that was before: so boundaries are made likely as soon as a chunk has its length.
    fn of_dense_rows() -> Self {
        Self { min: 2048 * KIB, max: 6144 * KIB, normalization: 3, ..Self::around(2048 * KIB) }
    }

    fn level(&self) -> Result<Normalization> {
        let even = [self.min, self.avg, self.max].iter().all(|size| size % 2 == 0);
        let ordered = 64 <= self.min && self.min <= self.avg && self.avg <= self.max && self.avg >= 256;
        if !even || !ordered || self.max > LONGEST_CHUNK || self.avg > LONGEST_CHUNK / 4 {
            return Err(Error::Invalid(format!("a stream cannot be cut like this: {self:?}")));
        }
        match self.normalization {
            0 => Ok(Normalization::Level0),
            1 => Ok(Normalization::Level1),
            2 => Ok(Normalization::Level2),
            3 => Ok(Normalization::Level3),
            _ => Err(Error::Invalid(format!("a stream cannot be cut like this: {self:?}"))),
        }
    }
}

/// Where rows are tried for how much they shrink: behind the statements that a dump begins with.
const SAMPLE: std::ops::Range<usize> = 1 << 20..(1 << 20) + (128 << 10);
/// How much must be there for that look.
const ENOUGH: usize = SAMPLE.end;
/// Rows that shrink to less than this part of them are dense.
const DENSE: usize = 24;

/// Cuts one stream.
pub(crate) struct Chunker {
    chunking: Chunking,
    /// How rows are cut hangs on how they shrink, which nobody has looked at yet.
    undecided: bool,
    masks: (u64, u64),
    gear: Box<[u64]>,
    gear_shifted: Box<[u64]>,
    window: Window,
}

impl Chunker {
    pub(crate) fn new(chunking: Chunking, seed: u64) -> Result<Self> {
        let masks = select_masks(chunking.avg as usize, chunking.level()?);
        let (gear, gear_shifted) = get_gear_with_seed(seed);
        let window = Window::default();
        Ok(Self { chunking, undecided: false, masks, gear: gear.into(), gear_shifted: gear_shifted.into(), window })
    }

    /// Cuts as suits the kind of stream, and for rows its content too.
    pub(crate) fn fitting(kind: StreamKind, seed: u64) -> Result<Self> {
        let chunker = Self::new(Chunking::of(kind), seed)?;
        Ok(Self { undecided: kind == StreamKind::TableRows, ..chunker })
    }

    /// How it cuts.
    pub(crate) fn chunking(&self) -> Chunking {
        self.chunking
    }

    /// Looks at the window for how the stream is to be cut.
    fn decide(&mut self) -> Result<()> {
        self.undecided = false;
        if let Some(sample) = self.window.get(SAMPLE)
            && codec::shrunk(sample)? < sample.len() / DENSE
        {
            self.chunking = Chunking::of_dense_rows();
            self.masks = select_masks(self.chunking.avg as usize, self.chunking.level()?);
        }
        Ok(())
    }

    /// Takes as many of the next bytes of the stream as the window has room for.
    pub(crate) fn feed(&mut self, bytes: &mut &[u8]) {
        self.window.feed(bytes, WINDOW + self.chunking.max as usize);
    }

    /// How long the next chunk is, once that is certain. With `last`, no bytes will follow.
    pub(crate) fn next(&mut self, last: bool) -> Result<Option<usize>> {
        if self.undecided && self.window.len() >= ENOUGH {
            self.decide()?;
        }
        let certain = !self.undecided && self.window.len() >= self.chunking.max as usize;
        Ok((certain || last && !self.window.is_empty()).then(|| self.length()))
    }

    fn length(&self) -> usize {
        let (strict, loose) = self.masks;
        let Chunking { min, avg, max, .. } = self.chunking;
        let (_, length) = cut_gear(
            &self.window,
            min as usize,
            avg as usize,
            max as usize,
            strict,
            loose,
            strict << 1,
            loose << 1,
            &self.gear,
            &self.gear_shifted,
        );
        // A cut at zero cannot happen with a minimum above zero; one byte of progress keeps a defect from hanging.
        length.max(1)
    }

    /// The next bytes, as far as they have been fed.
    pub(crate) fn ahead(&self, length: usize) -> &[u8] {
        &self.window[..length]
    }

    /// Takes the next chunk. Shorter than [`Chunker::next`] says, it leaves the rest to be cut from there.
    pub(crate) fn take(&mut self, length: usize) -> Bytes {
        self.window.take(length)
    }

    /// Where in the next bytes another chunk could begin, had an earlier one begun elsewhere.
    pub(crate) fn possible_cuts(&self, length: usize) -> impl Iterator<Item = usize> {
        let (strict, loose) = self.masks;
        let mut hash = 0_u64;
        self.window[..length].iter().enumerate().filter_map(move |(at, byte)| {
            hash = (hash << 1).wrapping_add(self.gear[usize::from(*byte)]);
            (hash & strict == 0 || hash & loose == 0).then_some(at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn cut_all(chunker: &mut Chunker, data: &[u8], piece: usize) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        for mut part in data.chunks(piece) {
            while !part.is_empty() {
                chunker.feed(&mut part);
                while let Some(length) = chunker.next(false).unwrap() {
                    chunks.push(chunker.take(length));
                }
            }
        }
        while let Some(length) = chunker.next(true).unwrap() {
            chunks.push(chunker.take(length));
        }
        chunks
    }

    fn cut_in_pieces(data: &[u8], piece: usize, chunking: Chunking) -> Vec<Bytes> {
        let mut chunker = Chunker::new(chunking, 7).unwrap();
        cut_all(&mut chunker, data, piece)
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_bytes_arrive() {
        let data = noise(3_000_000, 1);
        let chunking = Chunking::around(16 * KIB);
        let whole = cut_in_pieces(&data, data.len(), chunking);
        assert_eq!(whole.concat(), data);
        for piece in [1_000, 4_096, 65_537] {
            assert_eq!(cut_in_pieces(&data, piece, chunking), whole, "pieces of {piece}");
        }
        let mean = data.len() / whole.len();
        assert!((10_000..40_000).contains(&mean), "{mean}");
        assert!(whole[..whole.len() - 1].iter().all(|chunk| chunk.len() >= chunking.min as usize));
        assert!(whole.iter().all(|chunk| chunk.len() <= chunking.max as usize));
    }

    #[test]
    fn an_insertion_moves_only_the_boundaries_near_it() {
        let data = noise(2_000_000, 2);
        let mut changed = data.clone();
        changed.splice(500_000..500_000, *b"inserted");
        let chunking = Chunking::around(16 * KIB);
        let before: std::collections::HashSet<_> = cut_in_pieces(&data, 8_192, chunking).into_iter().collect();
        let after = cut_in_pieces(&changed, 8_192, chunking);
        let new = after.iter().filter(|chunk| !before.contains(*chunk)).count();
        assert!(new <= 4, "{new} of {} chunks are new", after.len());
    }

    /// Whoever begins elsewhere meets each boundary as a possible one, and cuts alike from there on.
    #[test]
    fn a_stream_is_cut_alike_from_any_boundary_that_is_put_back() {
        let data = noise(6_000_000, 4);
        let chunks = cut_in_pieces(&data, data.len(), Chunking::around(64 * KIB));
        let mut chunker = Chunker::new(Chunking::around(64 * KIB), 7).unwrap();
        let second = chunks[0].len() + chunks[1].len();
        let skipped = 1_000;
        chunker.feed(&mut &data[skipped..]);
        let cuts: Vec<usize> = chunker.possible_cuts(second + 100_000 - skipped).collect();
        assert!(cuts.contains(&(second - skipped)), "{second} is not in {cuts:?}");
        assert!(cuts.len() < 40, "{}", cuts.len());
        chunker.take(second - skipped);
        for chunk in &chunks[2..8] {
            assert_eq!(chunker.next(false).unwrap(), Some(chunk.len()));
            assert_eq!(chunker.take(chunk.len()), chunk);
        }
    }

    #[test]
    fn rows_that_shrink_to_nothing_are_cut_into_larger_chunks_however_they_arrive() {
        let dense: Vec<u8> = (0..60_000).flat_map(|row| format!("{row}\t1\t0\t{:84}\n", "").into_bytes()).collect();
        for (data, dense) in [(dense, true), (noise(6_000_000, 3), false)] {
            for piece in [10_007, data.len()] {
                let mut chunker = Chunker::fitting(StreamKind::TableRows, 7).unwrap();
                let chunks = cut_all(&mut chunker, &data, piece);
                let usual = Chunking::of(StreamKind::TableRows);
                assert_eq!(chunker.chunking(), if dense { Chunking::of_dense_rows() } else { usual });
                assert_eq!(chunks, cut_in_pieces(&data, data.len(), chunker.chunking()));
            }
        }
    }

    #[test]
    fn an_empty_stream_has_no_chunks_and_bad_parameters_are_refused() {
        assert!(cut_in_pieces(&[], 1, Chunking::of(StreamKind::Pages)).is_empty());
        for avg in [0, 100, 32 * KIB * KIB] {
            assert!(Chunker::new(Chunking::around(avg), 0).is_err(), "{avg}");
        }
    }
}
