//! Differential backups and what they stand on. SQL Server counts changes since the last full backup, and a snapshot of the
//! instance, RDS's daily one included, counts as one. So before a differential is asked for, the newest full backup that
//! `msdb.dbo.backupset` knows must be the one that the point to stand on holds; and after it, the differential must name
//! that one as its base.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::keys::BackupType;
use super::log_chain::Gap;
use super::row::{Malformed, Row};
use super::task::{Lifecycle, Task, TaskType};

/// A log sequence number: `numeric(25, 0)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(u128);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Lsn {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('.').next().unwrap_or_default().parse().map(Self)
    }
}

impl TryFrom<String> for Lsn {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> Self {
        lsn.to_string()
    }
}

/// A backup as the server has it in its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupSet {
    /// What it holds.
    pub backup_type: BackupType,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Whether a snapshot of the instance made it.
    #[serde(default)]
    pub is_snapshot: bool,
    /// Whether nothing can stand on it.
    #[serde(default)]
    pub is_copy_only: bool,
    /// First log record in it.
    pub first_lsn: Lsn,
    /// The log record after the last one in it.
    pub last_lsn: Lsn,
    /// Where redo must start.
    pub checkpoint_lsn: Lsn,
    /// Of a differential: the full backup that it stands on, as its checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differential_base_lsn: Option<Lsn>,
    /// Of a differential: the id of that full backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differential_base_uuid: Option<String>,
    /// When it was complete, on the server's clock.
    pub finished: DateTime,
}

impl BackupSet {
    /// Reads a row of the history; `None` for a backup of another kind: of the log, of files.
    ///
    /// # Errors
    /// It lacks what every row has.
    pub fn of_row(row: &Row) -> Result<Option<Self>, Malformed> {
        let backup_type = match row.text("type")?.trim() {
            "D" => BackupType::Full,
            "I" => BackupType::Differential,
            _ => return Ok(None),
        };
        // A backup that did not end has no end.
        let Some(finished) = row.maybe("backup_finish_date")? else { return Ok(None) };
        let id = |column: &str| row.get(column).map(|id| id.trim().to_ascii_lowercase());
        Ok(Some(Self {
            backup_type,
            uuid: id("backup_set_uuid"),
            is_snapshot: row.is_set("is_snapshot")?,
            is_copy_only: row.is_set("is_copy_only")?,
            first_lsn: row.parsed("first_lsn")?,
            last_lsn: row.parsed("last_lsn")?,
            checkpoint_lsn: row.parsed("checkpoint_lsn")?,
            differential_base_lsn: row.maybe("differential_base_lsn")?,
            differential_base_uuid: id("differential_base_guid"),
            finished,
        }))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.uuid, &other.uuid) {
            (Some(one), Some(other)) => one == other,
            _ => (self.checkpoint_lsn, self.last_lsn) == (other.checkpoint_lsn, other.last_lsn),
        }
    }
}

/// Why a differential backup, or log backups, would not stand on the full one of the point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The point has no full backup of the database, or does not say which one it is.
    #[error("the point that it would stand on has no full backup of it")]
    NoBase,
    /// The server knows of no full backup, or only of older ones: the database was restored, or its history deleted.
    #[error("the server has lost the history of its full backup")]
    Forgotten,
    /// A snapshot has come between.
    #[error("a snapshot of the instance was taken at {0} (server time), after its full backup")]
    Snapshot(DateTime),
    /// Another full backup has come between.
    #[error("another full backup of it was taken at {0} (server time)")]
    AnotherFull(DateTime),
    /// It has a file without an id.
    #[error("one of its files has no file_guid, so that SQL Server restores no differential backup of it")]
    NoFileGuid,
    /// Its log backups do not reach from its full backup to now.
    #[error(transparent)]
    Log(#[from] Gap),
    /// Its newer log backups are encrypted otherwise than those that the point before has: a restore gives RDS one key for all.
    #[error(
        "RDS encrypts its log backups in another way since the last point, and a restore takes one key for all of them"
    )]
    LogKey,
    /// Nobody backs up its log.
    #[error("its recovery model is {0}, in which RDS takes no log backups")]
    RecoveryModel(String),
    /// The differential that was taken stands on something else.
    #[error("a snapshot or another full backup came in between while the differential backup was taken")]
    Overtaken,
}

