//! Tasks of RDS: what a submission answers, and what the status of a task says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::row::{Malformed, Row};

/// RDS's number of a task. Later tasks of an instance have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifecycle {
    /// It waits, usually no longer than five minutes.
    Created,
    /// It runs.
    InProgress,
    /// It has done what it was to do.
    Success,
    /// It has failed.
    Error,
    /// It is asked to stop.
    CancelRequested,
    /// It was stopped.
    Cancelled,
    /// Something that this program does not know.
    Unknown(String),
}

impl Lifecycle {
    fn of(text: &str) -> Self {
        match text.trim().to_ascii_uppercase().as_str() {
            "CREATED" => Self::Created,
            "IN_PROGRESS" => Self::InProgress,
            "SUCCESS" => Self::Success,
            "ERROR" => Self::Error,
            "CANCEL_REQUESTED" => Self::CancelRequested,
            // Both spellings are seen.
            "CANCELLED" | "CANCELED" => Self::Cancelled,
            _ => Self::Unknown(text.trim().to_owned()),
        }
    }

    /// Whether nothing more will happen to the task.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Success | Self::Error | Self::Cancelled)
    }
}

/// What a task does, as RDS names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskType {
    /// A full backup.
    BackupDb,
    /// A differential backup.
    BackupDbDifferential,
    /// A restore of a full backup.
    RestoreDb,
    /// The same, and the database waits for more.
    RestoreDbNorecovery,
    /// A restore of a differential backup.
    RestoreDbDifferential,
    /// The same, and the database waits for more.
    RestoreDbDifferentialNorecovery,
    /// A restore of a log backup.
    RestoreDbLog,
    /// The same, and the database waits for more.
    RestoreDbLogNorecovery,
    /// The end of a restore that was waiting for more.
    FinishRestore,
    /// A copy of log backups. AWS documents no name of it: nothing depends on this one.
    CopyLogs,
    /// Another one of the same queue: S3 integration.
    Other(String),
}

const TYPES: [(&str, TaskType); 10] = [
    ("BACKUP_DB", TaskType::BackupDb),
    ("BACKUP_DB_DIFFERENTIAL", TaskType::BackupDbDifferential),
    ("RESTORE_DB", TaskType::RestoreDb),
    ("RESTORE_DB_NORECOVERY", TaskType::RestoreDbNorecovery),
    ("RESTORE_DB_DIFFERENTIAL", TaskType::RestoreDbDifferential),
    ("RESTORE_DB_DIFFERENTIAL_NORECOVERY", TaskType::RestoreDbDifferentialNorecovery),
    ("RESTORE_DB_LOG", TaskType::RestoreDbLog),
    ("RESTORE_DB_LOG_NORECOVERY", TaskType::RestoreDbLogNorecovery),
    ("FINISH_RESTORE", TaskType::FinishRestore),
    ("TLOG_BACKUP_COPY_TO_S3", TaskType::CopyLogs),
];

impl TaskType {
    /// Reads RDS's name of it.
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let known = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map_or_else(|| Self::Other(text.to_owned()), |(_, kind)| kind.clone())
    }

    /// RDS's name of it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => TYPES.iter().find(|(_, kind)| kind == known).map_or("", |(name, _)| name),
        }
    }
}

/// A task as its status tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskType,
    /// The database it does it to.
    pub database: String,
    /// `% complete`; may stay behind what `info` says.
    pub percent: Option<u32>,
    /// Where it stands.
    pub lifecycle: Lifecycle,
    /// What has happened so far: see [`super::task_info`].
    pub info: String,
    /// When that was last written, as the server prints it. Only good for seeing that it moves.
    pub last_updated: String,
    /// What it writes or reads, as it was submitted.
    pub object_arn: String,
}

impl Task {
    /// Reads a row of the status.
    ///
    /// # Errors
    /// It lacks what every task has.
    pub fn of_row(row: &Row) -> Result<Self, Malformed> {
        let or_empty = |column: &str| row.get(column).unwrap_or_default().to_owned();
        Ok(Self {
            id: TaskId(row.parsed("task_id")?),
            kind: TaskType::of(row.text("task_type")?),
            database: or_empty("database_name"),
            // `45`, `45.00` and nothing at all are seen.
            percent: row.maybe::<f64>("% complete")?.map(|percent| percent.clamp(0.0, 100.0) as u32),
            lifecycle: Lifecycle::of(row.text("lifecycle")?),
            info: or_empty("task_info"),
            last_updated: or_empty("last_updated"),
            object_arn: or_empty("S3_object_arn"),
        })
    }
}

