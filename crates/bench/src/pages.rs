//! A file of 8 KiB pages, as a native backup of SQL Server carries them: header, rows, free space, slots.
//!
//! Page `n` depends on the seed and on `n` alone, so a later state of the same file differs from an earlier one in
//! exactly the pages that were changed.

use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use clap::Args;

use crate::random::Random;

/// Bytes of a page.
pub(crate) const PAGE: usize = 8192;
/// Bytes of its header.
const HEADER: usize = 96;
/// Words that texts are made of.
const WORDS: u64 = 160;

/// Writes a file of database pages to standard output.
#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// How many pages.
    #[arg(long)]
    count: u64,
    /// What the content depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pages of a thousand that have changed since the file was first written.
    #[arg(long, default_value_t = 0)]
    changed: u64,
    /// Bytes of another container's header before the first page.
    #[arg(long, default_value_t = 0)]
    shift: usize,
}

/// Writes it.
pub(crate) fn write(pages: &Pages) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut write = |bytes: &[u8]| out.write_all(bytes).context("writing pages");
    let mut random = Random::new(pages.seed, u64::MAX);
    let header: Vec<u8> = (0..pages.shift).map(|_| random.next() as u8).collect();
    write(&header)?;
    let mut page = [0; PAGE];
    let words = vocabulary();
    for number in 0..pages.count {
        fill(&mut page, &words, pages.seed, number, is_changed(pages.seed, number, pages.changed));
        write(&page)?;
    }
    out.flush().context("writing pages")
}

/// Whether a page is among those that changed.
fn is_changed(seed: u64, number: u64, of_thousand: u64) -> bool {
    Random::new(seed ^ 0xC0FF_EE00, number).next() % 1000 < of_thousand
}

/// Makes one page: rows of a key, a moment, an amount, a text, and now and then a digest; four of its rows were written
/// anew where it has changed, and its header tells of that.
fn fill(page: &mut [u8; PAGE], words: &[String], seed: u64, number: u64, changed: bool) {
    page.fill(0);
    let generation = u64::from(changed);
    let mut random = Random::new(seed, number);
    let mut later = Random::new(seed ^ 0xDEAD_BEEF, number);
    let full = PAGE - 200 - (random.next() % 400) as usize;
    let (mut end, mut rows) = (HEADER, 0_usize);
    while end < full {
        // The old row is made in any case, so that what follows stays where it was.
        let old = row(&mut random, words, number, rows as u64);
        let new = row(&mut later, words, number, rows as u64);
        let is_new = changed && rows % 16 == 5;
        let bytes = if is_new { fit(&new, old.len()) } else { old };
        if end + bytes.len() > full {
            break;
        }
        page[end..end + bytes.len()].copy_from_slice(&bytes);
        let slot = PAGE - 2 * (rows + 1);
        page[slot..slot + 2].copy_from_slice(&(end as u16).to_le_bytes());
        end += bytes.len();
        rows += 1;
    }
    page[..4].copy_from_slice(&[1, 1, 0, 0]);
    page[4..6].copy_from_slice(&(rows as u16).to_le_bytes());
    page[6..8].copy_from_slice(&(end as u16).to_le_bytes());
    page[32..40].copy_from_slice(&number.to_le_bytes());
    // Log sequence number and checksum.
    page[40..48].copy_from_slice(&(0x2A_0000_0000 + number * 3 + generation * 1_000_003).to_le_bytes());
    let sum = blake3::hash(&page[HEADER..]);
    page[60..64].copy_from_slice(&sum.as_bytes()[..4]);
}

fn row(random: &mut Random, words: &[String], page: u64, row: u64) -> Vec<u8> {
    let mut bytes = vec![0x30, 0, 28, 0];
    bytes.extend_from_slice(&(page * 64 + row).to_le_bytes());
    bytes.extend_from_slice(&(45_000_u32 + (random.next() % 400) as u32).to_le_bytes());
    bytes.extend_from_slice(&((random.next() % 25_920_000) as u32).to_le_bytes());
    bytes.extend_from_slice(&(random.next() % 10_000_000).to_le_bytes());
    for _ in 0..6 + random.next() % 8 {
        bytes.extend_from_slice(words[(random.next() % WORDS) as usize].as_bytes());
        bytes.push(b' ');
    }
    if random.next().is_multiple_of(16) {
        bytes.extend_from_slice(&random.next().to_le_bytes());
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes
}

/// The new row in the old one's place.
fn fit(row: &[u8], length: usize) -> Vec<u8> {
    let mut row = row.to_vec();
    row.resize(length, b' ');
    row
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

    fn file(count: u64, of_thousand: u64) -> Vec<u8> {
        let (mut page, words) = ([0; PAGE], vocabulary());
        let mut all = Vec::new();
        for number in 0..count {
            fill(&mut page, &words, 1, number, is_changed(1, number, of_thousand));
            all.extend_from_slice(&page);
        }
        all
    }

    #[test]
    fn pages_shrink_to_between_30_and_40_percent() {
        let plain = file(2_000, 0);
        let small = zstd::bulk::compress(&plain, 3).unwrap().len();
        let share = small as f64 / plain.len() as f64;
        assert!((0.30..0.40).contains(&share), "{share}");
    }

    #[test]
    fn one_page_in_a_hundred_changes_and_only_in_part() {
        let (before, after) = (file(5_000, 0), file(5_000, 10));
        let differing: Vec<_> =
            before.chunks(PAGE).zip(after.chunks(PAGE)).filter(|(before, after)| before != after).collect();
        assert!((35..65).contains(&differing.len()), "{}", differing.len());
        for (before, after) in differing {
            let bytes = before.iter().zip(after.iter()).filter(|(before, after)| before != after).count();
            assert!((10..PAGE / 4).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn every_page_has_rows_and_a_number() {
        let all = file(3, 1000);
        for (number, page) in all.chunks(PAGE).enumerate() {
            assert_eq!(page[32..40], (number as u64).to_le_bytes());
            assert!(u16::from_le_bytes([page[4], page[5]]) > 30);
        }
    }
}