/// Whether a differential backup asked for now would stand on `base`.
///
/// # Errors
/// It would not.
pub fn may_stand_on(base: Option<&BackupSet>, history: &[BackupSet]) -> Result<(), Broken> {
    let base = base.filter(|base| base.backup_type == BackupType::Full).ok_or(Broken::NoBase)?;
    let fulls = history.iter().filter(|set| set.backup_type == BackupType::Full && !set.is_copy_only);
    match fulls.max_by_key(|set| (set.finished, set.last_lsn)) {
        Some(newest) if newest.is_same(base) => Ok(()),
        Some(newest) if newest.last_lsn < base.last_lsn => Err(Broken::Forgotten),
        Some(newest) if newest.is_snapshot => Err(Broken::Snapshot(newest.finished)),
        Some(newest) => Err(Broken::AnotherFull(newest.finished)),
        None => Err(Broken::Forgotten),
    }
}

/// Whether a differential backup that was taken stands on `base`.
///
/// # Errors
/// It does not.
pub fn stands_on(differential: &BackupSet, base: &BackupSet) -> Result<(), Broken> {
    let by_id = match (&differential.differential_base_uuid, &base.uuid) {
        (Some(own), Some(base)) => Some(own == base),
        _ => None,
    };
    let by_lsn = || differential.differential_base_lsn == Some(base.checkpoint_lsn);
    if by_id.unwrap_or_else(by_lsn) { Ok(()) } else { Err(Broken::Overtaken) }
}

