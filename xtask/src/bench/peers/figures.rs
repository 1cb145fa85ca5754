//! From turns to figures, and from figures to verdicts. Pure: what is aimed at is here and nowhere else.

use serde::Serialize;

use super::contestant::Tool;
use super::live::{Backup, PIPE};
use super::rounds::{DataSet, Turn};
use crate::bench::child::Taken;
use crate::bench::measure::median;

/// Day 2 against the changed rows alone after `zstd -3`.
const FLOOR: f64 = 1.25;
/// How many times more the best peer adds on day 2.
const LESS: f64 = 15.0;
/// Day 1 against the best peer's size.
const DAY_1_SIZE: f64 = 1.03;
/// A peer whose day 1 is larger than the smallest by more than this paid less for it.
const COMPARABLE: f64 = 1.15;
/// Processor on day 1 and on day 2, against the best comparable peer's.
const PROCESSOR: [f64; 2] = [0.7, 0.5];
/// Wall of a whole backup against `pg_dump | zstd` on day 1 and on day 2.
const PIPE_WALL: [f64; 2] = [1.0, 0.8];
/// Bytes of memory.
const MEMORY: f64 = 300.0 * 1024.0 * 1024.0;
/// Peak memory with all of the data against that with a quarter of it.
const FLAT: f64 = 1.25;

/// The middle of all rounds of one contestant; the highest of its peaks.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) contestant: Tool,
    pub(super) stored: f64,
    pub(super) day_1: Taken,
    pub(super) later: Vec<LaterFigures>,
}

/// The same of a later state.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LaterFigures {
    pub(super) name: &'static str,
    pub(super) added: f64,
    pub(super) store: Taken,
    pub(super) read: Taken,
}

/// One data set with everybody's figures.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Contest {
    pub(super) data: DataSet,
    pub(super) figures: Vec<Figures>,
    pub(super) turns: Vec<Turn>,
}

impl Contest {
    pub(super) fn new(data: DataSet, turns: Vec<Turn>) -> Self {
        let mut tools: Vec<Tool> = turns.iter().map(|turn| turn.contestant).collect();
        tools.sort();
        tools.dedup();
        let figures = tools.into_iter().map(|tool| figures(&data, tool, &turns)).collect();
        Self { data, figures, turns }
    }

    pub(super) fn haulier(&self) -> Option<&Figures> {
        self.figures.iter().find(|figures| figures.contestant == Tool::Haulier)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Figures> {
        self.figures.iter().filter(|figures| figures.contestant != Tool::Haulier)
    }

    /// Haulier's value over the least of the peers'.
    fn ratio(&self, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        over_least(of(self.haulier()?), self.peers().map(of))
    }

    /// The same, among peers that compress as well.
    fn comparable_ratio(&self, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        let smallest = self.figures.iter().map(|figures| figures.stored).min_by(f64::total_cmp)?;
        let peers = self.peers().filter(|peer| peer.stored <= COMPARABLE * smallest);
        over_least(of(self.haulier()?), peers.map(of))
    }
}

fn figures(data: &DataSet, tool: Tool, turns: &[Turn]) -> Figures {
    let turns: Vec<&Turn> = turns.iter().filter(|turn| turn.contestant == tool).collect();
    let later = data.later.iter().enumerate().map(|(number, state)| LaterFigures {
        name: state.name,
        added: median(turns.iter().map(|turn| turn.later[number].added as f64)),
        store: middle(turns.iter().map(|turn| turn.later[number].store)),
        read: middle(turns.iter().map(|turn| turn.later[number].read)),
    });
    Figures {
        contestant: tool,
        stored: median(turns.iter().map(|turn| turn.stored as f64)),
        day_1: middle(turns.iter().map(|turn| turn.day_1)),
        later: later.collect(),
    }
}

fn middle(taken: impl Iterator<Item = Taken> + Clone) -> Taken {
    Taken {
        wall: median(taken.clone().map(|taken| taken.wall)),
        processor: median(taken.clone().map(|taken| taken.processor)),
        peak: taken.map(|taken| taken.peak).max().unwrap_or(0),
    }
}

/// `None` where there is nobody to compare with.
fn over_least(value: f64, others: impl Iterator<Item = f64>) -> Option<f64> {
    others.min_by(f64::total_cmp).map(|least| value / least)
}

/// What was aimed at and what was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    /// The number of the figure.
    pub(super) figure: u8,
    pub(super) what: String,
    pub(super) aim: Aim,
    /// Nothing where nobody was there to compare with.
    pub(super) measured: Option<f64>,
    pub(super) met: Option<bool>,
}

/// What counts as met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aim {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Below(limit) => value < limit,
        }
    }
}

fn verdict(figure: u8, what: impl Into<String>, aim: Aim, measured: Option<f64>) -> Verdict {
    Verdict { figure, what: what.into(), aim, measured, met: measured.map(|value| aim.is_met(value)) }
}

/// All verdicts, in the order of the figures.
pub(super) fn verdicts(contests: &[Contest], live: &[Backup], quarter: Option<Taken>) -> Vec<Verdict> {
    let mut all: Vec<Verdict> = contests.iter().flat_map(sizes).collect();
    all.extend(contests.iter().filter(|contest| contest.data.timed).flat_map(times));
    all.extend(walls(live));
    all.extend(memory(contests, live, quarter));
    all.sort_by_key(|verdict| verdict.figure);
    all
}

