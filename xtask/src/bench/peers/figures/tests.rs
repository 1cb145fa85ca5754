use super::super::contestant::Kind;
use super::super::live::Agent;
use super::super::rounds::{Input, Later, LaterTurn};
use super::*;

fn input() -> Input {
    Input { file: "/x".into(), bytes: 1_000, sha256: String::new() }
}

fn data() -> DataSet {
    let later = |name, floor| Later { name, input: input(), floor };
    let later = vec![later("changed", Some(100)), later("appended", Some(50))];
    DataSet { name: "mixed", kind: Kind::Rows, timed: true, day_1: input(), later }
}

fn taken(processor: f64) -> Taken {
    Taken { wall: processor / 2.0, processor, peak: (processor * 1e6) as u64 }
}

fn turn(contestant: Tool, stored: u64, added: u64, processor: f64) -> Turn {
    let later = |name| LaterTurn { name, added, store: taken(processor), read: taken(processor) };
    Turn { contestant, stored, day_1: taken(processor), later: vec![later("changed"), later("appended")] }
}

fn find<'a>(verdicts: &'a [Verdict], part: &str) -> &'a Verdict {
    verdicts.iter().find(|verdict| verdict.what.contains(part)).unwrap()
}

#[test]
fn the_middle_of_the_rounds_counts_and_the_highest_peak() {
    let turns = [9.0, 1.0, 2.0].map(|seconds| turn(Tool::Haulier, seconds as u64, 7, seconds));
    let contest = Contest::new(data(), turns.to_vec());
    let haulier = contest.haulier().unwrap();
    assert_eq!((haulier.stored, haulier.day_1.processor, haulier.day_1.peak), (2.0, 2.0, 9_000_000));
    assert_eq!(highest(haulier), 9_000_000.0);
}

#[test]
fn verdicts_say_met_and_missed() {
    let turns = vec![turn(Tool::Haulier, 103, 120, 6.0), turn(Tool::Borg, 100, 2_400, 10.0)];
    let verdicts = verdicts(&[Contest::new(data(), turns)], &[], Some(taken(5.0)));
    let floor = find(&verdicts, "changed rows alone");
    assert_eq!((floor.figure, floor.measured, floor.met), (1, Some(1.2), Some(true)));
    assert_eq!(find(&verdicts, "times less than the best peer").measured, Some(20.0));
    assert_eq!(find(&verdicts, "bytes of day 1").met, Some(true));
    assert_eq!(find(&verdicts, "day 1: processor").met, Some(true));
    let day_2 = find(&verdicts, "changed: processor");
    assert_eq!((day_2.measured, day_2.met), (Some(0.6), Some(false)));
    assert_eq!(find(&verdicts, "appended: bytes added").met, Some(true));
    assert_eq!(find(&verdicts, "read back: wall").met, Some(true));
    assert_eq!(find(&verdicts, "quarter").met, Some(true));
}

#[test]
fn a_peer_that_compresses_less_is_no_measure_of_processor() {
    let turns =
        vec![turn(Tool::Haulier, 100, 1, 6.0), turn(Tool::Borg, 100, 1, 10.0), turn(Tool::Bupstash, 200, 1, 1.0)];
    let verdicts = verdicts(&[Contest::new(data(), turns)], &[], None);
    assert_eq!(find(&verdicts, "day 1: processor").measured, Some(0.6));
    // Reading back has no such excuse.
    assert_eq!(find(&verdicts, "changed read back: processor").measured, Some(6.0));
}

#[test]
fn without_peers_nothing_is_claimed() {
    let verdicts = verdicts(&[Contest::new(data(), vec![turn(Tool::Haulier, 1, 1, 1.0)])], &[], None);
    assert_eq!(find(&verdicts, "bytes of day 1").met, None);
    assert_eq!(find(&verdicts, "times less").met, None);
    assert_eq!(find(&verdicts, "changed rows alone").met, Some(true));
}

#[test]
fn walls_are_compared_day_by_day() {
    let agent = Agent { transfer: 1.0, processor: 1.0, peak: 400 << 20, children_peak: 0 };
    let backup = |contestant: &str, day, wall| Backup { contestant: contestant.into(), day, wall, agent: None };
    let live = [
        Backup { agent: Some(agent), ..backup("haulier", 1, 10.0) },
        backup("restic", 1, 11.0),
        backup(PIPE, 1, 9.0),
        backup("haulier", 2, 7.0),
        backup("restic", 2, 6.0),
        backup(PIPE, 2, 9.0),
    ];
    let verdicts = verdicts(&[], &live, None);
    let met: Vec<_> = verdicts.iter().map(|verdict| verdict.met.unwrap()).collect();
    // Day 1: peer, pipe; day 2: peer, pipe; memory.
    assert_eq!(met, [true, false, false, true, false]);
}
