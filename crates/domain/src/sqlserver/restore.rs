//! In which order a database is restored, and where an interrupted restore goes on.
//!
//! A full backup is enough by itself. A differential one needs the full backup under it first, restored so that the database
//! waits for more, and is told at the end that no more comes. Log backups need the full one, too, and follow one after the
//! other up to the moment that is asked for. Even the last of them leaves the database waiting: one that has no record as
//! late as that moment would not bring it online.
//!
//! RDS keeps every task for weeks, so what an earlier worker has asked for is seen from the tasks: nothing is asked for twice.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::chain::{self, Broken};
use super::keys::BackupType;
use super::log_chain::{self, Gap, LogBackup};
use super::manifest::{Database, File, Manifest};
use super::options::RestoreOptions;
use super::server;
use super::task::{Lifecycle, Task, TaskId, TaskType};
use crate::id::PointId;

/// A point to restore from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointManifest {
    /// Its id.
    pub point: PointId,
    /// What is in it.
    pub manifest: Manifest,
}

/// One step of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Restore a native backup.
    Apply {
        /// The backup.
        backup: &'a Database,
        /// Whether the database then waits for more.
        more_follows: bool,
    },
    /// Restore a log backup.
    Log {
        /// The database's log backups, of which it is one.
        backup: &'a Database,
        /// Which one.
        log: &'a LogBackup,
        /// Its file.
        file: &'a File,
        /// The moment after which nothing of it is restored, on the clock of the server that it is of; `None` means all of it.
        stop_at: Option<DateTime>,
        /// Whether the database then waits for more.
        more_follows: bool,
    },
    /// Say that no more comes.
    Finish,
}

impl Step<'_> {
    /// What its task is called.
    pub fn kind(&self) -> TaskType {
        match self {
            Self::Finish => TaskType::FinishRestore,
            Self::Log { more_follows, .. } => kind(BackupType::Log, *more_follows),
            Self::Apply { backup, more_follows } => kind(backup.backup_type, *more_follows),
        }
    }

    /// Whether it restores this very backup, or a part of it.
    pub fn is_of(&self, database: &Database) -> bool {
        match self {
            Self::Apply { backup, .. } | Self::Log { backup, .. } => std::ptr::eq(*backup, database),
            Self::Finish => false,
        }
    }
}

/// What the task is called that restores such a backup.
pub fn kind(backup_type: BackupType, more_follows: bool) -> TaskType {
    match (backup_type, more_follows) {
        (BackupType::Full, false) => TaskType::RestoreDb,
        (BackupType::Full, true) => TaskType::RestoreDbNorecovery,
        (BackupType::Differential, false) => TaskType::RestoreDbDifferential,
        (BackupType::Differential, true) => TaskType::RestoreDbDifferentialNorecovery,
        (BackupType::Log, false) => TaskType::RestoreDbLog,
        (BackupType::Log, true) => TaskType::RestoreDbLogNorecovery,
    }
}

/// Why a database cannot be restored from these points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The point has no such database.
    #[error("the point has the databases {}", .0.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))]
    Unknown(Vec<String>),
    /// The full backup that it stands on was not given.
    #[error("its backup stands on a full one in restore point {0}, which is not at hand")]
    NoFull(String),
    /// The full backup that was given is another one.
    #[error("its backup does not stand on the full one that is at hand: {0}")]
    OtherFull(#[from] Broken),
    /// The point holds its state of one moment, and another was asked for.
    #[error("the point has no log backups of it, and holds its state of {0} alone")]
    OneMoment(Timestamp),
    /// The moment is none of those whose state the point holds.
    #[error("the point holds its states from {from} to {to}")]
    OutOfRange {
        /// The first.
        from: Timestamp,
        /// The last.
        to: Timestamp,
    },
    /// The log has the times of its server's clock, which cannot be told of the moment.
    #[error(
        "its server's clock was {full} minutes ahead of UTC at its full backup and {last} at the last log backup, so that a \
         moment between them cannot be told on it"
    )]
    ClockChanged {
        /// Minutes at the full backup.
        full: i32,
        /// Minutes at the last log backup.
        last: i32,
    },
    /// Its log backups do not follow one another.
    #[error("its log backups cannot be applied: {0}")]
    Gap(#[from] Gap),
}

