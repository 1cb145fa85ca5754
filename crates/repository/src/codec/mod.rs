//! Compression of chunks, whole or against another one. Contexts live as long as their thread: making one costs more
//! than compressing a small chunk.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective, get_error_name};

use crate::error::{Error, Result};

/// How a chunk's content is encoded before sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// As it is.
    Raw = 0,
    /// One zstd frame.
    Zstd = 1,
}

impl Codec {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Raw),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn failed(error: std::io::Error) -> Error {
    Error::TaskStopped(format!("zstd: {error}"))
}

fn refused(code: usize) -> Error {
    Error::TaskStopped(format!("zstd: {}", get_error_name(code)))
}

/// Appends the encoded chunk to `out`: compressed if that is shorter, else as it is.
pub(crate) fn encode(level: i32, plain: &[u8], out: &mut Vec<u8>) -> Result<Codec> {
    let start = out.len();
    let length = COMPRESSOR.with_borrow_mut(|slot| {
        let fits = slot.as_ref().is_some_and(|(made, _)| *made == level);
        if !fits {
            *slot = Some((level, Compressor::new(level).map_err(failed)?));
        }
        let Some((_, compressor)) = slot else { return Err(Error::TaskStopped("no zstd context".to_owned())) };
        out.resize(start + zstd::zstd_safe::compress_bound(plain.len()), 0);
        compressor.compress_to_buffer(plain, &mut out[start..]).map_err(failed)
    })?;
    if length < plain.len() {
        out.truncate(start + length);
        Ok(Codec::Zstd)
    } else {
        out.truncate(start);
        out.extend_from_slice(plain);
        Ok(Codec::Raw)
    }
}

/// Decodes a chunk into `plain`, which has the chunk's length. `false`: it is not an encoding of that many bytes.
pub(crate) fn decode(codec: Codec, encoded: &[u8], plain: &mut [u8]) -> bool {
    match codec {
        Codec::Raw if encoded.len() == plain.len() => {
            plain.copy_from_slice(encoded);
            true
        }
        Codec::Raw => false,
        Codec::Zstd => DECOMPRESSOR.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = Decompressor::new().ok();
            }
            let expected = plain.len();
            slot.as_mut()
                .is_some_and(|context| context.decompress_to_buffer(encoded, plain).is_ok_and(|got| got == expected))
        }),
    }
}

/// Deltas are made at this zstd level, unless a lower one is configured: higher ones took up to half as much time again and
/// did not make them smaller (`docs/adr/0006-similarity-deltas.md`).
const DELTA_LEVEL: i32 = 1;

/// Compresses chunks against others, for one batch: the context borrows the bases it was given.
pub(crate) struct DeltaEncoder<'a> {
    level: i32,
    context: Option<CCtx<'a>>,
}

impl<'a> DeltaEncoder<'a> {
    /// An encoder where the configured zstd level is `level`.
    pub(crate) fn new(level: i32) -> Self {
        Self { level: level.min(DELTA_LEVEL), context: None }
    }

    /// Appends the chunk as one frame against `base`. The window reaches back over both, and so do the tables: zstd's own
    /// choice for the level loses sight of a base of a megabyte.
    pub(crate) fn encode(&mut self, base: &'a [u8], plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let window = (base.len() + plain.len()).next_power_of_two().trailing_zeros().clamp(10, 27);
        let tables = base.len().next_power_of_two().trailing_zeros().clamp(15, 20);
        let context = match &mut self.context {
            Some(context) => context,
            none => {
                let made = CCtx::try_create().ok_or_else(|| Error::TaskStopped("no zstd context".to_owned()))?;
                let context = none.insert(made);
                context.set_parameter(CParameter::CompressionLevel(self.level)).map_err(refused)?;
                context
            }
        };
        context.reset(ResetDirective::SessionOnly).map_err(refused)?;
        for parameter in [CParameter::WindowLog(window), CParameter::HashLog(tables), CParameter::ChainLog(tables)] {
            context.set_parameter(parameter).map_err(refused)?;
        }
        context.ref_prefix(base).map_err(refused)?;
        out.resize(start + zstd::zstd_safe::compress_bound(plain.len()), 0);
        let length = context.compress2(&mut out[start..], plain).map_err(refused)?;
        out.truncate(start + length);
        Ok(())
    }
}

/// Decodes a delta into `plain`, which has the chunk's length. `false`: it is not a delta on that base, of that length.
pub(crate) fn decode_delta(base: &[u8], encoded: &[u8], plain: &mut [u8]) -> bool {
    let Some(mut context) = DCtx::try_create() else { return false };
    let expected = plain.len();
    context.ref_prefix(base).is_ok() && context.decompress(plain, encoded).is_ok_and(|got| got == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn what_shrinks_is_compressed_and_the_rest_is_kept() {
        for (plain, codec) in [(vec![b'a'; 5_000], Codec::Zstd), (noise(5_000), Codec::Raw), (vec![1], Codec::Raw)] {
            let mut out = b"before".to_vec();
            assert_eq!(encode(3, &plain, &mut out).unwrap(), codec);
            assert!(out.len() <= 6 + plain.len());
            let mut back = vec![0; plain.len()];
            assert!(decode(codec, &out[6..], &mut back));
            assert_eq!(back, plain);
            assert!(!decode(codec, &out[6..], &mut vec![0; plain.len() + 1]));
            assert!(!decode(codec, &out[6..out.len() - 1], &mut back));
        }
    }

    /// Noise has no match but the one in the base: a table or window that is too small shows at once.
    #[test]
    fn a_delta_reaches_back_over_a_base_of_any_size_at_every_level() {
        for level in [-7, 1, 19] {
            for length in [5, 1_000, 60_000, 1 << 20] {
                let base = noise(length);
                let mut plain = base.clone();
                plain.splice(length / 2..length / 2, *b"inserted");
                let mut out = b"before".to_vec();
                let mut encoder = DeltaEncoder::new(level);
                encoder.encode(&base, &plain, &mut out).unwrap();
                let delta = out.split_off(6);
                assert!(delta.len() < 200 + length / 50, "level {level}, {length}: {}", delta.len());
                let mut back = vec![0; plain.len()];
                assert!(decode_delta(&base, &delta, &mut back));
                assert!(back == plain);
                assert!(!decode_delta(&base, &delta, &mut vec![0; plain.len() - 1]));
                assert!(!decode_delta(&noise(10)[..5], &delta, &mut back) || back != plain || length < 10);
            }
        }
    }

    #[test]
    fn one_encoder_serves_bases_of_all_sizes_in_turn() {
        let bases = [noise(300_000), noise(5_000), vec![], noise(90_000)];
        let mut encoder = DeltaEncoder::new(3);
        for base in bases.iter().chain(&bases) {
            let mut delta = Vec::new();
            encoder.encode(base, &bases[0], &mut delta).unwrap();
            let mut back = vec![0; bases[0].len()];
            assert!(decode_delta(base, &delta, &mut back) && back == bases[0]);
        }
    }
}
