//! Chunks as deltas on others. Two ways lead to the same format, one zstd frame with the base as its prefix: for chunks
//! that are their base with little changed, the long stretches both have in common, and what the rest repeats of itself, written
//! down as they are found; for all others, zstd's own search.

use std::cell::RefCell;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, compress_bound};

use super::{difference, failed, frame, refused};
use crate::error::Result;

/// Deltas are made at this zstd level, unless a lower one is configured: higher ones took up to half as much time again and
/// did not make them smaller (`docs/adr/0006-similarity-deltas.md`).
const LEVEL: i32 = 1;
/// Where more than this part of a chunk is in no common stretch, nothing is written down.
const MOST_LEFT_OVER: usize = 32;
/// Where no more than this part is in none, nor repeats itself, zstd is not asked whether it knows better.
const FEW_LEFT_OVER: usize = 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Compresses chunks against others, for one batch: the context borrows the bases it was given.
pub(crate) struct DeltaEncoder<'a> {
    level: i32,
    context: Option<CCtx<'a>>,
    /// Reads frames of our own making back.
    reader: DeltaDecoder<'a>,
}

impl<'a> DeltaEncoder<'a> {
    /// An encoder where the configured zstd level is `level`.
    pub(crate) fn new(level: i32) -> Self {
        Self { level: level.min(LEVEL), context: None, reader: DeltaDecoder::default() }
    }

    /// Appends the chunk as one frame against `base`.
    pub(crate) fn encode(&mut self, base: &'a [u8], plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        if let Some((copies, left_over)) = difference::between(base, plain, plain.len() / MOST_LEFT_OVER) {
            frame::write(plain, base.len(), &copies, out);
            if !self.reads_back(base, &out[start..], plain) {
                out.truncate(start);
            } else if left_over <= plain.len() / FEW_LEFT_OVER {
                return Ok(());
            }
        }
        SCRATCH.with_borrow_mut(|found| {
            self.search(base, plain, found)?;
            if start == out.len() || found.len() < out.len() - start {
                out.truncate(start);
                out.extend_from_slice(found);
            }
            Ok(())
        })
    }

    /// Whether zstd reads a frame of our own making as the chunk it was made of. Nothing is stored that it does not.
    fn reads_back(&mut self, base: &'a [u8], frame: &[u8], plain: &[u8]) -> bool {
        READ.with_borrow_mut(|read| {
            read.clear();
            self.reader.decode(base, frame, plain.len(), read) && read == plain
        })
    }

    /// What zstd makes of it, in the place of what `out` holds. The window reaches back over both, and the table has room for
    /// every third position of the base, which are those that are noted: zstd's own choice loses sight of a base of a megabyte.
    fn search(&mut self, base: &'a [u8], plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let window = (base.len() + plain.len()).next_power_of_two().trailing_zeros().clamp(10, 27);
        let tables = base.len().next_power_of_two().trailing_zeros().saturating_sub(1).clamp(15, 19);
        let context = match &mut self.context {
            Some(context) => context,
            none => {
                let context =
                    none.insert(CCtx::try_create().ok_or_else(|| failed("there is no memory for a context"))?);
                context.set_parameter(CParameter::CompressionLevel(self.level)).map_err(refused)?;
                context
            }
        };
        context.reset(ResetDirective::SessionOnly).map_err(refused)?;
        for parameter in [CParameter::WindowLog(window), CParameter::HashLog(tables), CParameter::ChainLog(tables)] {
            context.set_parameter(parameter).map_err(refused)?;
        }
        context.ref_prefix(base).map_err(refused)?;
        out.clear();
        out.reserve(compress_bound(plain.len()));
        context.compress2(out, plain).map(|_| ()).map_err(refused)
    }
}

/// Decodes deltas, one after another: the context borrows the bases it was given.
#[derive(Default)]
pub(crate) struct DeltaDecoder<'a>(Option<DCtx<'a>>);

impl<'a> DeltaDecoder<'a> {
    /// Appends a chunk of that length to `out`. `false`: it is not a delta on that base, of that length; what `out` has
    /// gained is to be cut off.
    #[must_use]
    pub(crate) fn decode(&mut self, base: &'a [u8], encoded: &[u8], length: usize, out: &mut Vec<u8>) -> bool {
        let context = match &mut self.0 {
            Some(context) => context,
            none => match DCtx::try_create() {
                Some(context) => none.insert(context),
                None => return false,
            },
        };
        context.reset(ResetDirective::SessionOnly).is_ok()
            && context.ref_prefix(base).is_ok()
            && append(context, encoded, length, out)
    }
}

/// Appends what a frame holds, if that is `length` bytes. Where there is room for it, zstd writes it in one go.
pub(super) fn append(context: &mut DCtx<'_>, encoded: &[u8], length: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.reserve(length);
    let mut input = InBuffer::around(encoded);
    let done = {
        let mut output = OutBuffer::around_pos(out, start);
        context.decompress_stream(&mut output, &mut input)
    };
    done == Ok(0) && input.pos() == encoded.len() && out.len() == start + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::noise;

    fn delta(level: i32, base: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        DeltaEncoder::new(level).encode(base, plain, &mut out).unwrap();
        out.split_off(6)
    }

    fn decoded(base: &[u8], delta: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        DeltaDecoder::default().decode(base, delta, length, &mut out).then(|| out.split_off(6))
    }

    /// Noise has no match but the one in the base: a table or window that is too small shows at once.
    #[test]
    fn a_delta_reaches_back_over_a_base_of_any_size_at_every_level() {
        for level in [-7, 1, 19] {
            for length in [5, 1_000, 60_000, 1 << 20] {
                let base = noise(length);
                for inserted in [8, length / 20] {
                    let mut plain = base.clone();
                    let new = noise(length + inserted).split_off(length);
                    plain.splice(length / 2..length / 2, new);
                    let delta = delta(level, &base, &plain);
                    let most = 200 + length / 50 + inserted;
                    assert!(delta.len() < most, "level {level}, {length}: {}", delta.len());
                    assert_eq!(decoded(&base, &delta, plain.len()), Some(plain.clone()));
                    assert_eq!(decoded(&base, &delta, plain.len() + 1), None);
                    assert_eq!(decoded(&base, &delta[..delta.len() - 1], plain.len()), None);
                    assert!(length < 10 || decoded(&noise(10)[5..], &delta, plain.len()) != Some(plain));
                }
            }
        }
    }

    #[test]
    fn one_encoder_and_one_decoder_serve_bases_of_all_sizes_in_turn() {
        let bases = [noise(300_000), noise(5_000), vec![], noise(90_000)];
        let (mut encoder, mut decoder) = (DeltaEncoder::new(3), DeltaDecoder::default());
        for base in bases.iter().chain(&bases) {
            let mut delta = Vec::new();
            encoder.encode(base, &bases[0], &mut delta).unwrap();
            let mut back = Vec::new();
            assert!(decoder.decode(base, &delta, bases[0].len(), &mut back) && back == bases[0]);
        }
    }
}