/// The steps that restore a database to what the last of these points holds of it. Where change data capture is kept, its
/// last backup brings it online: the end of a restore cannot be told to keep it.
///
/// # Errors
/// Something is missing for that.
pub fn steps<'a>(
    points: &'a [PointManifest],
    database: &str,
    options: RestoreOptions,
) -> Result<Vec<Step<'a>>, Refused> {
    let (last, others) = points.split_last().ok_or_else(|| Refused::Unknown(Vec::new()))?;
    let known = || last.manifest.databases.iter().map(|database| database.name.clone()).collect();
    let wanted = last.manifest.database(database).ok_or_else(|| Refused::Unknown(known()))?;
    if options.until.is_some() && wanted.backup_type != BackupType::Log {
        return Err(Refused::OneMoment(wanted.consistent_at));
    }
    if wanted.backup_type == BackupType::Full {
        return Ok(vec![Step::Apply { backup: wanted, more_follows: false }]);
    }
    let under = wanted.stands_on.as_ref();
    let none = || Refused::NoFull(under.map_or_else(|| "without a name".to_owned(), ToString::to_string));
    // The manifest of a copy names the original, and what it is handed out with is a copy as well: the numbers of the log tell
    // whether it fits.
    let named = others.iter().find(|point| Some(&point.point) == under);
    let full = named.or_else(|| others.first()).ok_or_else(none)?;
    let clocks = (full.manifest.utc_offset_minutes, last.manifest.utc_offset_minutes);
    let full = full.manifest.database(database).filter(|full| full.backup_type == BackupType::Full).ok_or_else(none)?;
    let mut steps = vec![Step::Apply { backup: full, more_follows: true }];
    if wanted.backup_type == BackupType::Log {
        steps.extend(logs(full, wanted, clocks, options)?);
        steps.extend((!options.keep_cdc).then_some(Step::Finish));
        return Ok(steps);
    }
    // Points without history cannot be compared; SQL Server itself refuses what does not fit.
    if let (Some(own), Some(base)) = (&wanted.backup_set, &full.backup_set) {
        chain::stands_on(own, base)?;
    }
    steps.push(Step::Apply { backup: wanted, more_follows: !options.keep_cdc });
    steps.extend((!options.keep_cdc).then_some(Step::Finish));
    Ok(steps)
}

/// The log backups that bring a full one to the moment that is asked for, or to the last one's. `clocks` are the minutes that the
/// server's clock was ahead of UTC at the full one and at the last.
fn logs<'a>(
    full: &Database,
    wanted: &'a Database,
    clocks: (i32, i32),
    options: RestoreOptions,
) -> Result<Vec<Step<'a>>, Refused> {
    let under = full.backup_set.as_ref().ok_or(Broken::NoBase)?;
    if let Some(until) = options.until
        && !(full.consistent_at..=wanted.consistent_at).contains(&until)
    {
        return Err(Refused::OutOfRange { from: full.consistent_at, to: wanted.consistent_at });
    }
    let all: Vec<LogBackup> = wanted.logs().map(|(log, _)| log.clone()).collect();
    let chosen = log_chain::chain(under, full.consistent_at, &all, options.until)?;
    let mut steps = Vec::new();
    for (place, next) in chosen.iter().enumerate() {
        let is_last = place + 1 == chosen.len();
        let found = wanted.logs().find(|(log, _)| log.sequence == next.sequence);
        let stop_at = options.until.filter(|_| is_last);
        let stop_at = stop_at.map(|at| on_clock(at, clocks)).transpose()?;
        let more_follows = !is_last || !options.keep_cdc;
        steps.extend(found.map(|(log, file)| Step::Log { backup: wanted, log, file, stop_at, more_follows }));
    }
    Ok(steps)
}

fn on_clock(at: Timestamp, (full, last): (i32, i32)) -> Result<DateTime, Refused> {
    if full != last {
        return Err(Refused::ClockChanged { full, last });
    }
    Ok(server::offset(last).to_datetime(at))
}

/// A step as RDS is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What its task is called.
    pub kind: TaskType,
    /// The ARN it restores from; `None` for the end of a restore, which is known by the database's name.
    pub object_arn: Option<String>,
}

