//! The results, for people and for machines.

use serde_json::{Map, Value, json};

use super::contest::Contest;
use super::crowd::{Crowd, SESSIONS};
use super::measure::median;
use super::session::Run;
use super::storage::Throughput;

/// Everything that was measured.
pub(super) struct Report {
    pub(super) machine: Value,
    pub(super) storage: Throughput,
    pub(super) small: Contest,
    pub(super) large: Contest,
    pub(super) crowd: Crowd,
}

impl Report {
    /// One object: sizes in bytes, times in seconds, medians of the rounds.
    pub(super) fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "s3": { "put_megabytes_per_second": round(self.storage.put), "get_megabytes_per_second": round(self.storage.get) },
            "small": figures(&self.small),
            "large": figures(&self.large),
            "crowd": {
                "sessions": SESSIONS,
                "seconds": round(self.crowd.wall),
                "coordinator_resident_before": self.crowd.before,
                "coordinator_peak": self.crowd.peak,
            },
        })
    }

    /// The same for people.
    pub(super) fn table(&self) -> String {
        let mut text = format!("\nlocal S3: put {:.0} MB/s, get {:.0} MB/s\n", self.storage.put, self.storage.get);
        for (name, contest) in [("small", &self.small), ("large", &self.large)] {
            let value = figures(contest);
            text.push_str(&format!(
                "\n{name} database: {} on the server, {} of dump, {} stored; rounds: {}\n",
                megabytes(contest.database_bytes),
                megabytes(contest.dump_bytes),
                megabytes(median(contest.backups.iter().map(|round| round.bytes_stored as f64)) as u64),
                contest.backups.len(),
            ));
            for (what, stock) in [
                ("backup", &["pg_dump_zstd", "pg_dump_directory"][..]),
                ("restore", &["pg_restore", "pg_restore_analyze"]),
            ] {
                let part = &value[what];
                text.push_str(&format!(
                    "  {what:<8} transfer {:>7} s   session {:>7} s   everything but transfer {:>5} s\n",
                    part["transfer"]["wall"], part["session"], part["overhead"]
                ));
                for stock in stock {
                    text.push_str(&format!(
                        "           against {stock:<18} {:>7} s: transfer {:>5}, session {:>5}\n",
                        part[*stock]["wall"], part[*stock]["transfer_ratio"], part[*stock]["session_ratio"]
                    ));
                }
                text.push_str(&format!(
                    "           peak memory of the agent {}, of its children {} ({})\n",
                    megabytes(part["agent_peak"].as_u64().unwrap_or(0)),
                    megabytes(part["children_peak"].as_u64().unwrap_or(0)),
                    part["children"].as_str().unwrap_or_default(),
                ));
            }
        }
        text.push_str(&format!(
            "\n{SESSIONS} sessions in one coordinator: {:.0} s; its memory {} before, {} at most\n",
            self.crowd.wall,
            megabytes(self.crowd.before),
            megabytes(self.crowd.peak)
        ));
        text
    }
}

fn figures(contest: &Contest) -> Value {
    let (backups, restores) = (&contest.backups, &contest.restores);
    let mut backup = haulier(&backups.iter().map(|round| &round.haulier).collect::<Vec<_>>());
    let piped = backups.iter().map(|round| (round.piped.wall, round.piped.processor)).collect();
    let folder = backups.iter().map(|round| (round.folder.wall, round.folder.processor)).collect();
    against(&mut backup, "pg_dump_zstd", piped);
    against(&mut backup, "pg_dump_directory", folder);
    let mut restore = haulier(&restores.iter().map(|round| &round.haulier).collect::<Vec<_>>());
    let stock = restores.iter().map(|round| (round.stock.wall, round.stock.processor)).collect();
    let analyzed = restores
        .iter()
        .map(|round| (round.stock.wall + round.analyze.wall, round.stock.processor + round.analyze.processor))
        .collect();
    against(&mut restore, "pg_restore", stock);
    against(&mut restore, "pg_restore_analyze", analyzed);
    json!({
        "database_bytes": contest.database_bytes,
        "dump_bytes": contest.dump_bytes,
        "stored_bytes": median(backups.iter().map(|round| round.bytes_stored as f64)),
        "rounds": backups.len(),
        "backup": backup,
        "restore": restore,
    })
}

/// Haulier's side. Memory is the highest of all rounds, not their median.
fn haulier(runs: &[&Run]) -> Map<String, Value> {
    let middle = |of: &dyn Fn(&Run) -> f64| round(median(runs.iter().map(|run| of(run))));
    let highest = |of: &dyn Fn(&Run) -> u64| runs.iter().map(|run| of(run)).max().unwrap_or(0);
    let mut names: Vec<&String> = runs.iter().flat_map(|run| &run.worker.names).collect();
    names.sort();
    names.dedup();
    let course = |of: fn(&Run) -> &Vec<(String, f64)>| {
        let mut names: Vec<&String> = Vec::new();
        for (name, _) in runs.iter().flat_map(|run| of(run)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let taken = |run: &Run, wanted: &String| {
            of(run).iter().filter(|(name, _)| name == wanted).map(|(_, time)| time).sum::<f64>()
        };
        names.into_iter().map(|name| json!([name, middle(&|run| taken(run, name))])).collect::<Vec<Value>>()
    };
    let value = json!({
        "transfer": {
            "wall": middle(&Run::transfer),
            "agent_processor": middle(&|run| run.worker.processor),
            "children_processor": middle(&|run| run.worker.children_processor),
            "all_walls": runs.iter().map(|run| round(run.transfer())).collect::<Vec<_>>(),
        },
        "session": middle(&|run| run.wall),
        "overhead": middle(&Run::overhead),
        "steps": course(|run| &run.steps),
        "phases": course(|run| &run.phases),
        "agent_peak": highest(&|run| run.worker.agent),
        "children_peak": highest(&|run| run.worker.children),
        "children": names.into_iter().cloned().collect::<Vec<_>>().join(", "),
    });
    value.as_object().cloned().unwrap_or_default()
}

/// Adds one stock tool with its ratios: Haulier's time divided by the tool's, both medians.
fn against(part: &mut Map<String, Value>, tool: &str, taken: Vec<(f64, f64)>) {
    let wall = median(taken.iter().map(|(wall, _)| *wall));
    let ratio = |seconds: &Value| round(seconds.as_f64().unwrap_or(f64::NAN) / wall);
    let entry = json!({
        "wall": round(wall),
        "processor": round(median(taken.iter().map(|(_, processor)| *processor))),
        "transfer_ratio": ratio(&part["transfer"]["wall"]),
        "session_ratio": ratio(&part["session"]),
        "all_walls": taken.iter().map(|(wall, _)| round(*wall)).collect::<Vec<_>>(),
    });
    part.insert(tool.to_owned(), entry);
}

/// To hundredths: more would only pretend.
fn round(value: f64) -> f64 {
    // Adding zero turns the negative one into the other.
    (value * 100.0).round() / 100.0 + 0.0
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
