//! Log backups when somebody says so: on RDS they come every five minutes, and some get lost.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::super::instance::now;
use super::super::log::{LogBackup, take};
use super::Server;

/// A log backup as RDS has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LogBackupLook {
    pub(crate) sequence: u32,
    /// UTC, as the server's clock shows it: `2026-11-27T10:00:00.123`.
    pub(crate) taken: String,
    /// Log sequence numbers as msdb shows them.
    pub(crate) first_lsn: String,
    pub(crate) last_lsn: String,
    pub(crate) bytes: u64,
}

impl Server {
    /// Takes a backup of a database's log.
    pub(crate) async fn take_log_backup(&self, name: &str) -> anyhow::Result<LogBackupLook> {
        let instance = Arc::clone(&self.0);
        let days = instance.surroundings.retention_days(&instance.id);
        ensure!(days > 0, "automated backups of {} are off: RDS takes no log backups", instance.id);
        let name = name.to_owned();
        let taken = tokio::task::spawn_blocking(move || {
            instance.change(|state| {
                let database = state.get_mut(&name).with_context(|| format!("there is no database {name}"))?;
                let backup = take(database, now())?.clone();
                state.backups.push(backup.set.clone());
                Ok(look(&backup))
            })?
        });
        taken.await?
    }

    /// The log backups that RDS has of a database, oldest first.
    pub(crate) fn log_backups(&self, name: &str) -> anyhow::Result<Vec<LogBackupLook>> {
        let found =
            self.0.read(|state| state.get(name).map(|database| database.log.backups.iter().map(look).collect()));
        found.with_context(|| format!("there is no database {name}"))
    }

    /// Loses a log backup: what it held is in no other.
    pub(crate) fn lose_log_backup(&self, name: &str, sequence: u32) -> anyhow::Result<()> {
        self.0.change(|state| {
            let database = state.get_mut(name).with_context(|| format!("there is no database {name}"))?;
            let before = database.log.backups.len();
            database.log.backups.retain(|backup| backup.sequence != sequence);
            ensure!(database.log.backups.len() < before, "{name} has no log backup {sequence}");
            Ok(())
        })?
    }
}

fn look(backup: &LogBackup) -> LogBackupLook {
    LogBackupLook {
        sequence: backup.sequence,
        taken: backup.set.started.to_string(),
        first_lsn: backup.set.first.number().to_string(),
        last_lsn: backup.set.last.number().to_string(),
        bytes: backup.bytes,
    }
}
