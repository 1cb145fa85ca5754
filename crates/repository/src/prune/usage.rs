//! Which packs are needed, and for how many bytes: the ids that are live, in order, against the places of all chunks, in
//! order. Plain data in, plain data out; nothing but a counter per pack is held in memory.

use std::io;

use crate::ids::ChunkId;

/// A chunk's id, as it is sorted.
pub(super) type IdRecord = [u8; 32];
/// A chunk's place as it is sorted: id, whether it is a delta, number of the pack, bytes it takes.
pub(super) type PlaceRecord = [u8; 41];

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: ChunkId,
    /// Whether it lies there as a delta on another.
    pub(super) delta: bool,
    /// Number of the pack.
    pub(super) pack: u32,
    /// Bytes it takes there: sealed, and in the pack's table.
    pub(super) stored: u32,
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

impl Place {
    pub(super) fn to_record(self) -> PlaceRecord {
        let mut record = [0; 41];
        record[..32].copy_from_slice(&self.id.0);
        record[32] = u8::from(self.delta);
        record[33..37].copy_from_slice(&self.pack.to_be_bytes());
        record[37..].copy_from_slice(&self.stored.to_be_bytes());
        record
    }

    fn from_record(record: &PlaceRecord) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(&record[..32]);
        let delta = record[32] != 0;
        Self { id: ChunkId(id), delta, pack: number(&record[33..37]), stored: number(&record[37..]) }
    }

    /// What of several places of a chunk is to be kept, the least first. A whole chunk goes before a delta, whatever the
    /// packs' standings: another delta may stand on it, which cannot stand on a delta, and its base may be lost.
    fn preference(&self, standing: impl Fn(u32) -> Standing) -> (bool, Standing) {
        (self.delta, standing(self.pack))
    }
}

/// A pack's number and an id, so that they sort by pack.
pub(super) fn by_pack(pack: u32, id: &ChunkId) -> [u8; 36] {
    let mut record = [0; 36];
    record[..4].copy_from_slice(&pack.to_be_bytes());
    record[4..].copy_from_slice(&id.0);
    record
}

/// Takes apart what [`by_pack`] made.
pub(super) fn pack_and_id(record: &[u8; 36]) -> (u32, ChunkId) {
    let mut id = [0; 32];
    id.copy_from_slice(&record[4..]);
    (number(&record[..4]), ChunkId(id))
}

/// How much a pack may be relied on. A chunk that is whole in several belongs to the best of them, of equals to the first;
/// likewise one that is nowhere whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It stays.
    Kept,
    /// It is marked.
    Marked,
    /// It is being deleted.
    Condemned,
}

/// Finds the home of every live chunk, and tells how many have none.
pub(super) fn homes(
    live: impl Iterator<Item = io::Result<IdRecord>>,
    places: impl Iterator<Item = io::Result<PlaceRecord>>,
    standing: impl Fn(u32) -> Standing,
    mut home: impl FnMut(Place) -> io::Result<()>,
) -> io::Result<u64> {
    let mut places = places.map(|place| place.map(|place| Place::from_record(&place)));
    let mut next = places.next().transpose()?;
    let mut homeless = 0;
    for id in live {
        let id = ChunkId(id?);
        let mut best: Option<Place> = None;
        while let Some(place) = next
            && place.id <= id
        {
            if place.id == id && best.is_none_or(|best| place.preference(&standing) < best.preference(&standing)) {
                best = Some(place);
            }
            next = places.next().transpose()?;
        }
        match best {
            Some(place) => home(place)?,
            None => homeless += 1,
        }
    }
    Ok(homeless)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> ChunkId {
        ChunkId([number; 32])
    }

    fn run(live: &[u8], places: &[(u8, u32)], standing: impl Fn(u32) -> Standing) -> (BTreeMap<u8, u32>, u64) {
        let live: BTreeSet<IdRecord> = live.iter().map(|number| id(*number).0).collect();
        let places: BTreeSet<PlaceRecord> = places
            .iter()
            .map(|(number, pack)| Place { id: id(*number), delta: false, pack: *pack, stored: 9 }.to_record())
            .collect();
        let mut found = BTreeMap::new();
        let homeless = homes(live.into_iter().map(Ok), places.into_iter().map(Ok), standing, |place| {
            assert_eq!(place.stored, 9);
            assert_eq!(found.insert(place.id.0[0], place.pack), None);
            Ok(())
        });
        (found, homeless.unwrap())
    }

    #[test]
    fn a_chunk_lives_in_the_pack_that_stays_longest() {
        let standing = |pack| match pack {
            0 => Standing::Condemned,
            1 => Standing::Marked,
            _ => Standing::Kept,
        };
        let cases: [(&[u32], Option<u32>); 6] = [
            (&[2, 3], Some(2)),
            (&[0, 1, 2], Some(2)),
            (&[0, 1], Some(1)),
            (&[0], Some(0)),
            (&[], None),
            (&[1, 3, 2], Some(2)),
        ];
        for (packs, expected) in cases {
            let places: Vec<(u8, u32)> = packs.iter().map(|pack| (5, *pack)).chain([(4, 9), (6, 9)]).collect();
            let (found, homeless) = run(&[5], &places, standing);
            assert_eq!((found.get(&5).copied(), homeless), (expected, u64::from(expected.is_none())), "{packs:?}");
        }
    }

    #[test]
    fn a_chunk_that_is_whole_somewhere_lives_there() {
        let standing = |pack| if pack < 5 { Standing::Condemned } else { Standing::Kept };
        for (whole, delta) in [(1, 7), (7, 1), (6, 7), (7, 6)] {
            let place = |delta, pack| Place { id: id(5), delta, pack, stored: 9 }.to_record();
            let places = BTreeSet::from([place(false, whole), place(true, delta)]);
            let mut home = None;
            let homeless = homes([Ok(id(5).0)].into_iter(), places.into_iter().map(Ok), standing, |place| {
                home = Some(place.pack);
                Ok(())
            });
            assert_eq!((home, homeless.unwrap()), (Some(whole), 0), "whole in {whole}, a delta in {delta}");
        }
    }

    proptest! {
        #[test]
        fn every_live_chunk_with_a_place_has_one_home(
            live in prop::collection::vec(any::<u8>(), 0..60),
            places in prop::collection::vec((any::<u8>(), 0_u32..12), 0..200),
        ) {
            let standing = |pack: u32| match pack % 3 {
                0 => Standing::Kept,
                1 => Standing::Marked,
                _ => Standing::Condemned,
            };
            let (found, homeless) = run(&live, &places, standing);
            let live: BTreeSet<u8> = live.into_iter().collect();
            prop_assert_eq!(found.len() as u64 + homeless, live.len() as u64);
            for number in live {
                let best = places.iter().filter(|(other, _)| *other == number).map(|(_, pack)| (standing(*pack), *pack)).min();
                prop_assert_eq!(found.get(&number).copied(), best.map(|(_, pack)| pack));
            }
        }
    }
}
