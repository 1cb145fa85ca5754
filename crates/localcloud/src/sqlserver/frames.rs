//! What makes an object other than the plain image: compression and client-side encryption.
//!
//! How SQL Server compresses its blocks, and how RDS encrypts them, is documented nowhere. Here both are frames of our own
//! behind what is known of either: a compressed file begins as SQL Server's do (`MSSQLBAK`), an encrypted one is noise
//! whose sealed key lies with the object. For whoever copies the files they behave alike: the one has no page boundaries
//! any more, of the other nothing can be known.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// How a compressed file begins, and what follows here.
const COMPRESSED: [u8; 32] = *b"MSSQLBAK\x02\0\0\0\x03\0\0\0frames of zstd\0\0";
/// Bytes of a frame before it is packed.
const FRAME: usize = 64 << 10;
/// Bit of a frame's length by which it is known to be compressed.
const COMPRESSED_FRAME: u32 = 1 << 31;
/// Bytes by which encryption makes a frame longer.
const TAG: usize = 16;

/// Packs what passes through.
pub(super) struct Packer {
    compress: bool,
    key: Option<Counted>,
    plain: Vec<u8>,
    begun: bool,
}

struct Counted {
    key: LessSafeKey,
    frame: u64,
}

impl Counted {
    fn new(key: &[u8; 32]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| io::Error::other("the data key is no key"))?;
        Ok(Self { key: LessSafeKey::new(key), frame: 0 })
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.frame.to_be_bytes());
        self.frame += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Packer {
    pub(super) fn new(compress: bool, key: Option<&[u8; 32]>) -> io::Result<Self> {
        Ok(Self { compress, key: key.map(Counted::new).transpose()?, plain: Vec::new(), begun: false })
    }

    /// Takes bytes, gives those that are ready; the rest at the end.
    pub(super) fn push(&mut self, bytes: Vec<u8>, last: bool) -> io::Result<Vec<u8>> {
        if !self.compress && self.key.is_none() {
            return Ok(bytes);
        }
        self.plain.extend_from_slice(&bytes);
        let mut ready = Vec::new();
        if !std::mem::replace(&mut self.begun, true) && self.key.is_none() {
            ready.extend_from_slice(&COMPRESSED);
        }
        while self.plain.len() >= FRAME || (last && !self.plain.is_empty()) {
            let rest = self.plain.split_off(self.plain.len().min(FRAME));
            let frame = std::mem::replace(&mut self.plain, rest);
            let mut frame = if self.compress { zstd::bulk::compress(&frame, 1)? } else { frame };
            if let Some(counted) = &mut self.key {
                let nonce = counted.nonce();
                let sealed = counted.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut frame);
                sealed.map_err(|_| io::Error::other("a frame cannot be encrypted"))?;
            }
            let mark = if self.compress { COMPRESSED_FRAME } else { 0 };
            ready.extend_from_slice(&(frame.len() as u32 | mark).to_le_bytes());
            ready.extend_from_slice(&frame);
        }
        Ok(ready)
    }
}

/// Unpacks what passes through; finds out by itself whether it is compressed.
pub(super) struct Unpacker {
    packed: Vec<u8>,
    key: Option<Counted>,
    kind: Option<bool>,
}

impl Unpacker {
    pub(super) fn new(key: Option<&[u8; 32]>) -> io::Result<Self> {
        Ok(Self { packed: Vec::new(), key: key.map(Counted::new).transpose()?, kind: None })
    }

    /// Takes bytes of an object, the first ones at least as many as a compressed file begins with if there are so many;
    /// gives those of the image.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.packed.extend_from_slice(bytes);
        let framed = match self.kind {
            Some(framed) => framed,
            None => {
                let compressed = self.key.is_none() && self.packed.starts_with(&COMPRESSED);
                if compressed {
                    self.packed.drain(..COMPRESSED.len());
                }
                *self.kind.insert(compressed || self.key.is_some())
            }
        };
        if !framed {
            return Ok(std::mem::take(&mut self.packed));
        }
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(head) = self.packed.get(at..at + 4).and_then(<[u8]>::first_chunk::<4>) {
            let head = u32::from_le_bytes(*head);
            let length = (head & !COMPRESSED_FRAME) as usize;
            if length > 2 * FRAME + TAG {
                return Err(io::Error::other("a frame is too long"));
            }
            let Some(frame) = self.packed.get(at + 4..at + 4 + length) else { break };
            at += 4 + length;
            let mut frame = frame.to_vec();
            if let Some(counted) = &mut self.key {
                let nonce = counted.nonce();
                let opened = counted.key.open_in_place(nonce, Aad::empty(), &mut frame);
                let length = opened.map_err(|_| io::Error::other("a frame was encrypted with another key"))?.len();
                frame.truncate(length);
            }
            if head & COMPRESSED_FRAME != 0 {
                frame = zstd::bulk::decompress(&frame, FRAME)?;
            }
            plain.extend_from_slice(&frame);
        }
        self.packed.drain(..at);
        Ok(plain)
    }

    /// Whether everything that came was whole.
    pub(super) fn is_whole(&self) -> bool {
        self.packed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let image: Vec<u8> = (0..300_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        for (compress, key) in [(false, None), (true, None), (false, Some([7; 32])), (true, Some([7; 32]))] {
            let mut packer = Packer::new(compress, key.as_ref()).unwrap();
            let mut object = packer.push(image[..500_000].to_vec(), false).unwrap();
            object.extend(packer.push(image[500_000..].to_vec(), true).unwrap());
            assert_eq!(object == image, !compress && key.is_none());
            assert_eq!(object.starts_with(b"MSSQLBAK"), compress && key.is_none());
            let mut unpacker = Unpacker::new(key.as_ref()).unwrap();
            let plain: Vec<u8> = object.chunks(10_007).flat_map(|chunk| unpacker.push(chunk).unwrap()).collect();
            assert!(plain == image && unpacker.is_whole(), "{compress} {key:?}");
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let mut packer = Packer::new(false, Some(&[1; 32])).unwrap();
        let object = packer.push(vec![0; 1000], true).unwrap();
        assert!(Unpacker::new(Some(&[2; 32])).unwrap().push(&object).is_err());
    }
}
