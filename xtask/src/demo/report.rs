//! The demo's result, for people and for machines.

use e2e::ledger::Resource;
use serde_json::{Value, json};

/// Figures of one backup.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) point: String,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_new: u64,
    pub(crate) bytes_stored: u64,
    pub(crate) seconds: f64,
    /// Bytes that the agent had resident at most.
    pub(crate) agent_peak: u64,
}

/// Figures of the restore.
#[derive(Debug)]
pub(crate) struct Restore {
    pub(crate) seconds: f64,
    /// Bytes that the agent had resident at most.
    pub(crate) agent_peak: u64,
}

/// Something measured that must not be out of bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) measured: f64,
}

impl Limit {
    fn is_met(&self) -> bool {
        (self.least..=self.most).contains(&self.measured)
    }

    fn json(&self) -> Value {
        let Self { what, least, most, measured } = self;
        json!({ "what": what, "least": least, "most": most, "measured": measured, "met": self.is_met() })
    }
}

/// Everything the demo found out.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) engine: &'static str,
    /// What was measured of the database itself, if anything was.
    pub(crate) database: Value,
    pub(crate) backup: Backup,
    pub(crate) second_backup: Backup,
    pub(crate) restore: Restore,
    pub(crate) limits: Vec<Limit>,
    pub(crate) differences: Vec<String>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) leftovers: Vec<String>,
    /// Bytes that the local cloud had resident at most.
    pub(crate) cloud_peak: u64,
}

impl Report {
    /// Whether the copy is equal, the cloud is as it was, and nothing is out of bounds.
    pub(crate) fn is_good(&self) -> bool {
        self.differences.is_empty() && self.leftovers.is_empty() && self.limits.iter().all(Limit::is_met)
    }

    /// One object: sizes in bytes, times in seconds.
    pub(crate) fn json(&self) -> Value {
        let backup = |backup: &Backup| {
            json!({
                "point": backup.point,
                "bytes_read": backup.bytes_read,
                "bytes_new": backup.bytes_new,
                "bytes_stored": backup.bytes_stored,
                "seconds": backup.seconds,
                "agent_peak_bytes": backup.agent_peak,
            })
        };
        json!({
            "ok": self.is_good(),
            "engine": self.engine,
            "database": self.database,
            "backup": backup(&self.backup),
            "second_backup": backup(&self.second_backup),
            "restore": { "seconds": self.restore.seconds, "agent_peak_bytes": self.restore.agent_peak },
            "limits": self.limits.iter().map(Limit::json).collect::<Vec<_>>(),
            "cloud_peak_bytes": self.cloud_peak,
            "differences": self.differences.len(),
            "leftovers": self.leftovers.len(),
        })
    }

    /// The same for people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for resource in &self.resources {
            text.push_str(&format!("  {:<10} {:<28} {}\n", resource.state, resource.kind, resource.id));
        }
        text.push_str("\n                    read        new     stored     time      agent\n");
        for (name, backup) in [("first backup", &self.backup), ("second backup", &self.second_backup)] {
            let [read, new, stored, agent] =
                [backup.bytes_read, backup.bytes_new, backup.bytes_stored, backup.agent_peak].map(megabytes);
            text.push_str(&format!(
                "{name:<14} {read:>8} {new:>10} {stored:>10} {:>6.1} s {agent:>10}\n",
                backup.seconds
            ));
        }
        let agent = megabytes(self.restore.agent_peak);
        text.push_str(&format!("{:<14} {:>38.1} s {agent:>10}\n", "restore", self.restore.seconds));
        text.push_str(&format!("peak memory of the local cloud: {}\n", megabytes(self.cloud_peak)));
        for limit in &self.limits {
            let Limit { what, least, most, measured } = limit;
            let met = if limit.is_met() { "within" } else { "OUT OF" };
            text.push_str(&format!("{what}: {measured:.4}, {met} {least} to {most}\n"));
        }
        for (what, lines) in [("differences", &self.differences), ("leftovers", &self.leftovers)] {
            text.push_str(&format!("{what}: {}\n", lines.len()));
            for line in lines {
                text.push_str(&format!("  {line}\n"));
            }
        }
        text
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_figure_out_of_bounds_spoils_a_report() {
        let backup = || Backup {
            point: "pnt-1".to_owned(),
            bytes_read: 1,
            bytes_new: 1,
            bytes_stored: 1,
            seconds: 1.0,
            agent_peak: 1,
        };
        let with = |measured: f64| Report {
            engine: "sqlserver",
            database: Value::Null,
            backup: backup(),
            second_backup: backup(),
            restore: Restore { seconds: 1.0, agent_peak: 1 },
            limits: vec![Limit { what: "share", least: 0.3, most: 0.4, measured }],
            differences: Vec::new(),
            resources: Vec::new(),
            leftovers: Vec::new(),
            cloud_peak: 1,
        };
        for (measured, good) in [(0.3, true), (0.35, true), (0.41, false), (0.29, false), (f64::NAN, false)] {
            let report = with(measured);
            assert_eq!(report.is_good(), good, "{measured}");
            assert_eq!(report.json()["ok"], good);
            assert_eq!(report.table().contains("OUT OF"), !good);
        }
        let left = Report { leftovers: vec!["buckets b".to_owned()], ..with(0.3) };
        assert!(!left.is_good());
    }
}
