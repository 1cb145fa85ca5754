//! Where a chunk repeats its base: the long common stretches, found in one pass over both. Most chunks of a table on a
//! second day are their base with some rows missing; finding the stretches takes a fraction of what a search for all
//! matches takes, and is not led astray where rows are so alike that the nearest match is never the right one.

use std::cell::RefCell;

use super::repeats;

/// Bytes that must be equal for a stretch to be found. Every window that begins at a multiple of this in the base is
/// known, so a common stretch of twice the length is found for certain, unless it occurs in the base more than once.
const WINDOW: usize = 32;
/// The same in a base that is longer than chunks of any content but dense rows: less than a row of those occurs in tens of
/// thousands of rows here and there, and one place of it that is known is taken for the only one.
const LONG_WINDOW: usize = 128;
/// Bases longer than this have long windows.
const SHORT_BASE: usize = 1 << 20;
/// A shorter stretch at the very end of both is not worth a copy.
const SHORTEST_TAIL: usize = 8;
/// Most slots that are kept for a base: twice as many as one of 8 MiB has windows.
const MOST_SLOTS: usize = 1 << 17;

/// A stretch of a chunk that its base has too, or the chunk itself before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copied {
    /// Where it is in the chunk.
    pub(super) at: usize,
    /// Where it is in the base, or in the chunk that follows on the base.
    pub(super) from: usize,
    pub(super) length: usize,
}

/// A window of the base, by the hash of its content.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The lower half of the hash with its lowest bit set; 0 where there is no window.
    tag: u32,
    /// Where it is, counted from 1; 0 where it is in more than one place, so that none of them tells anything.
    place: u32,
}

thread_local! {
    static SLOTS: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

/// The stretches of `plain` that `base` has too, in order, with what the rest repeats of itself, and how many bytes are in none of
/// them. `None` where `base` does not have more than `most` bytes.
pub(super) fn between(base: &[u8], plain: &[u8], most: usize) -> Option<(Vec<Copied>, usize)> {
    SLOTS.with_borrow_mut(|slots| match base.len() {
        ..=SHORT_BASE => Search::<WINDOW>::new(base, plain, slots).run(most),
        _ => Search::<LONG_WINDOW>::new(base, plain, slots).run(most),
    })
}

struct Search<'a, const WINDOW: usize> {
    base: &'a [u8],
    plain: &'a [u8],
    slots: &'a mut Vec<Slot>,
    found: Vec<Copied>,
    /// Up to where the chunk has been told.
    told: usize,
    /// Bytes before that in no stretch.
    left_over: usize,
}

impl<'a, const WINDOW: usize> Search<'a, WINDOW> {
    fn new(base: &'a [u8], plain: &'a [u8], slots: &'a mut Vec<Slot>) -> Self {
        Self { base, plain, slots, found: Vec::new(), told: 0, left_over: 0 }
    }

    fn run(mut self, most: usize) -> Option<(Vec<Copied>, usize)> {
        let start = common_start(self.base, self.plain);
        if start >= WINDOW {
            self.take(0, 0, start);
        }
        if self.told < self.plain.len() {
            self.index();
        }
        let mut at = self.told;
        while let Some(window) = self.plain[at..].first_chunk::<WINDOW>() {
            match self.look_up(window) {
                Some(from) => {
                    let ahead = common_start(&self.base[from..], &self.plain[at..]);
                    let behind = common_end(&self.base[..from], &self.plain[self.told..at]);
                    self.take(at - behind, from - behind, ahead + behind);
                    at = self.told;
                }
                None => at += 1,
            }
            if self.left_over + at - self.told > most {
                return None;
            }
        }
        let tail = common_end(self.base, &self.plain[self.told..]);
        if tail >= SHORTEST_TAIL {
            self.take(self.plain.len() - tail, self.base.len() - tail, tail);
        }
        let left_over = self.left_over + self.plain.len() - self.told;
        (left_over <= most).then(|| repeats::fill(self.base.len(), self.plain, self.found, left_over))
    }

    fn take(&mut self, at: usize, from: usize, length: usize) {
        self.left_over += at - self.told;
        self.told = at + length;
        self.found.push(Copied { at, from, length });
    }

    /// Notes where the windows of the base are.
    fn index(&mut self) {
        let count = (2 * self.base.len() / WINDOW).next_power_of_two().clamp(64, MOST_SLOTS);
        self.slots.clear();
        self.slots.resize(count, Slot::default());
        for (number, window) in self.base.as_chunks::<WINDOW>().0.iter().enumerate() {
            let (slot, tag) = slot_of(window, count);
            let slot = &mut self.slots[slot];
            let place = if slot.tag == tag { 0 } else { (number * WINDOW + 1) as u32 };
            *slot = Slot { tag, place };
        }
    }

