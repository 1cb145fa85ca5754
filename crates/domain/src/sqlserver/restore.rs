//! In which order a database is restored, and where an interrupted restore goes on.
//!
//! A full backup is enough by itself. A differential one needs the full backup under it first, restored so that the database
//! waits for more, and is told at the end that no more comes. RDS keeps every task for weeks, so what an earlier worker has
//! asked for is seen from the tasks: nothing is asked for twice.

use std::collections::BTreeSet;

use super::chain::{self, Broken};
use super::keys::BackupType;
use super::manifest::{Database, Manifest};
use super::options::RestoreOptions;
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
    /// Say that no more comes.
    Finish,
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
    let last = points.last().ok_or_else(|| Refused::Unknown(Vec::new()))?;
    let known = || last.manifest.databases.iter().map(|database| database.name.clone()).collect();
    let wanted = last.manifest.database(database).ok_or_else(|| Refused::Unknown(known()))?;
    if wanted.backup_type == BackupType::Full {
        return Ok(vec![Step::Apply { backup: wanted, more_follows: false }]);
    }
    let under = wanted.stands_on.as_ref();
    let none = || Refused::NoFull(under.map_or_else(|| "without a name".to_owned(), ToString::to_string));
    let full = points.iter().find(|point| Some(&point.point) == under).ok_or_else(none)?;
    let full = full.manifest.database(database).filter(|full| full.backup_type == BackupType::Full).ok_or_else(none)?;
    // Points without history cannot be compared; SQL Server itself refuses what does not fit.
    if let (Some(own), Some(base)) = (&wanted.backup_set, &full.backup_set) {
        chain::stands_on(own, base)?;
    }
    let mut steps = vec![
        Step::Apply { backup: full, more_follows: true },
        Step::Apply { backup: wanted, more_follows: !options.keep_cdc },
    ];
    if !options.keep_cdc {
        steps.push(Step::Finish);
    }
    Ok(steps)
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
    /// A step as RDS is asked for it; `arn` is that of its files.
    pub fn new(step: &Step<'_>, arn: impl FnOnce(&Database) -> String) -> Self {
        match step {
            Step::Finish => Self { kind: TaskType::FinishRestore, object_arn: None },
            Step::Apply { backup, more_follows } => {
                let kind = match (backup.backup_type, more_follows) {
                    (BackupType::Full, false) => TaskType::RestoreDb,
                    (BackupType::Full, true) => TaskType::RestoreDbNorecovery,
                    (BackupType::Differential, false) => TaskType::RestoreDbDifferential,
                    (BackupType::Differential, true) => TaskType::RestoreDbDifferentialNorecovery,
                };
                Self { kind, object_arn: Some(arn(backup)) }
            }
        }
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
mod tests {
    use super::super::chain::tests::{differential, full};
    use super::super::manifest::tests::{database, manifest};
    use super::*;

    const PLAIN: RestoreOptions = RestoreOptions { keep_cdc: false, data_file_volume: None, log_file_volume: None };

    fn point(id: &str, databases: Vec<Database>) -> PointManifest {
        PointManifest { point: id.parse().unwrap(), manifest: manifest(databases) }
    }

    #[test]
    fn a_full_backup_is_enough_and_a_differential_needs_its_own() {
        let base = full(1);
        let points = [
            point("pnt-full", vec![database("shop", base.clone()), database("crm", full(2))]),
            point("pnt-diff", vec![database("shop", differential(3, &base)), database("crm", full(4))]),
        ];
        let (under, over) = (&points[0].manifest.databases[0], &points[1].manifest.databases[0]);
        assert_eq!(
            steps(&points, "shop", PLAIN).unwrap(),
            [
                Step::Apply { backup: under, more_follows: true },
                Step::Apply { backup: over, more_follows: true },
                Step::Finish
            ]
        );
        let keep_cdc = RestoreOptions { keep_cdc: true, ..PLAIN };
        assert_eq!(
            steps(&points, "shop", keep_cdc).unwrap(),
            [Step::Apply { backup: under, more_follows: true }, Step::Apply { backup: over, more_follows: false }]
        );
        let alone = steps(&points, "crm", PLAIN).unwrap();
        assert_eq!(alone, [Step::Apply { backup: &points[1].manifest.databases[1], more_follows: false }]);
        assert_eq!(steps(&points, "x", PLAIN).unwrap_err(), Refused::Unknown(vec!["shop".into(), "crm".into()]));
        assert_eq!(steps(&points[1..], "shop", PLAIN).unwrap_err(), Refused::NoFull("pnt-full".into()));
        let other = [point("pnt-full", vec![database("shop", full(2))]), points[1].clone()];
        assert_eq!(steps(&other, "shop", PLAIN).unwrap_err(), Refused::OtherFull(Broken::Overtaken));
    }

    fn task(id: u64, kind: TaskType, lifecycle: Lifecycle, arn: &str) -> Task {
        Task {
            id: TaskId(id),
            kind,
            database: "shop".into(),
            percent: None,
            lifecycle,
            info: String::new(),
            last_updated: String::new(),
            object_arn: arn.into(),
        }
    }

    #[test]
    fn an_interrupted_restore_goes_on_where_its_tasks_stand() {
        use Lifecycle::{Cancelled, Error, InProgress, Success};
        use TaskType::{FinishRestore, RestoreDbDifferentialNorecovery, RestoreDbNorecovery};
        let base = full(1);
        let points = [
            point("pnt-full", vec![database("shop", base.clone())]),
            point("pnt-diff", vec![database("shop", differential(3, &base))]),
        ];
        let arn = |backup: &Database| backup.backup_type.as_str().to_owned();
        let steps = steps(&points, "shop", PLAIN).unwrap();
        let requests: Vec<_> = steps.iter().map(|step| Request::new(step, arn)).collect();
        let first = |id, lifecycle| task(id, RestoreDbNorecovery, lifecycle, "full");
        let second = |id, lifecycle| task(id, RestoreDbDifferentialNorecovery, lifecycle, "differential");
        let finish = |id, lifecycle| task(id, FinishRestore, lifecycle, "");
        let ended = |tasks: &[Task], given_up| match standing(&requests, tasks, given_up) {
            Standing::Ask(step) => format!("ask {step}"),
            Standing::Wait(step, task) => format!("wait {step} {}", task.id),
            Standing::Failed(step, task) => format!("failed {step} {}", task.id),
            Standing::Done => "done".to_owned(),
        };
        let cases = [
            (vec![], "ask 0"),
            (vec![finish(1, Success)], "ask 0"),
            (vec![first(2, InProgress)], "wait 0 2"),
            (vec![first(2, Error), first(5, InProgress)], "wait 0 5"),
            (vec![first(2, Success)], "ask 1"),
            (vec![first(2, Success), second(3, Error)], "failed 1 3"),
            (vec![first(2, Success), second(3, Success)], "ask 2"),
            // Somebody else's restore of the same name has ended before.
            (vec![finish(1, Success), first(2, Success), second(3, Success)], "ask 2"),
            (vec![first(2, Success), second(3, Success), finish(4, InProgress)], "wait 2 4"),
            (vec![first(2, Success), second(3, Success), finish(4, Success)], "done"),
        ];
        for (tasks, expected) in cases {
            assert_eq!(ended(&tasks, None), expected, "{tasks:?}");
        }
        // Attempts of workers that were stopped: a task is cancelled, or the database is gone after what was done.
        let cases = [
            (vec![], false, None, "ask 0"),
            (vec![first(2, InProgress)], false, None, "wait 0 2"),
            (vec![first(2, Error)], false, None, "failed 0 2"),
            (vec![first(2, Success)], true, None, "ask 1"),
            (vec![first(2, Success)], false, Some(2), "ask 0"),
            (vec![first(2, Cancelled)], true, Some(2), "ask 0"),
            (vec![first(2, Success), second(3, Cancelled)], true, Some(3), "ask 0"),
            (vec![first(2, Cancelled), first(4, Success)], true, Some(2), "ask 1"),
            (vec![first(2, Success), second(3, Success), finish(4, Success)], false, Some(3), "ask 0"),
        ];
        for (tasks, is_there, last, expected) in cases {
            let found = given_up(&requests, &tasks, is_there);
            assert_eq!(found, last.map(TaskId), "{tasks:?}");
            assert_eq!(ended(&tasks, found), expected, "{tasks:?}");
        }
        // The end of an attempt that was given up is not that of the next one.
        let again = [first(2, Success), second(3, Success), finish(4, Success), first(5, Success), second(6, Success)];
        assert_eq!(ended(&again, Some(TaskId(3))), "ask 2");
        assert_eq!(begun_as(&requests, &[first(2, Error)]), Some("shop"));
        assert_eq!(begun_as(&requests, &[second(3, Error)]), None);
    }

    #[test]
    fn a_swap_goes_on_from_wherever_it_was_left() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let cases = [
            (names(&["new", "shop"]), Swap::MoveAside),
            (names(&["new", "old"]), Swap::TakeName),
            (names(&["new"]), Swap::TakeName),
            (names(&["shop", "old"]), Swap::Done),
            // It cannot be told from the old one.
            (names(&["shop"]), Swap::Gone),
            (names(&["new", "shop", "old"]), Swap::Taken),
            (names(&["old"]), Swap::Gone),
            (names(&[]), Swap::Gone),
        ];
        for (existing, expected) in cases {
            assert_eq!(swap(&existing, "new", "shop", "old"), expected, "{existing:?}");
        }
    }
}