/// Figures 1 and 2.
fn sizes(contest: &Contest) -> Vec<Verdict> {
    let name = contest.data.name;
    let mut verdicts = Vec::new();
    for (number, state) in contest.data.later.iter().enumerate() {
        let what = |against: &str| format!("{name}, {}: bytes added, {against}", state.name);
        let ratio = contest.ratio(|figures| figures.later[number].added);
        match (state.name, state.floor) {
            ("changed", Some(floor)) => {
                let against = contest.haulier().map(|haulier| haulier.later[number].added / floor as f64);
                verdicts.push(verdict(
                    1,
                    what("times the changed rows alone after zstd -3"),
                    Aim::AtMost(FLOOR),
                    against,
                ));
                if name == "mixed" {
                    let less = ratio.map(|ratio| 1.0 / ratio);
                    verdicts.push(verdict(1, what("times less than the best peer"), Aim::AtLeast(LESS), less));
                }
            }
            ("appended", _) => {
                verdicts.push(verdict(1, what("times those of the best peer"), Aim::AtMost(1.0), ratio));
            }
            _ => {}
        }
    }
    let what = format!("{name}: bytes of day 1, times those of the best peer");
    verdicts.push(verdict(2, what, Aim::AtMost(DAY_1_SIZE), contest.ratio(|figures| figures.stored)));
    verdicts
}

/// Figures 3 and 4, of streams.
fn times(contest: &Contest) -> Vec<Verdict> {
    let name = contest.data.name;
    let day_1 = contest.comparable_ratio(|figures| figures.day_1.processor);
    let what = "processor, times that of the best peer of comparable size";
    let mut verdicts = vec![verdict(3, format!("{name}, day 1: {what}"), Aim::AtMost(PROCESSOR[0]), day_1)];
    for (number, state) in contest.data.later.iter().enumerate() {
        let store = contest.comparable_ratio(|figures| figures.later[number].store.processor);
        verdicts.push(verdict(3, format!("{name}, {}: {what}", state.name), Aim::AtMost(PROCESSOR[1]), store));
        let read = |of: fn(&Taken) -> f64| contest.ratio(|figures| of(&figures.later[number].read));
        for (measure, ratio) in [("processor", read(|taken| taken.processor)), ("wall", read(|taken| taken.wall))] {
            let what = format!("{name}, {} read back: {measure}, times that of the best peer", state.name);
            verdicts.push(verdict(4, what, Aim::Below(1.0), ratio));
        }
    }
    verdicts
}

/// Figure 3, of whole backups.
fn walls(live: &[Backup]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for day in [1, 2] {
        let wall = |name: &str| wall(live, day, name);
        let Some(haulier) = wall("haulier") else { continue };
        let peers = Tool::PEERS.iter().filter_map(|tool| wall(tool.name()));
        let what =
            |against: &str| format!("whole backup of the live database, day {day}: wall, times that of {against}");
        verdicts.push(verdict(3, what("the best peer fed by pg_dump"), Aim::Below(1.0), over_least(haulier, peers)));
        let pipe = wall(PIPE).map(|pipe| haulier / pipe);
        let aim = Aim::AtMost(PIPE_WALL[usize::from(day) - 1]);
        verdicts.push(verdict(3, what("pg_dump | zstd -T2 -3"), aim, pipe));
    }
    verdicts
}

/// The middle of one contestant's backups on one day.
pub(super) fn wall(live: &[Backup], day: u8, contestant: &str) -> Option<f64> {
    let mut walls = live.iter().filter(|backup| backup.day == day && backup.contestant == contestant).peekable();
    walls.peek()?;
    Some(median(walls.map(|backup| backup.wall)))
}

/// Figure 5.
fn memory(contests: &[Contest], live: &[Backup], quarter: Option<Taken>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for contest in contests {
        let peak = contest.haulier().map(highest);
        let what = format!("{}: peak memory of Haulier's repository, bytes", contest.data.name);
        verdicts.push(verdict(5, what, Aim::AtMost(MEMORY), peak));
    }
    if let Some(peak) = live.iter().filter_map(|backup| backup.agent.as_ref()).map(|agent| agent.peak).max() {
        let what = "whole backup of the live database: peak memory of the agent, bytes";
        verdicts.push(verdict(5, what, Aim::AtMost(MEMORY), Some(peak as f64)));
    }
    let mixed = contests.iter().find(|contest| contest.data.name == "mixed").and_then(Contest::haulier);
    if let (Some(mixed), Some(quarter)) = (mixed, quarter) {
        let what = "mixed, day 1: peak memory, times that with a quarter of the data";
        let ratio = mixed.day_1.peak as f64 / quarter.peak as f64;
        verdicts.push(verdict(5, what, Aim::AtMost(FLAT), Some(ratio)));
    }
    verdicts
}

/// The highest peak of anything a contestant did.
pub(super) fn highest(figures: &Figures) -> f64 {
    let later = figures.later.iter().flat_map(|later| [later.store.peak, later.read.peak]);
    later.chain([figures.day_1.peak]).max().unwrap_or(0) as f64
}

#[cfg(test)]
mod tests;
