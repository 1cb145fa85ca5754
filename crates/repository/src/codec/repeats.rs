//! What is in no common stretch may repeat itself: rows that are new resemble one another. A search for such repeats, in the gaps between
//! stretches alone.

use super::difference::{Copied, common_end, common_start};

/// Bytes that must be equal for a repeat to be found.
const WINDOW: usize = 8;
/// Shorter repeats are not worth a copy.
const SHORTEST: usize = 12;
/// Places that are remembered, by the hash of what is there: the newest of each.
const SLOTS: usize = 1 << 12;

/// The stretches, with what the gaps between them repeat of one another, and how many bytes are in none then. A copy from beyond the
/// base is one from the chunk itself: its beginning follows on the base.
pub(super) fn fill(base: usize, plain: &[u8], stretches: Vec<Copied>, left_over: usize) -> (Vec<Copied>, usize) {
    if left_over < 2 * SHORTEST {
        return (stretches, left_over);
    }
    let mut search =
        Search { base, plain, slots: vec![0; SLOTS], found: Vec::with_capacity(stretches.len()), left_over };
    let mut told = 0;
    for stretch in stretches {
        search.gap(told, stretch.at);
        told = stretch.at + stretch.length;
        search.found.push(stretch);
    }
    search.gap(told, plain.len());
    (search.found, search.left_over)
}

struct Search<'a> {
    base: usize,
    plain: &'a [u8],
    /// Where something was seen, counted from 1.
    slots: Vec<u32>,
    found: Vec<Copied>,
    left_over: usize,
}

impl Search<'_> {
    fn gap(&mut self, start: usize, end: usize) {
        let (mut told, mut at) = (start, start);
        while at + WINDOW <= end {
            let seen = self.note(at);
            let Some(from) = seen.filter(|from| self.plain[*from..*from + WINDOW] == self.plain[at..at + WINDOW])
            else {
                at += 1;
                continue;
            };
            let ahead = common_start(&self.plain[from..], &self.plain[at..end]);
            let behind = common_end(&self.plain[..from], &self.plain[told..at]);
            let length = ahead + behind;
            if length < SHORTEST {
                at += 1;
                continue;
            }
            self.found.push(Copied { at: at - behind, from: self.base + from - behind, length });
            self.left_over -= length;
            (told, at) = (at + ahead, at + ahead);
            // The end of a repeat begins many others.
            for before in [4, 2] {
                if at - before >= start && at - before + WINDOW <= end {
                    self.note(at - before);
                }
            }
        }
    }

    /// Remembers a place. Gives the one before it with the same hash.
    fn note(&mut self, at: usize) -> Option<usize> {
        let window = self.plain[at..].first_chunk::<WINDOW>()?;
        let hash = u64::from_le_bytes(*window).wrapping_mul(0x9E37_79B1_85EB_CA87) >> 52;
        let slot = &mut self.slots[hash as usize];
        let seen = (*slot as usize).checked_sub(1);
        *slot = (at + 1) as u32;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::between;
    use super::*;
    use crate::codec::tests::noise;

    fn row(number: u32) -> Vec<u8> {
        format!("{number}\t13\t0\t{:84}\n", "").into_bytes()
    }

    /// What the copies say, carried out; bytes in none of them are taken from the chunk.
    fn carried_out(base: &[u8], plain: &[u8], copies: &[Copied]) -> Vec<u8> {
        let mut all = base.to_vec();
        for Copied { at, from, length } in copies {
            let told = all.len() - base.len();
            all.extend_from_slice(&plain[told..*at]);
            for place in *from..from + length {
                all.push(all[place]);
            }
        }
        let told = all.len() - base.len();
        all.extend_from_slice(&plain[told..]);
        all.split_off(base.len())
    }

    #[test]
    fn new_rows_are_told_by_one_another() {
        let base: Vec<u8> = (500_000..530_000).flat_map(row).collect();
        let mut plain: Vec<u8> = (500_000..530_000).filter(|number| number % 67 != 5).flat_map(row).collect();
        plain.extend((700_000..700_500).flat_map(row));
        let (copies, left_over) = between(&base, &plain, plain.len()).unwrap();
        assert_eq!(carried_out(&base, &plain, &copies), plain);
        // A digit or two of each new row, whose hundred bytes would be left otherwise.
        assert!(left_over < 500 * 8, "{left_over} bytes left, {} copies", copies.len());
    }

    #[test]
    fn gaps_of_every_kind_are_told_exactly() {
        let (base, other) = (noise(200_000), noise(300_000).split_off(200_000));
        let mut plain = base.clone();
        let gaps: [(usize, Vec<u8>); 6] = [
            (190_000, vec![b'x'; 5_000]),
            (150_000, other[..3_000].to_vec()),
            (100_000, other[..3_000].to_vec()),
            (50_000, b"ab".repeat(700)),
            (20_000, other[1_000..1_011].to_vec()),
            (0, other[500..2_500].to_vec()),
        ];
        for (at, gap) in gaps {
            plain.splice(at..at, gap);
        }
        let (copies, left_over) = between(&base, &plain, plain.len()).unwrap();
        assert_eq!(carried_out(&base, &plain, &copies), plain);
        let told: usize = copies.iter().map(|copied| copied.length).sum();
        assert_eq!(told + left_over, plain.len());
        // One of the three that are alike stays, and the beginnings of the runs.
        assert!((2_900..3_200).contains(&left_over), "{left_over}");
        assert!(copies.is_sorted_by_key(|copied| copied.at));
    }

    #[test]
    fn nothing_is_found_where_nothing_repeats() {
        let plain = noise(5_000);
        assert_eq!(fill(100, &plain, Vec::new(), plain.len()), (vec![], 5_000));
        assert_eq!(fill(0, b"aaaaaaaaaaaaaaaaaaaaaaa", Vec::new(), 23), (vec![], 23), "it is too short");
    }
}
