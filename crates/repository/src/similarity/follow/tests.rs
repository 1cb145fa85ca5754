use super::*;

fn id(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// Chunks of 70 to 400 KB, each of its own length.
fn length(number: u64) -> u32 {
    70_000 + u32::from_le_bytes(id(number).0[..4].try_into().unwrap()) % 330_000
}

fn following(chunks: u64) -> Follower {
    let mut follower = Follower::new();
    let list: Vec<ChunkRef> = (0..chunks).map(|number| ChunkRef { id: id(number), length: length(number) }).collect();
    follower.extend(0, &list);
    follower
}

fn next(follower: &mut Follower, length: usize) -> Vec<Part> {
    next_known(follower, length, None)
}

fn next_known(follower: &mut Follower, length: usize, identity: Option<Identity>) -> Vec<Part> {
    let plan = follower.plan(length, identity);
    follower.take(&plan);
    assert_eq!(plan.parts.iter().map(|part| part.length).sum::<usize>(), length);
    plan.parts
}

fn bases(parts: &[Part]) -> Vec<Option<ChunkId>> {
    parts.iter().map(|part| part.place.base).collect()
}

#[test]
fn chunks_that_shrink_and_grow_keep_their_places() {
    let mut follower = following(500);
    for number in 0..500 {
        let changed = length(number) as usize + (number as usize * 37 % 3_000) - 2_000;
        assert_eq!(bases(&next(&mut follower, changed)), [Some(id(number))], "{number}");
    }
    assert_eq!(bases(&next(&mut follower, 100_000)), [None]);
}

#[test]
fn a_lost_boundary_is_put_back_and_a_new_one_accepted() {
    let mut follower = following(20);
    next(&mut follower, length(0) as usize - 500);
    let parts = next(&mut follower, (length(1) + length(2)) as usize - 900);
    assert_eq!(bases(&parts), [Some(id(1)), Some(id(2))]);
    assert!(parts[0].length.abs_diff(length(1) as usize) < 900);
    let halves = [next(&mut follower, 30_000), next(&mut follower, length(3) as usize - 30_300)];
    assert_eq!(halves.map(|parts| bases(&parts)), [[Some(id(3))], [Some(id(3))]]);
    assert_eq!(bases(&next(&mut follower, length(4) as usize + 50)), [Some(id(4))]);
}

#[test]
fn an_unchanged_chunk_puts_the_follower_right() {
    let mut follower = following(100);
    next(&mut follower, length(0) as usize);
    // Something of 300 KB is inserted; then all goes on as before.
    next(&mut follower, 300_000);
    let long = length(1) as usize;
    assert!(follower.plan(long, None).doubtful);
    let identity = Identity { id: id(1), known: true };
    assert_eq!(bases(&next_known(&mut follower, long, Some(identity))), [Some(id(1))]);
    assert_eq!(bases(&next(&mut follower, length(2) as usize - 77)), [Some(id(2))]);
}

#[test]
fn a_known_chunk_stays_in_one_piece() {
    let mut follower = following(20);
    let both = (length(0) + length(1)) as usize;
    let plan = follower.plan(both, None);
    assert!(plan.doubtful && plan.parts.len() == 2);
    let identity = Identity { id: id(77), known: true };
    assert_eq!(next_known(&mut follower, both, Some(identity)).len(), 1);
    assert_eq!(bases(&next(&mut follower, length(2) as usize - 7)), [Some(id(2))]);
}

#[test]
fn the_lost_follower_falls_silent_until_a_sketch_finds_the_place() {
    let mut follower = following(500);
    for _ in 0..20 {
        let part = next(&mut follower, 123_456)[0];
        follower.note(&part.place, Fate::Alone, None);
    }
    let part = next(&mut follower, length(7) as usize + 900)[0];
    assert_eq!(part.place.base, None);
    let late = next(&mut follower, length(8) as usize - 900)[0];
    follower.note(&part.place, Fate::Similar(id(7_000)), Some(id(7)));
    assert_eq!(bases(&next(&mut follower, length(9) as usize + 444)), [Some(id(9))]);
    // News from before the follower was put right changes nothing.
    follower.note(&late.place, Fate::Similar(id(400)), None);
    assert_eq!(bases(&next(&mut follower, length(10) as usize + 44)), [Some(id(10))]);
}

#[test]
fn lengths_that_fit_in_a_row_put_the_follower_right() {
    let mut follower = following(500);
    for number in 0..10 {
        next(&mut follower, length(number) as usize + 100);
    }
    // Two hundred chunks are gone.
    let found = (210..240).find(|number| {
        let part = next(&mut follower, length(*number) as usize - 1_000)[0];
        follower.note(&part.place, Fate::Alone, None);
        part.place.base.is_some() && follower.at() == (0..=*number).map(|number| u64::from(length(number))).sum::<u64>()
    });
    assert!(found.is_some_and(|number| number < 218), "{found:?}");
}

#[test]
fn reading_ahead_begins_with_new_chunks_and_ends_with_known_ones() {
    let mut follower = following(100);
    assert_eq!(follower.ahead(0, 1_000_000).count(), 0);
    for number in 0..8 {
        let part = next(&mut follower, length(number) as usize + 10)[0];
        follower.note(&part.place, Fate::Followed, None);
    }
    let depth = u64::from(length(8) + length(9)) + 1_000;
    let ahead: Vec<ChunkId> = follower.ahead(0, depth).map(|chunk| chunk.id).collect();
    assert_eq!(ahead, [id(8), id(9), id(10)]);
    let from = follower.at() + depth - 1_000;
    assert_eq!(follower.ahead(from, depth).next().map(|chunk| chunk.id), Some(id(10)));
    for number in 8..40 {
        let part = next(&mut follower, length(number) as usize)[0];
        follower.note(&part.place, Fate::Known(id(number)), None);
    }
    assert_eq!(follower.ahead(0, 1_000_000).count(), 0);
}

#[test]
fn what_is_recognised_ends_the_chunk_before_it() {
    let mut follower = following(40);
    next(&mut follower, length(0) as usize - 300);
    // New rows, the end of chunk 1, and the beginning of chunk 2, in one.
    let long = 260_000;
    assert!(follower.plan(long, None).astray);
    let entry = follower.find(&id(2)).unwrap();
    follower.recognise(180_000, &entry);
    let plan = follower.plan_to(180_000, entry.start);
    follower.take(&plan);
    assert_eq!(plan.parts.iter().map(|part| part.length).sum::<usize>(), 180_000);
    assert_eq!(bases(&plan.parts).last(), Some(&Some(id(1))));
    assert_eq!(bases(&next(&mut follower, length(2) as usize - 60)), [Some(id(2))]);
    // Twenty chunks are gone: the next one is where it is said to be, and so is what was found by lengths alone.
    let entry = follower.find(&id(23)).unwrap();
    follower.recognise(0, &entry);
    assert_eq!(bases(&next(&mut follower, length(23) as usize + 90)), [Some(id(23))]);
    assert!(!follower.plan(length(24) as usize, None).astray);
}

#[test]
fn a_boundary_that_is_near_by_chance_is_none() {
    let mut follower = following(40);
    next(&mut follower, length(0) as usize / 2);
    let rest = (length(0) - length(0) / 2) as usize;
    assert!(follower.plan(rest, None).astray);
    assert_eq!(bases(&next(&mut follower, rest)), [Some(id(0))]);
    assert!(follower.plan(length(1) as usize + 1, None).astray);
}
