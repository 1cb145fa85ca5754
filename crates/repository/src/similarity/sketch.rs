//! Sketches: a few numbers that similar chunks have in common. Advisory: nothing that is stored depends on how a sketch
//! was made, only whether a later writer finds a good base.
//!
//! Scheme 2 is written down in `docs/repository-format.md`. Within the first 32 KiB and the last a rolling hash over 32 bytes picks one
//! position in 128 by content; each of twelve features is the greatest value that its own permutation gives to the hashes picked; three
//! features make one of the four numbers that are kept, two for each end of the chunk. Where a share s of two chunks' stretches is common, a feature agrees
//! with probability s and a number with s³: at 95 % the sketches miss each other once in 2,500 times.

use std::sync::LazyLock;

/// Numbers in a sketch.
pub(crate) const NUMBERS: usize = 4;
const FEATURES: usize = 3 * NUMBERS;
/// Bytes that each number takes in a row.
const WIDTH: usize = 6;
const SCHEME: u8 = 2;
/// Bytes at each end of a chunk that are looked at: boundaries follow content, so similar chunks begin or end alike.
const LOOKED_AT: usize = 32 << 10;
/// A position is picked where the hash is lower: its seven highest bits are zero.
const PICKED: u32 = 1 << 25;
/// Bytes that the hash knows of.
const REACH: usize = 32;
/// A chunk is gone over in so many stretches at once: one hash alone would wait for itself.
const STRETCHES: usize = 4;
/// What is shorter has too few picks for a sketch to mean anything.
pub(crate) const SHORTEST: usize = 4 << 10;

struct Tables {
    gear: [u32; 256],
    permutations: [(u64, u64); FEATURES],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut bytes = [0; 256 * 4 + FEATURES * 16];
    blake3::Hasher::new().update(b"haulier repository v1: sketch 1").finalize_xof().fill(&mut bytes);
    let (gear, permutations) = bytes.split_at(256 * 4);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    Tables {
        gear: std::array::from_fn(|at| number(&gear[at * 4..at * 4 + 4]) as u32),
        permutations: std::array::from_fn(|at| {
            let at = at * 16;
            (number(&permutations[at..at + 8]) | 1, number(&permutations[at + 8..at + 16]))
        }),
    }
});

fn roll(gear: &[u32; 256], hash: u32, byte: u8) -> u32 {
    (hash << 1).wrapping_add(gear[usize::from(byte)])
}

/// What the picked positions have come to.
struct Picks<'a> {
    permutations: &'a [(u64, u64)],
    features: [u64; FEATURES / 2],
    count: u32,
}

impl Picks<'_> {
    fn look_at(&mut self, hash: u32) {
        if hash < PICKED {
            self.count += 1;
            for (feature, (factor, offset)) in self.features.iter_mut().zip(self.permutations) {
                *feature = (*feature).max(u64::from(hash).wrapping_mul(*factor).wrapping_add(*offset));
            }
        }
    }
}

/// The greatest values that the permutations give to what is picked, unless too little is.
fn features(plain: &[u8], permutations: &[(u64, u64)]) -> Option<[u64; FEATURES / 2]> {
    let gear = &TABLES.gear;
    let mut picks = Picks { permutations, features: [0; FEATURES / 2], count: 0 };
    let stretch = plain.len() / STRETCHES;
    let (stretches, rest) = plain.split_at(stretch * STRETCHES);
    let mut hashes: [u32; STRETCHES] = std::array::from_fn(|at| match at {
        0 => 0,
        at => stretches[at * stretch - REACH..at * stretch].iter().fold(0, |hash, byte| roll(gear, hash, *byte)),
    });
    let [first, second, third, fourth] = std::array::from_fn(|at| &stretches[at * stretch..(at + 1) * stretch]);
    for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
        for (hash, byte) in hashes.iter_mut().zip([first, second, third, fourth]) {
            *hash = roll(gear, *hash, *byte);
        }
        if hashes.iter().any(|hash| *hash < PICKED) {
            hashes.iter().for_each(|hash| picks.look_at(*hash));
        }
    }
    let mut hash = hashes[STRETCHES - 1];
    for byte in rest {
        hash = roll(gear, hash, *byte);
        picks.look_at(hash);
    }
    // One or two picks are what long runs of one byte give: similar to everything.
    (picks.count > 3).then_some(picks.features)
}