impl Request {
    /// A step as RDS is asked for it; `arn` is that of its files, `None` where it has none.
    pub fn new(step: &Step<'_>, arn: impl FnOnce(&Step<'_>) -> Option<String>) -> Self {
        Self { kind: step.kind(), object_arn: arn(step) }
    }

    /// Whether it is what a task was submitted for.
    fn reads(&self, task: &Task) -> bool {
        self.object_arn.as_deref().is_some_and(|arn| task.object_arn.trim() == arn)
    }
}

/// Where a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'t> {
    /// This step is to be asked for next.
    Ask(usize),
    /// This step was asked for, and its task runs.
    Wait(usize, &'t Task),
    /// The task of this step has failed or was cancelled.
    Failed(usize, &'t Task),
    /// Every step is done.
    Done,
}

/// The last task of an attempt that was given up: its tasks count for nothing, and the restore begins anew. A worker that is
/// stopped, for instance as its machine goes, cancels the task that runs, and drops the database after the steps that are
/// done. `is_there` says whether there is a database that the tasks may have restored.
pub fn given_up(requests: &[Request], tasks: &[Task], is_there: bool) -> Option<TaskId> {
    let own = || tasks.iter().filter(|task| requests.iter().any(|request| request.reads(task)));
    let cancelled = own().filter(|task| task.lifecycle == Lifecycle::Cancelled).map(|task| task.id).max();
    let newest = own().max_by_key(|task| task.id);
    let dropped = newest.filter(|task| task.lifecycle == Lifecycle::Success && !is_there).map(|task| task.id);
    cancelled.max(dropped)
}

/// Where a restore stands, by all tasks of the instance that came after those of an attempt that was given up. Of several
/// tasks for one step the newest counts.
pub fn standing<'t>(requests: &[Request], tasks: &'t [Task], given_up: Option<TaskId>) -> Standing<'t> {
    let mut before: Option<&Task> = None;
    let tasks = || tasks.iter().filter(move |task| given_up.is_none_or(|last| task.id > last));
    for (index, request) in requests.iter().enumerate() {
        let is_its = |task: &&Task| match &request.object_arn {
            Some(_) => request.reads(task),
            // The end of this restore comes after its last step, and is for the same database.
            None => before.is_some_and(|before| {
                task.kind == request.kind && task.database == before.database && task.id > before.id
            }),
        };
        let Some(task) = tasks().filter(is_its).max_by_key(|task| task.id) else { return Standing::Ask(index) };
        match task.lifecycle {
            Lifecycle::Success => before = Some(task),
            Lifecycle::Error | Lifecycle::Cancelled => return Standing::Failed(index, task),
            _ => return Standing::Wait(index, task),
        }
    }
    Standing::Done
}

/// The name under which the first step was asked for, if it was: the name that an earlier worker has chosen.
pub fn begun_as<'t>(requests: &[Request], tasks: &'t [Task]) -> Option<&'t str> {
    let request = requests.first()?;
    let first = tasks.iter().filter(|task| request.reads(task)).max_by_key(|task| task.id)?;
    Some(&first.database)
}

/// What to do next so that a database that is complete under its working name takes the place of the one that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Give the old one the name of a replaced one.
    MoveAside,
    /// Give the new one the final name.
    TakeName,
    /// It has its place; the old one is still there, and can go once it is remembered that it may.
    Done,
    /// Somebody has made another database of the final name meanwhile.
    Taken,
    /// The new one is gone.
    Gone,
}

/// What comes next, by the names that exist. Whichever step a worker was killed at, the next one goes on from there: as long
/// as nobody has been told that the new one is complete, the old one is there to show it.
pub fn swap(existing: &BTreeSet<String>, working: &str, last: &str, replaced: &str) -> Swap {
    let has = |name: &str| existing.contains(name);
    match (has(working), has(last), has(replaced)) {
        (true, true, false) => Swap::MoveAside,
        (true, true, true) => Swap::Taken,
        (true, false, _) => Swap::TakeName,
        (false, true, true) => Swap::Done,
        (false, true, false) | (false, false, _) => Swap::Gone,
    }
}

#[cfg(test)]
mod tests;