/// The number of the task that a submission has made: an integer, or `Task Id: 5` in any result set. Whatever else the
/// procedure prints is passed over.
pub fn submitted(results: &[Vec<Row>]) -> Option<TaskId> {
    let rows = || results.iter().flatten();
    let named = rows().filter_map(|row| row.get("task_id")).find_map(number);
    let any = || rows().filter_map(Row::first).find_map(number);
    named.or_else(any).map(TaskId)
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (label, rest) = text.split_once(':')?;
    let is_label = label.trim().eq_ignore_ascii_case("task id") || label.trim().eq_ignore_ascii_case("task_id");
    let rest = rest.trim_start();
    let digits = &rest[..rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len())];
    digits.parse().ok().filter(|_| is_label)
}

/// A task that a worker of this session has submitted, as it was told to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// What it does, as RDS names it.
    pub kind: TaskType,
    /// Its number.
    pub id: TaskId,
    /// The database it was submitted for.
    pub database: String,
    /// What it writes or reads; empty for the end of a restore.
    pub object_arn: String,
}

#[cfg(test)]
mod tests {
    use super::super::row::row;
    use super::*;

    /// A row's columns: names and what they hold.
    type Columns = [(&'static str, Option<&'static str>)];

    #[test]
    fn every_shape_of_a_submissions_answer_is_read() {
        let cases: [(&[&Columns], Option<u64>); 8] = [
            (&[&[("task_id", Some("5"))]], Some(5)),
            (&[&[("TASK_ID", Some("Task Id: 17"))]], Some(17)),
            (&[&[("", Some("Task Id:  17 submitted"))]], Some(17)),
            (&[&[("note", Some("hello"))], &[("task_id", Some("9")), ("task_type", Some("BACKUP_DB"))]], Some(9)),
            // A named column goes before a number that happens to come first.
            (&[&[("count", Some("1"))], &[("task_id", Some("23"))]], Some(23)),
            (&[&[("task_id", None)]], None),
            (&[&[("note", Some("Rows: 12"))]], None),
            (&[], None),
        ];
        for (results, expected) in cases {
            let results: Vec<Vec<Row>> = results.iter().map(|columns| vec![row(columns)]).collect();
            assert_eq!(submitted(&results), expected.map(TaskId), "{results:?}");
        }
    }

    #[test]
    fn a_status_is_read_by_names_of_columns() {
        let status = |percent, lifecycle| {
            row(&[
                ("task_id", Some("5")),
                ("task_type", Some("BACKUP_DB_DIFFERENTIAL")),
                ("database_name", Some("shop")),
                ("% complete", percent),
                ("duration (mins)", Some("3")),
                ("lifecycle", Some(lifecycle)),
                ("task_info", None),
                ("last_updated", Some("2026-11-20T03:00:01.123")),
                ("s3_object_arn", Some("arn:aws:s3:::b/k")),
            ])
        };
        let task = Task::of_row(&status(Some("45.00"), "IN_PROGRESS")).unwrap();
        assert_eq!((task.id, task.percent, task.lifecycle), (TaskId(5), Some(45), Lifecycle::InProgress));
        assert_eq!((task.kind, task.object_arn.as_str()), (TaskType::BackupDbDifferential, "arn:aws:s3:::b/k"));
        let cases = [
            ("CREATED", Lifecycle::Created, false),
            ("success", Lifecycle::Success, true),
            ("ERROR", Lifecycle::Error, true),
            ("CANCEL_REQUESTED", Lifecycle::CancelRequested, false),
            ("CANCELED", Lifecycle::Cancelled, true),
            ("PAUSED", Lifecycle::Unknown("PAUSED".into()), false),
        ];
        for (text, lifecycle, ended) in cases {
            let task = Task::of_row(&status(None, text)).unwrap();
            assert_eq!((task.lifecycle.clone(), task.lifecycle.has_ended()), (lifecycle, ended));
        }
        assert_eq!(Task::of_row(&row(&[("task_id", Some("5"))])), Err(Malformed::Missing("task_type")));
    }

    #[test]
    fn types_are_named_as_rds_names_them() {
        for (name, kind) in TYPES {
            assert_eq!((TaskType::of(name), kind.as_str()), (kind.clone(), name));
        }
        assert_eq!(TaskType::of("DOWNLOAD_FROM_S3").as_str(), "DOWNLOAD_FROM_S3");
    }
}