/// The backup that a successful task has made. Nobody but RDS writes native backups of an instance, so its tasks tell how
/// many have come since; a history that says nothing of tasks can be read by that alone. `None` where it cannot be told:
/// another task is at work, and may stand in the history already.
pub fn made_by<'h>(history: &'h [BackupSet], task: &Task, tasks: &[Task]) -> Option<&'h BackupSet> {
    let backup_type = match task.kind {
        TaskType::BackupDb => BackupType::Full,
        TaskType::BackupDbDifferential => BackupType::Differential,
        _ => return None,
    };
    let is_later = |other: &&Task| other.id > task.id && other.kind == task.kind && other.database == task.database;
    let mut since = 0;
    for later in tasks.iter().filter(is_later) {
        match later.lifecycle {
            Lifecycle::Success => since += 1,
            Lifecycle::Error | Lifecycle::Cancelled => {}
            _ => return None,
        }
    }
    let native = history.iter().filter(|set| set.backup_type == backup_type && !set.is_snapshot);
    let mut native: Vec<_> = native.collect();
    native.sort_by_key(|set| Reverse((set.finished, set.last_lsn)));
    native.get(since).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::row::row;
    use super::*;

    /// A full backup of a test, the more recent the higher its number.
    pub(crate) fn full(number: u32) -> BackupSet {
        BackupSet {
            backup_type: BackupType::Full,
            uuid: Some(format!("full-{number}")),
            is_snapshot: false,
            is_copy_only: false,
            first_lsn: Lsn(u128::from(number) * 100),
            last_lsn: Lsn(u128::from(number) * 100 + 9),
            checkpoint_lsn: Lsn(u128::from(number) * 100 + 3),
            differential_base_lsn: None,
            differential_base_uuid: None,
            finished: DateTime::constant(2026, 11, 20, i8::try_from(number).unwrap_or(23), 0, 0, 0),
        }
    }

    /// A differential backup of a test.
    pub(crate) fn differential(number: u32, base: &BackupSet) -> BackupSet {
        BackupSet {
            backup_type: BackupType::Differential,
            uuid: Some(format!("differential-{number}")),
            differential_base_lsn: Some(base.checkpoint_lsn),
            differential_base_uuid: base.uuid.clone(),
            ..full(number)
        }
    }

    fn without_ids(set: BackupSet) -> BackupSet {
        BackupSet { uuid: None, differential_base_uuid: None, ..set }
    }

    #[test]
    fn the_newest_full_backup_must_be_the_base() {
        let snapshot = BackupSet { is_snapshot: true, ..full(3) };
        let copy = BackupSet { is_copy_only: true, ..full(4) };
        let base = full(2);
        let cases = [
            (Some(&base), vec![full(1), full(2)], Ok(())),
            (Some(&base), vec![full(2), differential(3, &base), copy], Ok(())),
            (Some(&base), vec![full(2), snapshot.clone()], Err(Broken::Snapshot(snapshot.finished))),
            (Some(&base), vec![full(3), full(2)], Err(Broken::AnotherFull(full(3).finished))),
            (Some(&base), vec![full(1)], Err(Broken::Forgotten)),
            (Some(&base), vec![], Err(Broken::Forgotten)),
            (None, vec![full(2)], Err(Broken::NoBase)),
        ];
        for (base, history, expected) in cases {
            assert_eq!(may_stand_on(base, &history), expected, "{history:?}");
            let nameless: Vec<_> = history.into_iter().map(without_ids).collect();
            assert_eq!(may_stand_on(base, &nameless), expected, "{nameless:?}");
        }
        let differential = differential(3, &base);
        assert_eq!(may_stand_on(Some(&differential), &[full(2)]), Err(Broken::NoBase));
    }

    #[test]
    fn a_differential_backup_names_its_base() {
        let base = full(2);
        for (own, expected) in [(differential(3, &base), Ok(())), (differential(3, &full(1)), Err(Broken::Overtaken))] {
            assert_eq!(stands_on(&own, &base), expected);
            assert_eq!(stands_on(&without_ids(own), &base), expected);
        }
        assert_eq!(stands_on(&full(3), &base), Err(Broken::Overtaken));
    }

    #[test]
    fn a_row_of_the_history_is_read() {
        let columns = [
            ("type", Some("I")),
            ("backup_set_uuid", Some("0A0B")),
            ("is_snapshot", Some("0")),
            ("is_copy_only", Some("0")),
            ("first_lsn", Some("1234567890123456789012345")),
            ("last_lsn", Some("1234567890123456789012399.0")),
            ("checkpoint_lsn", Some("1234567890123456789012350")),
            ("differential_base_lsn", Some("37000000012800037")),
            ("differential_base_guid", None),
            ("backup_finish_date", Some("2026-11-20T03:00:01")),
        ];
        let set = BackupSet::of_row(&row(&columns)).unwrap().unwrap();
        assert_eq!((set.backup_type, set.uuid.as_deref()), (BackupType::Differential, Some("0a0b")));
        assert_eq!(set.last_lsn.to_string(), "1234567890123456789012399");
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<BackupSet>(&json).unwrap(), set);
        for (column, value) in [("type", Some("L")), ("backup_finish_date", None)] {
            let other = columns.map(|(name, old)| (name, if name == column { value } else { old }));
            assert_eq!(BackupSet::of_row(&row(&other)), Ok(None), "{column}");
        }
    }

    #[test]
    fn what_a_task_has_made_is_told_from_what_came_later() {
        use super::super::task::TaskId;
        let task = |id, kind, lifecycle, database: &str| Task {
            id: TaskId(id),
            kind,
            database: database.into(),
            percent: None,
            lifecycle,
            info: String::new(),
            last_updated: String::new(),
            object_arn: String::new(),
        };
        use Lifecycle::{Error, InProgress, Success};
        use TaskType::{BackupDb, BackupDbDifferential};
        let base = full(1);
        let history = [BackupSet { is_snapshot: true, ..full(5) }, full(2), base.clone(), differential(3, &base)];
        let own = task(7, BackupDb, Success, "shop");
        let others: [(&[Task], Option<&BackupSet>); 6] = [
            (&[], Some(&history[1])),
            (&[task(6, BackupDb, Success, "shop")], Some(&history[1])),
            // Somebody else's, after ours and before anybody looked.
            (&[task(8, BackupDb, Success, "shop")], Some(&base)),
            (&[task(8, BackupDb, Error, "shop"), task(9, BackupDb, Success, "crm")], Some(&history[1])),
            (&[task(8, BackupDbDifferential, InProgress, "shop")], Some(&history[1])),
            (&[task(8, BackupDb, InProgress, "shop")], None),
        ];
        for (others, expected) in others {
            assert_eq!(made_by(&history, &own, others), expected, "{others:?}");
        }
        assert_eq!(made_by(&history, &task(7, BackupDbDifferential, Success, "shop"), &[]), Some(&history[3]));
        assert_eq!(made_by(&history[..1], &own, &[]), None);
    }
}
