//! Compression of chunks, whole or against another one. Contexts live as long as their thread: making one costs more
//! than compressing a small chunk.

use std::cell::RefCell;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective, Strategy, compress_bound, get_error_name};

mod delta;
mod difference;
mod entropy;
mod frame;
mod repeats;

pub(crate) use self::delta::{DeltaDecoder, DeltaEncoder};

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
    static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn failed(what: &str) -> Error {
    Error::TaskStopped(format!("zstd: {what}"))
}

fn refused(code: usize) -> Error {
    failed(get_error_name(code))
}

/// What is known of a chunk's content, for the search to suit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Lines of text, mostly.
    Rows,
    /// Pages of database files, or anything else.
    Other,
}

/// The level at which rows are searched in ways of our own.
const USUAL_LEVEL: i32 = 3;
/// For rows: one table, larger than zstd's own at its level 1, and no matches below six bytes. That comes within a hundredth
/// of what zstd stores at level 3, for three quarters of its time (`docs/adr/0002-repository-chunks.md`).
const QUICK: [CParameter; 3] =
    [CParameter::Strategy(Strategy::ZSTD_fast), CParameter::HashLog(16), CParameter::MinMatch(6)];
/// For rows that have been found to shrink to less than a sixteenth: with a second table, for long matches, and a window over
/// the longest chunk of such rows. On those it costs next to nothing, and the window alone stores a quarter less.
const DENSE: [CParameter; 5] = [
    CParameter::Strategy(Strategy::ZSTD_dfast),
    CParameter::WindowLog(23),
    CParameter::HashLog(17),
    CParameter::ChainLog(16),
    CParameter::MinMatch(7),
];
/// What part of their length rows shrink to less than to be dense.
const DENSE_PART: usize = 16;

/// The contexts for whole chunks at one level.
struct Encoder {
    level: i32,
    usual: CCtx<'static>,
    /// For rows at the usual level, and for those of them that are dense; made when first needed.
    quick: Option<CCtx<'static>>,
    dense: Option<CCtx<'static>>,
    /// The last rows were dense: the next ones are tried as such first.
    were_dense: bool,
}

impl Encoder {
    fn new(level: i32) -> Result<Self> {
        Ok(Self { level, usual: context(level, &[])?, quick: None, dense: None, were_dense: false })
    }

    /// Compresses a chunk in the place of what `out` holds.
    fn encode(&mut self, content: Content, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.reserve(compress_bound(plain.len()));
        if self.level != USUAL_LEVEL || content != Content::Rows {
            return self.usual.compress2(out, plain).map(|_| ()).map_err(refused);
        }
        let mut dense = |out: &mut Vec<u8>| made(&mut self.dense, &DENSE)?.compress2(out, plain).map_err(refused);
        let are_dense = |length| length < plain.len() / DENSE_PART;
        if self.were_dense && are_dense(dense(out)?) {
            return Ok(());
        }
        let length = made(&mut self.quick, &QUICK)?.compress2(out, plain).map_err(refused)?;
        self.were_dense = are_dense(length);
        if self.were_dense {
            dense(out)?;
        }
        Ok(())
    }
}

fn made<'a>(slot: &'a mut Option<CCtx<'static>>, parameters: &[CParameter]) -> Result<&'a mut CCtx<'static>> {
    match slot {
        Some(context) => Ok(context),
        none => Ok(none.insert(context(1, parameters)?)),
    }
}

fn context(level: i32, parameters: &[CParameter]) -> Result<CCtx<'static>> {
    let mut context = CCtx::try_create().ok_or_else(|| failed("there is no memory for a context"))?;
    context.set_parameter(CParameter::CompressionLevel(level)).map_err(refused)?;
    for parameter in parameters {
        context.set_parameter(*parameter).map_err(refused)?;
    }
    Ok(context)
}

/// Appends the compressed chunk to `out`, or nothing if it is no shorter: then it is stored as it is.
pub(crate) fn encode(level: i32, content: Content, plain: &[u8], out: &mut Vec<u8>) -> Result<Codec> {
    ENCODER.with_borrow_mut(|slot| {
        let encoder = match slot {
            Some(encoder) if encoder.level == level => encoder,
            _ => slot.insert(Encoder::new(level)?),
        };
        SCRATCH.with_borrow_mut(|scratch| {
            encoder.encode(content, plain, scratch)?;
            if scratch.len() >= plain.len() {
                return Ok(Codec::Raw);
            }
            out.extend_from_slice(scratch);
            Ok(Codec::Zstd)
        })
    })
}

/// How long a sample of rows is once it is compressed.
pub(crate) fn shrunk(sample: &[u8]) -> Result<usize> {
    let mut out = Vec::new();
    let codec = encode(USUAL_LEVEL, Content::Rows, sample, &mut out)?;
    Ok(if codec == Codec::Raw { sample.len() } else { out.len() })
}

/// Appends a chunk of that length to `out`. `false`: it is not an encoding of that many bytes; what `out` has gained is to
/// be cut off.
#[must_use]
pub(crate) fn decode(codec: Codec, encoded: &[u8], length: usize, out: &mut Vec<u8>) -> bool {
    match codec {
        Codec::Raw => {
            out.extend_from_slice(encoded);
            encoded.len() == length
        }
        Codec::Zstd => DECOMPRESSOR.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = DCtx::try_create();
            }
            slot.as_mut().is_some_and(|context| {
                context.reset(ResetDirective::SessionOnly).is_ok() && delta::append(context, encoded, length, out)
            })
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn noise(length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn what_shrinks_is_compressed_and_the_rest_is_kept() {
        let cases = [(vec![b'a'; 5_000], Codec::Zstd), (noise(5_000), Codec::Raw), (vec![1], Codec::Raw)];
        let ways = [(3, Content::Rows), (3, Content::Other), (1, Content::Rows), (-1, Content::Other)];
        for ((level, content), (plain, codec)) in ways.into_iter().flat_map(|way| cases.clone().map(|case| (way, case)))
        {
            let mut out = b"before".to_vec();
            assert_eq!(encode(level, content, &plain, &mut out).unwrap(), codec);
            if codec == Codec::Raw {
                assert_eq!(out, b"before");
                out.extend_from_slice(&plain);
            }
            assert!(out.len() < 6 + plain.len() || codec == Codec::Raw);
            let decoded = |encoded: &[u8], length| {
                let mut back = b"before".to_vec();
                decode(codec, encoded, length, &mut back).then(|| back.split_off(6))
            };
            assert_eq!(decoded(&out[6..], plain.len()), Some(plain.clone()));
            assert_eq!(decoded(&out[6..], plain.len() + 1), None);
            assert_eq!(decoded(&out[6..], plain.len() - 1), None);
            assert_eq!(decoded(&out[6..out.len() - 1], plain.len()), None);
        }
    }
}
