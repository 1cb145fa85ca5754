use std::collections::BTreeSet;

use super::*;
use crate::ids::ChunkId;

fn id(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn sorted<const N: usize>(folder: &Path, memory: usize, records: impl Iterator<Item = [u8; N]>) -> Sorted<N> {
    let mut sorter = Sorter::new(folder, memory);
    for record in records {
        sorter.push(record).unwrap();
    }
    sorter.finish().unwrap()
}

/// Which packs are needed, where chunk n lies in pack n, deltas are pairs of a delta's pack and its base, and points need
/// these chunks.
fn needed(live: &[u64], deltas: &[(u32, u64)], standings: &[Standing]) -> (BTreeSet<usize>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let packs = standings.len() as u64;
    let places =
        (0..packs).map(|number| Place { id: id(number), delta: false, pack: number as u32, stored: 10 }.to_record());
    let places = sorted(folder, 1 << 10, places);
    let deltas = sorted(folder, 1 << 10, deltas.iter().map(|(pack, base)| by_pack(*pack, &id(*base))));
    let live = sorted(folder, 1 << 10, live.iter().map(|number| id(*number).0));
    let measured = measure(folder, 1 << 10, standings, live, &places, &deltas).unwrap();
    let used = measured.used.iter().enumerate().filter(|(_, used)| **used > 0);
    (used.map(|(pack, _)| pack).collect(), measured.homeless)
}

#[test]
fn a_base_is_needed_while_a_delta_on_it_lies_in_a_pack_that_is() {
    use Standing::{Kept, Marked};
    type Case = (&'static str, &'static [u64], &'static [(u32, u64)], &'static [usize], u64);
    let cases: [Case; 7] = [
        ("no deltas", &[0, 2], &[], &[0, 2], 0),
        ("a live delta on a base that no point needs", &[0], &[(0, 3)], &[0, 3], 0),
        ("a dead delta beside something live", &[1], &[(1, 3), (1, 4)], &[1, 3, 4], 0),
        ("a delta in a pack that nothing needs", &[0], &[(1, 3)], &[0], 0),
        ("a base in a pack with deltas of its own", &[0], &[(0, 1), (1, 2), (2, 3)], &[0, 1, 2, 3], 0),
        ("a base in a marked pack", &[0], &[(0, 5)], &[0, 5], 0),
        ("something that is nowhere", &[0, 99], &[(0, 98)], &[0], 1),
    ];
    for (what, live, deltas, expected, homeless) in cases {
        let found = needed(live, deltas, &[Kept, Kept, Kept, Kept, Kept, Marked]);
        assert_eq!(found, (expected.iter().copied().collect(), homeless), "{what}");
    }
}

#[test]
fn a_chain_of_any_length_comes_to_an_end_and_keeps_every_base() {
    let deltas: Vec<(u32, u64)> = (0..40).map(|pack| (pack, u64::from(pack) + 1)).collect();
    let (found, _) = needed(&[0], &deltas, &[Standing::Kept; 41]);
    assert_eq!(found.len(), 41);
}

/// Peak resident memory of this process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn millions_of_chunks_are_measured_in_bounded_memory() {
    const CHUNKS: u64 = 2_000_000;
    const MEMORY: usize = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let before = peak();
    let place =
        |number: u64| Place { id: id(number), delta: false, pack: (number % 5_000) as u32, stored: 1 }.to_record();
    let places = sorted(folder, MEMORY, (0..CHUNKS).map(place));
    // Three points that share most of what they need.
    let named = (0..3).flat_map(|point| point * 1_000..CHUNKS / 2 + point * 1_000);
    let live = sorted(folder, MEMORY, named.map(|number| id(number).0));
    let deltas =
        sorted(folder, MEMORY, (0..CHUNKS / 10).map(|number| by_pack((number % 5_000) as u32, &id(number + 7))));
    let standings = vec![Standing::Kept; 5_000];
    let measured = measure(folder, MEMORY, &standings, live, &places, &deltas).unwrap();
    assert_eq!(measured.used.iter().sum::<u64>(), CHUNKS / 2 + 2_000);
    assert_eq!(measured.homeless, 0);
    // Two million places are 80 MB on disk.
    let grown = peak() - before;
    assert!(grown < 24 << 20, "grew by {} MiB", grown >> 20);
}
