//! One page: made, written to anew in part, and asked for its number.

use crate::random::Random;

/// Bytes of a page.
pub const PAGE: usize = 8192;
/// Bytes of its header.
const HEADER: usize = 96;
/// Words that texts are made of.
const WORDS: u64 = 160;
/// Where the header has the page's number (four bytes) and its file's (two bytes).
const NUMBER: usize = 32;
/// The one data file that pages are made for.
const FILE: u16 = 1;

/// Makes pages. Holds the words that their texts consist of.
#[derive(Debug, Clone)]
pub struct PageMaker {
    words: Vec<String>,
}

impl Default for PageMaker {
    fn default() -> Self {
        Self::new()
    }
}

impl PageMaker {
    /// A maker of pages; all of them make the same.
    #[must_use]
    pub fn new() -> Self {
        Self { words: vocabulary() }
    }

    /// Makes one page: rows of a key, a moment, an amount, a text, and now and then a digest.
    pub fn fill(&self, page: &mut [u8; PAGE], seed: u64, number: u32) {
        page.fill(0);
        let mut random = Random::new(seed, u64::from(number));
        let full = PAGE - 200 - (random.next() % 400) as usize;
        let (mut end, mut rows) = (HEADER, 0_usize);
        loop {
            let bytes = self.row(&mut random, number, rows);
            if end + bytes.len() > full {
                break;
            }
            page[end..end + bytes.len()].copy_from_slice(&bytes);
            page[slot(rows)].copy_from_slice(&(end as u16).to_le_bytes());
            end += bytes.len();
            rows += 1;
        }
        page[..4].copy_from_slice(&[1, 1, 0, 0]);
        page[4..6].copy_from_slice(&(rows as u16).to_le_bytes());
        page[6..8].copy_from_slice(&(end as u16).to_le_bytes());
        page[NUMBER..NUMBER + 4].copy_from_slice(&number.to_le_bytes());
        page[NUMBER + 4..NUMBER + 6].copy_from_slice(&FILE.to_le_bytes());
        seal(page, 0);
    }

    /// Writes one row of sixteen anew, in its place, and tells of it in the header. What a page that was made here becomes
    /// depends on the page and the generation.
    pub fn rewrite(&self, page: &mut [u8; PAGE], generation: u32) {
        let at = |place: usize| usize::from(u16::from_le_bytes([page[place], page[place + 1]]));
        let (rows, used, number) = (at(4), at(6).min(PAGE), number(page));
        let mut random = Random::new(0xDEAD_BEEF ^ u64::from(generation), u64::from(number));
        let places: Vec<(usize, usize)> = (5..rows.min(PAGE / 4))
            .step_by(16)
            .map(|row| (at(slot(row).start), if row + 1 < rows { at(slot(row + 1).start) } else { used }))
            .collect();
        for (index, (start, end)) in places.into_iter().enumerate() {
            if start < HEADER || end <= start || end > PAGE {
                continue;
            }
            let mut bytes = self.row(&mut random, number, index * 16 + 5);
            bytes.resize(end - start, b' ');
            page[start..end].copy_from_slice(&bytes);
        }
        seal(page, generation);
    }

    fn row(&self, random: &mut Random, page: u32, row: usize) -> Vec<u8> {
        let mut bytes = vec![0x30, 0, 28, 0];
        bytes.extend_from_slice(&(u64::from(page) * 64 + row as u64).to_le_bytes());
        bytes.extend_from_slice(&(45_000_u32 + (random.next() % 400) as u32).to_le_bytes());
        bytes.extend_from_slice(&((random.next() % 25_920_000) as u32).to_le_bytes());
        bytes.extend_from_slice(&(random.next() % 10_000_000).to_le_bytes());
        for _ in 0..6 + random.next() % 8 {
            bytes.extend_from_slice(self.words[(random.next() % WORDS) as usize].as_bytes());
            bytes.push(b' ');
        }
        if random.next().is_multiple_of(16) {
            bytes.extend_from_slice(&random.next().to_le_bytes());
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
        bytes
    }
}

/// The number that a page's header gives it.
#[must_use]
pub fn number(page: &[u8; PAGE]) -> u32 {
    u32::from_le_bytes([page[NUMBER], page[NUMBER + 1], page[NUMBER + 2], page[NUMBER + 3]])
}

/// Where a row's offset stands.
fn slot(row: usize) -> std::ops::Range<usize> {
    let start = PAGE - 2 * (row + 1);
    start..start + 2
}

/// Log sequence number and checksum.
fn seal(page: &mut [u8; PAGE], generation: u32) {
    let sequence = 0x2A_0000_0000 + u64::from(number(page)) * 3 + u64::from(generation) * 1_000_003;
    page[40..48].copy_from_slice(&sequence.to_le_bytes());
    let sum = blake3::hash(&page[HEADER..]);
    page[60..64].copy_from_slice(&sum.as_bytes()[..4]);
}

/// Made-up words of three to nine letters.
fn vocabulary() -> Vec<String> {
    let word = |number| {
        let mut random = Random::new(7, number);
        let length = 3 + random.next() % 7;
        (0..length).map(|_| char::from(b"etaoinshrdlucmfwypvbgkjqxz"[(random.next() % 26) as usize])).collect()
    };
    (0..WORDS).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(count: u32, changed: impl Fn(u32) -> Option<u32>) -> Vec<u8> {
        let (mut page, maker) = ([0; PAGE], PageMaker::new());
        let mut all = Vec::new();
        for number in 0..count {
            maker.fill(&mut page, 1, number);
            if let Some(generation) = changed(number) {
                maker.rewrite(&mut page, generation);
            }
            all.extend_from_slice(&page);
        }
        all
    }

    #[test]
    fn pages_shrink_to_between_30_and_40_percent() {
        let plain = file(2_000, |_| None);
        let small = zstd::bulk::compress(&plain, 3).unwrap().len();
        let share = small as f64 / plain.len() as f64;
        assert!((0.30..0.40).contains(&share), "{share}");
    }

    #[test]
    fn a_changed_page_changes_in_part_and_each_time_otherwise() {
        let before = file(50, |_| None);
        let (first, second) = (file(50, |_| Some(1)), file(50, |_| Some(2)));
        assert_eq!(first, file(50, |_| Some(1)));
        for ((before, first), second) in before.chunks(PAGE).zip(first.chunks(PAGE)).zip(second.chunks(PAGE)) {
            let bytes = before.iter().zip(first).filter(|(before, after)| before != after).count();
            assert!((10..PAGE / 4).contains(&bytes), "{bytes}");
            assert_ne!(first, second);
        }
    }

    #[test]
    fn every_page_has_rows_and_a_number() {
        for (index, page) in (0_u32..).zip(file(3, |_| Some(1)).as_chunks::<PAGE>().0) {
            assert_eq!(number(page), index);
            assert!(u16::from_le_bytes([page[4], page[5]]) > 30);
        }
    }

    #[test]
    fn a_page_that_was_not_made_here_is_rewritten_without_a_fault() {
        let maker = PageMaker::new();
        for fill in [0_u8, 0x7F, 0xFF] {
            let mut page = [fill; PAGE];
            maker.rewrite(&mut page, 1);
        }
    }
}
