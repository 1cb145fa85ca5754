//! A blocked Bloom filter: says for most new chunks, without touching the disk, that they are new. Ids are already
//! uniform, so their own bits serve as hashes. Its size is fixed; too many ids make it say "perhaps" more often, never
//! wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::ChunkId;

const WORDS: usize = 8;
const PROBES: usize = 6;
const BITS_PER_ID: u64 = 10;
const SMALLEST: u64 = 1 << 14;

/// The filter.
pub(crate) struct Filter {
    words: Vec<AtomicU64>,
}

impl Filter {
    /// A filter for about `ids`, of at most `limit` bytes.
    pub(crate) fn new(ids: u64, limit: usize) -> Self {
        let bytes = (ids.saturating_mul(BITS_PER_ID) / 8).clamp(SMALLEST, (limit as u64).max(SMALLEST));
        let blocks = (bytes as usize).div_ceil(WORDS * 8);
        Self { words: (0..blocks * WORDS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn insert(&self, id: &ChunkId) {
        let (block, masks) = self.place(id);
        for (word, mask) in block.iter().zip(masks) {
            if mask != 0 {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    /// `false`: never inserted.
    pub(crate) fn may_contain(&self, id: &ChunkId) -> bool {
        let (block, masks) = self.place(id);
        block.iter().zip(masks).all(|(word, mask)| word.load(Ordering::Relaxed) & mask == mask)
    }

    fn place(&self, id: &ChunkId) -> (&[AtomicU64], [u64; WORDS]) {
        let number = |at: usize| {
            let bytes = &id.0[at..at + 8];
            bytes.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        let blocks = self.words.len() / WORDS;
        let block = ((u128::from(number(8)) * blocks as u128) >> 64) as usize;
        let mut bits = number(16);
        let mut masks = [0; WORDS];
        for _ in 0..PROBES {
            masks[(bits & 7) as usize] |= 1 << ((bits >> 3) & 63);
            bits >>= 9;
        }
        (&self.words[block * WORDS..(block + 1) * WORDS], masks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ChunkId {
        ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn it_never_forgets_and_seldom_imagines() {
        let filter = Filter::new(100_000, 1 << 20);
        for number in 0..100_000 {
            filter.insert(&id(number));
        }
        assert!((0..100_000).all(|number| filter.may_contain(&id(number))));
        let imagined = (100_000..200_000).filter(|number| filter.may_contain(&id(*number))).count();
        assert!(imagined < 4_000, "{imagined} of 100,000");
    }

    #[test]
    fn its_size_is_limited() {
        assert!(Filter::new(u64::MAX / 16, 1 << 20).words.len() * 8 <= (1 << 20) + 64);
    }
}
