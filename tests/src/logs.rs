//! Log backups of SQL Server in the local cloud: taken when a test says so, lost when it says so.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use crate::aws::percent_encoded;
use crate::cloud::Cloud;

/// A log backup as RDS has it, whatever is asked by SQL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogBackup {
    /// `rds_backup_seq_id`: the first one of a database is 1.
    pub sequence: u32,
    /// When it was taken, UTC: `2026-11-27T10:00:00.123`.
    pub taken: String,
    /// Log sequence numbers as msdb shows them.
    pub first_lsn: String,
    /// Where the next one begins.
    pub last_lsn: String,
    /// Bytes of its file.
    pub bytes: u64,
}

impl Cloud {
    /// Changes so many of a database's pages, which follow from a seed. Returns when that was committed, UTC, as `@stopat` takes it.
    ///
    /// # Errors
    /// Where there is no such database.
    pub fn commit_pages(&self, instance: &str, database: &str, count: u64, seed: u64) -> Result<String> {
        let change = json!({ "count": count, "seed": seed });
        let told = self.control("POST", &path(instance, database, "pages"), Some(&change))?;
        told["committed"].as_str().map(str::to_owned).context("a change has no moment")
    }

    /// Takes a backup of a database's log, as RDS does every five minutes.
    ///
    /// # Errors
    /// Where automated backups are off, the recovery model is SIMPLE, or the database cannot be used.
    pub fn take_log_backup(&self, instance: &str, database: &str) -> Result<LogBackup> {
        let taken = self.control("POST", &path(instance, database, "log-backups"), None)?;
        serde_json::from_value(taken).context("reading a log backup")
    }

    /// The log backups that RDS has of a database, oldest first.
    ///
    /// # Errors
    /// Where there is no such database.
    pub fn log_backups(&self, instance: &str, database: &str) -> Result<Vec<LogBackup>> {
        let backups = self.control("GET", &path(instance, database, "log-backups"), None)?;
        serde_json::from_value(backups).context("reading log backups")
    }

    /// Loses a log backup, which breaks the chain.
    ///
    /// # Errors
    /// Where there is none of that number.
    pub fn lose_log_backup(&self, instance: &str, database: &str, sequence: u32) -> Result<()> {
        let backup = format!("log-backups/{sequence}");
        self.control("DELETE", &path(instance, database, &backup), None).map(drop)
    }

    /// Sets for how many days automated backups are kept; 0 turns them off, and log backups with them.
    ///
    /// # Errors
    /// Where RDS refuses it.
    pub fn set_backup_retention(&self, instance: &str, days: u32) -> Result<()> {
        let call = [
            ("Action", "ModifyDBInstance"),
            ("Version", "2014-10-31"),
            ("DBInstanceIdentifier", instance),
            ("BackupRetentionPeriod", &days.to_string()),
            ("ApplyImmediately", "true"),
        ];
        self.query("rds", &call)?;
        self.available(instance)
    }
}

fn path(instance: &str, database: &str, more: &str) -> String {
    format!("/instances/{instance}/databases/{}/{more}", percent_encoded(database))
}