/// A chunk's sketch: numbers of 48 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sketch(pub(crate) [u64; NUMBERS]);

impl Sketch {
    /// The sketch of a chunk, unless it is too short or too uniform to have one.
    pub(crate) fn of(plain: &[u8]) -> Option<Self> {
        if plain.len() < SHORTEST {
            return None;
        }
        let looked_at = plain.len().min(LOOKED_AT);
        let [first, second] = Self::beginning(plain)?;
        let end = features(&plain[plain.len() - looked_at..], &TABLES.permutations[FEATURES / 2..])?;
        let [third, fourth] = [&end[..3], &end[3..]].map(mix);
        Some(Self([first, second, third, fourth]))
    }

    /// The numbers of a sketch that tell how a chunk begins.
    pub(crate) fn beginning(plain: &[u8]) -> Option<[u64; NUMBERS / 2]> {
        if plain.len() < SHORTEST {
            return None;
        }
        let looked_at = plain.len().min(LOOKED_AT);
        let beginning = features(&plain[..looked_at], &TABLES.permutations[..FEATURES / 2])?;
        Some([&beginning[..3], &beginning[3..]].map(mix))
    }

    /// As it stands in a row.
    pub(crate) fn to_bytes(self) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(1 + NUMBERS * WIDTH);
        bytes.push(SCHEME);
        for number in self.0 {
            bytes.extend_from_slice(&number.to_le_bytes()[..WIDTH]);
        }
        bytes.into()
    }

    /// Reads what a row has. `None`: of another scheme.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&SCHEME, numbers) = bytes.split_first()? else { return None };
        if numbers.len() != NUMBERS * WIDTH {
            return None;
        }
        let number = |at: usize| {
            numbers[at * WIDTH..][..WIDTH].iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        Some(Self(std::array::from_fn(number)))
    }
}

/// Three features as one number of 48 bits.
fn mix(features: &[u64]) -> u64 {
    let mixed = features.iter().fold(0_u64, |mixed, feature| {
        (mixed ^ feature ^ (feature >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
    });
    mixed >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn common(a: &[u8], b: &[u8]) -> usize {
        let (a, b) = (Sketch::of(a).unwrap(), Sketch::of(b).unwrap());
        a.0.iter().zip(b.0).filter(|(a, b)| **a == *b).count()
    }

    #[test]
    fn similar_chunks_have_numbers_in_common_and_others_have_none() {
        let base = noise(200_000, 1);
        let mut found = 0;
        for seed in 0..20 {
            let mut similar = base.clone();
            for edit in 0..20_usize {
                let at = (edit * 9_973 + seed * 131) % 199_000;
                similar.splice(at..at + 20, noise(35, 1_000 + (seed * 100 + edit) as u64));
            }
            found += usize::from(common(&base, &similar) > 0);
            assert_eq!(common(&base, &noise(200_000, 50 + seed as u64)), 0);
        }
        assert!(found >= 19, "{found} of 20");
    }

    #[test]
    fn a_sketch_survives_its_row_and_others_are_not_read() {
        let sketch = Sketch::of(&noise(10_000, 3)).unwrap();
        let bytes = sketch.to_bytes();
        assert_eq!(bytes.len(), 25);
        assert_eq!(Sketch::from_bytes(&bytes), Some(sketch));
        assert_eq!(Sketch::from_bytes(&bytes[..24]), None);
        assert_eq!(Sketch::from_bytes(&[]), None);
        assert_eq!(Sketch::from_bytes(&[1; 25]), None);
    }

    #[test]
    fn what_is_short_or_uniform_has_no_sketch() {
        assert_eq!(Sketch::of(&noise(SHORTEST - 1, 1)), None);
        assert_eq!(Sketch::of(&vec![b'x'; 100_000]), None);
    }

    /// Sketches of different versions must find each other: the scheme is fixed.
    #[test]
    fn scheme_2_is_what_it_was() {
        let sketch = Sketch::of(&noise(50_000, 7)).unwrap();
        assert_eq!(hex::encode(sketch.to_bytes()), "02155a12da71b60af2528e57d97cf06666c3147a5c36fee49d");
    }
}
