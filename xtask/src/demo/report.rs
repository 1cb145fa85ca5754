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
}

/// Figures of the restore.
#[derive(Debug)]
pub(crate) struct Restore {
    pub(crate) seconds: f64,
}

/// Everything the demo found out.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) backup: Backup,
    pub(crate) second_backup: Backup,
    pub(crate) restore: Restore,
    pub(crate) differences: Vec<String>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) leftovers: Vec<String>,
}

impl Report {
    /// Whether the copy is equal and the cloud is as it was.
    pub(crate) fn is_good(&self) -> bool {
        self.differences.is_empty() && self.leftovers.is_empty()
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
            })
        };
        json!({
            "ok": self.is_good(),
            "backup": backup(&self.backup),
            "second_backup": backup(&self.second_backup),
            "restore": { "seconds": self.restore.seconds },
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
        text.push_str("\n                    read        new     stored     time\n");
        for (name, backup) in [("first backup", &self.backup), ("second backup", &self.second_backup)] {
            let [read, new, stored] = [backup.bytes_read, backup.bytes_new, backup.bytes_stored].map(megabytes);
            text.push_str(&format!("{name:<14} {read:>8} {new:>10} {stored:>10} {:>6.1} s\n", backup.seconds));
        }
        text.push_str(&format!("{:<14} {:>38.1} s\n", "restore", self.restore.seconds));
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