    /// Where the base has these bytes, if that is known and there is but one place.
    fn look_up(&self, window: &[u8; WINDOW]) -> Option<usize> {
        let (slot, tag) = slot_of(window, self.slots.len());
        let slot = self.slots[slot];
        let place = (slot.tag == tag).then(|| (slot.place as usize).checked_sub(1))??;
        (self.base.get(place..place + WINDOW) == Some(window)).then_some(place)
    }
}

/// A slot among `count`, a power of two, and the tag within it.
fn slot_of<const WINDOW: usize>(window: &[u8; WINDOW], count: usize) -> (usize, u32) {
    let mixed = window.as_chunks::<32>().0.iter().fold(0, |before, block| {
        let (words, _) = block.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        let left = folded(word(0) ^ 0x9E37_79B1_85EB_CA87 ^ before, word(1) ^ 0xC2B2_AE3D_27D4_EB4F);
        left ^ folded(word(2) ^ 0x1656_67B1_9E37_79F9, word(3) ^ 0x27D4_EB2F_1656_67C5).rotate_left(31)
    });
    ((mixed >> 40) as usize & (count - 1), mixed as u32 | 1)
}

/// Both halves of a product: every bit of it hangs on every bit of the factors. The lower half alone would leave windows in one
/// slot that differ in the last byte of a word, as the numbers of rows do.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// How many bytes two slices have in common at their start.
pub(super) fn common_start(a: &[u8], b: &[u8]) -> usize {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let (words, others) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (number, (word, other)) in words.iter().zip(others).enumerate() {
        let differ = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return number * 8 + differ.trailing_zeros() as usize / 8;
        }
    }
    let told = length / 8 * 8;
    told + a[told..].iter().zip(&b[told..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes two slices have in common at their end.
pub(super) fn common_end(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::noise;

    fn between_all(base: &[u8], plain: &[u8]) -> (Vec<Copied>, usize) {
        let (copied, left_over) = between(base, plain, usize::MAX).unwrap();
        let mut told = 0;
        let mut covered = 0;
        for Copied { at, from, length } in &copied {
            assert!(*at >= told && *length > 0, "they are in order");
            assert_eq!(plain[*at..at + length], base[*from..from + length]);
            (told, covered) = (at + length, covered + length);
        }
        assert_eq!(covered + left_over, plain.len());
        (copied, left_over)
    }

    #[test]
    fn rows_that_are_missing_cost_a_copy_each_and_new_ones_their_bytes() {
        let base = noise(300_000);
        let mut plain = base.clone();
        for at in [250_000, 200_100, 100_007, 40_000] {
            plain.drain(at..at + 93);
        }
        plain.splice(10_000..10_000, *b"a row that was not there");
        let (copied, left_over) = between_all(&base, &plain);
        assert_eq!((copied.len(), left_over), (6, 24));
    }

    #[test]
    fn rows_that_are_all_alike_do_not_lead_astray() {
        let row = |number: u32| format!("{number}\t1\t0\t{:84}\n", "").into_bytes();
        for rows in [3_000, 40_000] {
            let gone = |number: &u32| number % 67 == 5;
            let base: Vec<u8> = (500_000..500_000 + rows).flat_map(row).collect();
            let plain: Vec<u8> = (500_000..500_000 + rows).filter(|number| !gone(number)).flat_map(row).collect();
            let (copied, left_over) = between_all(&base, &plain);
            let least = (500_000..500_000 + rows).filter(gone).count();
            assert!(copied.len() <= least + 1 && left_over == 0, "{} copies for {least}, {left_over}", copied.len());
        }
    }

    /// Windows may differ in the last byte of a word alone, whichever of their places it is.
    #[test]
    fn rows_of_any_length_are_told_apart_by_a_digit() {
        for width in (40..112).step_by(3) {
            let row = |number: &u32| format!("{number}\t13\t0\t{:width$}\n", "").into_bytes();
            let gone = |number: &u32| number % 61 == 7;
            let count = (3 << 20) / (width as u32 + 14);
            let base: Vec<u8> = (1_000_000..1_000_000 + count).flat_map(|number| row(&number)).collect();
            let kept = (1_000_000..1_000_000 + count).filter(|number| !gone(number));
            let plain: Vec<u8> = kept.flat_map(|number| row(&number)).collect();
            let (copied, left_over) = between(&base, &plain, plain.len()).unwrap();
            let least = count as usize / 61;
            assert!(copied.len() <= least + 2 && left_over < 1_000, "{width}: {} copies, {left_over}", copied.len());
        }
    }

    #[test]
    fn what_has_little_in_common_is_given_up() {
        let (base, plain) = (noise(100_000), noise(200_000)[100_000..].to_vec());
        assert!(between(&base, &plain, 1_000).is_none());
        assert_eq!(between_all(&base, &plain), (vec![], 100_000));
        assert_eq!(between_all(&[], b"alone"), (vec![], 5));
        assert_eq!(between_all(&base, &[]), (vec![], 0));
    }
}
