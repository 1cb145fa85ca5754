//! The results, for people as a table in Markdown and for machines as one object.

use serde_json::{Map, Value, json};

use super::figures::{self, Figures};
use super::turns::{Turn, Way};

/// Everything that was measured.
pub(super) struct Report {
    pub(super) machine: Value,
    /// Bytes of the file.
    pub(super) bytes: u64,
    pub(super) rounds: usize,
    pub(super) turns: Vec<Turn>,
}

impl Report {
    /// One object. Sizes are bytes, times seconds, medians of the rounds; `turns` has every round.
    pub(super) fn json(&self) -> Value {
        let through = figures::through(&self.turns);
        let ways: Map<String, Value> = through.iter().map(|both| (both.way.name().to_owned(), json!(both))).collect();
        let copies = figures::copies(&self.turns);
        let copies: Map<String, Value> =
            copies.iter().map(|(way, figures)| (way.name().to_owned(), json!(figures))).collect();
        json!({
            "machine": self.machine,
            "bytes": self.bytes,
            "rounds": self.rounds,
            "copies": copies,
            "ways": ways,
            "share_of_processor": {
                "zstd": figures::share_of_compression(&through, Way::Zstd),
                "deltas": figures::share_of_compression(&through, Way::Rewritten),
            },
            "verdicts": figures::verdicts(&through),
            "turns": self.turns,
        })
    }

    /// The same for people.
    pub(super) fn table(&self) -> String {
        let through = figures::through(&self.turns);
        let mut text = format!("\n{} MB, rounds: {}\n\n", self.bytes / 1_000_000, self.rounds);
        text.push_str("| | wall s | MB/s | throughput / plain | CPU s | CPU / plain | peak MB | stored MB |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        let mut line = |name: &str, figures: &Figures, stored: Option<u64>| {
            let stored = stored.map(|bytes| format!("{:.1}", bytes as f64 / 1e6)).unwrap_or_default();
            text.push_str(&format!(
                "| {name} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {} | {stored} |\n",
                figures.wall,
                self.bytes as f64 / 1e6 / figures.wall,
                figures.throughput_ratio,
                figures.processor,
                figures.processor_ratio,
                figures.peak / 1_000_000,
            ));
        };
        for (way, figures) in figures::copies(&self.turns) {
            line(way.words(), &figures, None);
        }
        for both in &through {
            line(&format!("into the repository, {}", both.way.words()), &both.into_repository, Some(both.stored));
        }
        for both in &through {
            line(&format!("back, {}", both.way.words()), &both.into_bucket, None);
        }
        text.push_str(&format!(
            "\nof the processor time into the repository, zstd takes {:.0} %, deltas {:.0} %\n",
            100.0 * figures::share_of_compression(&through, Way::Zstd),
            100.0 * figures::share_of_compression(&through, Way::Rewritten),
        ));
        for verdict in figures::verdicts(&through) {
            let met = if verdict.met { "met" } else { "MISSED" };
            text.push_str(&format!("{met:<6} {}: {:.2}, aim {:.2}\n", verdict.what, verdict.measured, verdict.aim));
        }
        text
    }
}
