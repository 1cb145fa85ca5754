//! From turns to figures, and from figures to verdicts. Pure: what is aimed at is here and nowhere else.

use serde::Serialize;

use super::turns::{Turn, Way};
use crate::bench::child::Taken;
use crate::bench::measure::median;

/// Throughput without compression, as a part of the plain copy's.
const THROUGHPUT: f64 = 0.8;
/// Bytes of memory.
const MEMORY: u64 = 300 << 20;

/// The middle of all rounds in one direction; the highest of the peaks.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figures {
    /// Seconds on the clock.
    pub(super) wall: f64,
    /// Seconds of processor of the one process.
    pub(super) processor: f64,
    /// Bytes that it had resident at most.
    pub(super) peak: u64,
    /// Its throughput divided by the plain copy's.
    pub(super) throughput_ratio: f64,
    /// Its processor time divided by the plain copy's.
    pub(super) processor_ratio: f64,
}

/// One way, in both directions.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Both {
    pub(super) way: Way,
    pub(super) into_repository: Figures,
    pub(super) into_bucket: Figures,
    /// Bytes that the repository grew by.
    pub(super) stored: u64,
}

/// An aim and how near it came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) aim: f64,
    pub(super) measured: f64,
    pub(super) met: bool,
}

/// What was done without the repository.
pub(super) fn copies(turns: &[Turn]) -> Vec<(Way, Figures)> {
    let taken = |way| of(turns, way).map(|turn| turn.there).collect::<Vec<Taken>>();
    Way::COPIES.map(|way| (way, figures(turns, &taken(way)))).to_vec()
}

/// The middle of those, beside the plain copy.
fn figures(turns: &[Turn], taken: &[Taken]) -> Figures {
    let plain: Vec<Taken> = of(turns, Way::PlainCopy).map(|turn| turn.there).collect();
    let (plain_wall, plain_processor, _) = middle(&plain);
    let (wall, processor, peak) = middle(taken);
    let (throughput_ratio, processor_ratio) = (plain_wall / wall, processor / plain_processor);
    Figures { wall, processor, peak, throughput_ratio, processor_ratio }
}

/// The ways through the repository.
pub(super) fn through(turns: &[Turn]) -> Vec<Both> {
    let figures = |taken: &[Taken]| figures(turns, taken);
    let both = |way: Way| {
        let there: Vec<Taken> = of(turns, way).map(|turn| turn.there).collect();
        let back: Vec<Taken> = of(turns, way).filter_map(|turn| turn.back).collect();
        let stored = of(turns, way).filter_map(|turn| turn.written.as_ref()?["bytes_stored"].as_u64());
        Both {
            way,
            into_repository: figures(&there),
            into_bucket: figures(&back),
            stored: median(stored.map(|bytes| bytes as f64)) as u64,
        }
    };
    Way::THROUGH.map(both).to_vec()
}

/// What part of a way's processor time into the repository is not there without compression.
pub(super) fn share_of_compression(through: &[Both], way: Way) -> f64 {
    let processor = |way: Way| {
        let found = through.iter().find(|both| both.way == way);
        found.map_or(f64::NAN, |both| both.into_repository.processor)
    };
    1.0 - processor(Way::Uncompressed) / processor(way)
}

/// What was aimed at, and whether it was met.
pub(super) fn verdicts(through: &[Both]) -> Vec<Verdict> {
    let mut all = Vec::new();
    for both in through {
        for (direction, figures) in [("into the repository", both.into_repository), ("back", both.into_bucket)] {
            if both.way == Way::Uncompressed {
                let what = format!("{direction}, without compression: throughput against a plain copy");
                let (measured, met) = (figures.throughput_ratio, figures.throughput_ratio >= THROUGHPUT);
                all.push(Verdict { what, aim: THROUGHPUT, measured, met });
            }
            let what = format!("{direction}, {}: peak memory, bytes", both.way.name());
            let met = figures.peak < MEMORY;
            all.push(Verdict { what, aim: MEMORY as f64, measured: figures.peak as f64, met });
        }
    }
    all
}

fn of(turns: &[Turn], way: Way) -> impl Iterator<Item = &Turn> {
    turns.iter().filter(move |turn| turn.way == way)
}

fn middle(taken: &[Taken]) -> (f64, f64, u64) {
    let wall = median(taken.iter().map(|taken| taken.wall));
    let processor = median(taken.iter().map(|taken| taken.processor));
    (wall, processor, taken.iter().map(|taken| taken.peak).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turns() -> Vec<Turn> {
        let taken = |wall, processor, peak| Taken { wall, processor, peak };
        let mut turns = Vec::new();
        for (round, wall) in [(0, 4.0), (1, 8.0), (2, 2.0)] {
            for (way, wall) in [(Way::PlainCopy, wall), (Way::UnsignedCopy, wall / 2.0)] {
                turns.push(Turn { way, there: taken(wall, 2.0, 50), back: None, written: None });
            }
            for (way, processor) in Way::THROUGH.into_iter().zip([3.0, 6.0, 4.0, 12.0]) {
                let there = taken(wall * 2.0, processor, (100 << 20) << round);
                let back = Some(taken(wall, processor, 100));
                turns.push(Turn { way, there, back, written: Some(json!({ "bytes_stored": 7 })) });
            }
        }
        turns
    }

    #[test]
    fn figures_are_medians_and_ratios_to_the_plain_copy() {
        let through = through(&turns());
        let zstd = through[1];
        assert_eq!((zstd.way, zstd.stored), (Way::Zstd, 7));
        assert_eq!((zstd.into_repository.wall, zstd.into_repository.peak), (8.0, 400 << 20));
        assert_eq!((zstd.into_repository.throughput_ratio, zstd.into_bucket.throughput_ratio), (0.5, 1.0));
        assert_eq!(zstd.into_repository.processor_ratio, 3.0);
        let ratios = copies(&turns()).iter().map(|(way, figures)| (*way, figures.throughput_ratio)).collect::<Vec<_>>();
        assert_eq!(ratios, [(Way::PlainCopy, 1.0), (Way::UnsignedCopy, 2.0)]);
        assert_eq!(share_of_compression(&through, Way::Zstd), 0.5);
        assert_eq!(share_of_compression(&through, Way::Rewritten), 0.75);
    }

    #[test]
    fn an_aim_is_met_or_missed() {
        let verdicts = verdicts(&through(&turns()));
        let met = |text: &str| {
            let found: Vec<_> = verdicts.iter().filter(|verdict| verdict.what.contains(text)).collect();
            found.iter().map(|verdict| verdict.met).collect::<Vec<_>>()
        };
        assert_eq!(met("throughput"), [false, true]);
        assert_eq!(met("into the repository, zstd: peak"), [false]);
        assert_eq!(met("back, zstd: peak"), [true]);
    }
}
