//! The results, for people as tables in Markdown and for machines as one object.

use serde_json::{Map, Value, json};

use super::contestant::{Contestant, Tool};
use super::figures::{Aim, Contest, Figures, Verdict, highest, wall};
use super::install::Absent;
use super::live::{Backup, PIPE};
use crate::bench::child::Taken;

/// Everything that was measured.
pub(super) struct Report {
    pub(super) machine: Value,
    pub(super) contestants: Vec<Contestant>,
    pub(super) absent: Vec<Absent>,
    pub(super) rounds: usize,
    /// Rows of the mixed database's largest table, and what a day changed.
    pub(super) rows: Value,
    pub(super) contests: Vec<Contest>,
    /// Whole backups; none where they were left out.
    pub(super) live: Vec<Backup>,
    /// Day 1 of a quarter of the mixed data, by Haulier.
    pub(super) quarter: Option<Taken>,
    pub(super) stages: Value,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Report {
    /// One object. Sizes are bytes, times seconds, medians of the rounds; a contest's `turns` have every round.
    pub(super) fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "contestants": self.contestants,
            "absent": self.absent,
            "left_out": self.left_out,
            "rounds": self.rounds,
            "rows_of_orders": self.rows,
            "figure_1_day_2_bytes_added": self.later(|figures, number| json!(figures.later[number].added)),
            "figure_2_day_1_bytes": self.each(|figures| json!(figures.stored)),
            "figure_3_processor_and_wall": {
                "processor_seconds_per_gigabyte": {
                    "day_1": self.per_gigabyte(),
                    "day_2": self.later(|figures, number| json!(figures.later[number].store.processor)),
                },
                "whole_backup_wall_seconds": { "day_1": self.walls(1), "day_2": self.walls(2) },
            },
            "figure_4_read_back": self.later(|figures, number| {
                let read = figures.later[number].read;
                json!({ "processor": read.processor, "wall": read.wall })
            }),
            "figure_5_peak_memory": {
                "streams": self.each(|figures| json!(highest(figures))),
                "mixed_quarter": self.quarter.map(|taken| taken.peak),
                "agents": self.live.iter().filter_map(|backup| backup.agent.as_ref()).collect::<Vec<_>>(),
            },
            "figure_6_stages": self.stages,
            "verdicts": self.verdicts,
            "contests": self.contests,
            "whole_backups": self.live,
        })
    }

    /// By data set and contestant.
    fn each(&self, of: impl Fn(&Figures) -> Value) -> Value {
        let by_tool =
            |contest: &Contest| by_tool(contest.figures.iter().map(|figures| (figures.contestant, of(figures))));
        self.contests
            .iter()
            .map(|contest| (contest.data.name.to_owned(), by_tool(contest)))
            .collect::<Map<_, _>>()
            .into()
    }

    fn per_gigabyte(&self) -> Value {
        let by_data = self.contests.iter().map(|contest| {
            let gigabytes = contest.data.day_1.bytes as f64 / 1e9;
            let each = contest.figures.iter().map(|one| (one.contestant, json!(one.day_1.processor / gigabytes)));
            (contest.data.name.to_owned(), by_tool(each))
        });
        by_data.collect::<Map<_, _>>().into()
    }

    /// By data set, later state and contestant, with the floor where there is one.
    fn later(&self, of: impl Fn(&Figures, usize) -> Value) -> Value {
        let mut by_data = Map::new();
        for contest in &self.contests {
            let mut by_state = Map::new();
            for (number, state) in contest.data.later.iter().enumerate() {
                let mut each = by_tool(contest.figures.iter().map(|one| (one.contestant, of(one, number))));
                each["changed_rows_zstd_3_bytes"] = json!(state.floor);
                each["input_bytes"] = json!(state.input.bytes);
                by_state.insert(state.name.to_owned(), each);
            }
            by_data.insert(contest.data.name.to_owned(), by_state.into());
        }
        by_data.into()
    }

    fn walls(&self, day: u8) -> Value {
        let names = Tool::PEERS.iter().map(|tool| tool.name()).chain(["haulier", PIPE]);
        names
            .filter_map(|name| Some((name.to_owned(), json!(wall(&self.live, day, name)?))))
            .collect::<Map<_, _>>()
            .into()
    }

    /// Tables for `docs/benchmarks.md`.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from("\n");
        for contestant in &self.contestants {
            text.push_str(&format!("- {}: {}\n", contestant.version, contestant.source));
        }
        for absent in &self.absent {
            text.push_str(&format!("- {} is absent: {}\n", absent.tool.name(), absent.reason));
        }
        for left_out in &self.left_out {
            text.push_str(&format!("- left out: {left_out}\n"));
        }
        for contest in &self.contests {
            text.push_str(&table(contest));
        }
        text.push_str(&self.whole_backups());
        text.push_str(&self.stage_table());
        text.push_str("\n| figure | what | aim | measured | |\n|---|---|---|---|---|\n");
        for verdict in &self.verdicts {
            text.push_str(&line(verdict));
        }
        text
    }

    fn whole_backups(&self) -> String {
        if self.live.is_empty() {
            return String::new();
        }
        let mut text = String::from("\n| whole backup, wall s | day 1 | day 2 |\n|---|---|---|\n");
        for name in ["haulier", PIPE].into_iter().chain(Tool::PEERS.iter().map(|tool| tool.name())) {
            let of = |day| wall(&self.live, day, name).map_or_else(|| "-".to_owned(), |wall| format!("{wall:.1}"));
            text.push_str(&format!("| {name} | {} | {} |\n", of(1), of(2)));
        }
        text
    }

    fn stage_table(&self) -> String {
        let Some(speeds) = self.stages["megabytes_per_second"].as_object() else { return String::new() };
        let mut text =
            String::from("\n| stage alone, one thread | MB per second of processor | s per GB |\n|---|---|---|\n");
        for (name, speed) in speeds {
            let speed = speed.as_f64().unwrap_or(f64::NAN);
            text.push_str(&format!("| {name} | {speed:.0} | {:.2} |\n", 1e3 / speed));
        }
        for contest in self.contests.iter().filter(|contest| contest.data.timed) {
            if let Some(haulier) = contest.haulier() {
                let cost = haulier.day_1.processor * 1e9 / contest.data.day_1.bytes as f64;
                text.push_str(&format!(
                    "| all of Haulier's repository, day 1, {} | {:.0} | {cost:.2} |\n",
                    contest.data.name,
                    1e3 / cost
                ));
            }
        }
        text
    }
}

