//! Compression of chunks. Contexts live as long as their thread: making one costs more than compressing a small chunk.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shrinks_is_compressed_and_the_rest_is_kept() {
        let mut noise = vec![0; 5_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for (plain, codec) in [(vec![b'a'; 5_000], Codec::Zstd), (noise, Codec::Raw), (vec![1], Codec::Raw)] {
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
}