fn by_tool(values: impl Iterator<Item = (Tool, Value)>) -> Value {
    values.map(|(tool, value)| (tool.name().to_owned(), value)).collect::<Map<_, _>>().into()
}

fn table(contest: &Contest) -> String {
    let data = &contest.data;
    let mut text = format!(
        "\n| {} ({:.1} MB) | day 1 MB | CPU s | wall s | peak MB |",
        data.name,
        megabytes(data.day_1.bytes as f64)
    );
    for state in &data.later {
        text.push_str(&format!(" {} adds MB | CPU s | wall s | read CPU s | wall s |", state.name));
    }
    text.push_str(&format!("\n|{}\n", "---|".repeat(5 + 5 * data.later.len())));
    for one in &contest.figures {
        text.push_str(&format!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.0} |",
            one.contestant.name(),
            megabytes(one.stored),
            one.day_1.processor,
            one.day_1.wall,
            megabytes(highest(one))
        ));
        for later in &one.later {
            text.push_str(&format!(
                " {:.2} | {:.1} | {:.1} | {:.1} | {:.1} |",
                megabytes(later.added),
                later.store.processor,
                later.store.wall,
                later.read.processor,
                later.read.wall
            ));
        }
        text.push('\n');
    }
    let floors = data.later.iter().filter_map(|state| Some((state.name, state.floor?)));
    for (name, floor) in floors {
        text.push_str(&format!(
            "\n{name}: the changed rows alone are {:.2} MB after zstd -3.\n",
            megabytes(floor as f64)
        ));
    }
    text
}

fn line(verdict: &Verdict) -> String {
    let aim = match verdict.aim {
        Aim::AtMost(limit) => format!("at most {}", number(limit)),
        Aim::AtLeast(limit) => format!("at least {}", number(limit)),
        Aim::Below(limit) => format!("below {}", number(limit)),
    };
    let measured = verdict.measured.map_or_else(|| "-".to_owned(), number);
    let met = match verdict.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "nobody to compare with",
    };
    // A pipe would end the cell.
    let what = verdict.what.replace('|', "\\|");
    format!("| {} | {what} | {aim} | {measured} | {met} |\n", verdict.figure)
}

/// Ratios to hundredths, bytes as megabytes.
fn number(value: f64) -> String {
    if value >= 1e6 { format!("{:.0} MB", megabytes(value)) } else { format!("{value:.2}") }
}

fn megabytes(bytes: f64) -> f64 {
    bytes / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_aim_says_so() {
        let verdict =
            |met| Verdict { figure: 2, what: "it".to_owned(), aim: Aim::AtMost(1.03), measured: Some(1.2), met };
        assert_eq!(line(&verdict(Some(false))), "| 2 | it | at most 1.03 | 1.20 | MISSED |\n");
        assert!(line(&verdict(Some(true))).ends_with("| met |\n"));
        assert_eq!(number(314_572_800.0), "315 MB");
    }
}
