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
    let last = points.last().ok_or_else(|| Refused::Unknown(Vec::new()))?;
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
    let full = points.iter().find(|point| Some(&point.point) == under).ok_or_else(none)?;
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
        steps.extend(found.map(|(log, file)| Step::Log { log, file, stop_at, more_follows }));
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
mod tests {
    use super::super::chain::tests::{differential, full};
    use super::super::log_chain::tests::{at, log};
    use super::super::manifest::tests::{self as manifests, database, manifest};
    use super::*;

    const PLAIN: RestoreOptions =
        RestoreOptions { keep_cdc: false, data_file_volume: None, log_file_volume: None, until: None };

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

    #[test]
    fn log_backups_follow_up_to_the_moment() {
        // It ends at record 109, and holds the state of minute 10.
        let under = Database { consistent_at: at(10), ..database("shop", full(1)) };
        let good = [log(11, 100, 120), log(12, 120, 130), log(13, 130, 140)];
        let point_of = |logs: &[LogBackup]| {
            [point("pnt-full", vec![under.clone()]), point("pnt-log", vec![manifests::logs("shop", logs)])]
        };
        let points = point_of(&good);
        let until = |until| RestoreOptions { until: Some(until), ..PLAIN };
        let half = |minute| at(minute) + jiff::SignedDuration::from_secs(30);
        // On a clock that is an hour ahead.
        let on_clock = |half: Timestamp| server::offset(60).to_datetime(half);
        // Which log backups, where the last one stops, and whether its end is told by itself.
        let cases = [
            (PLAIN, Ok((vec![11, 12, 13], None, true))),
            (RestoreOptions { keep_cdc: true, ..PLAIN }, Ok((vec![11, 12, 13], None, false))),
            (until(at(12)), Ok((vec![11, 12], Some(on_clock(at(12))), true))),
            (until(half(11)), Ok((vec![11, 12], Some(on_clock(half(11))), true))),
            (RestoreOptions { keep_cdc: true, ..until(half(10)) }, Ok((vec![11], Some(on_clock(half(10))), false))),
            (until(at(10)), Ok((vec![11], Some(on_clock(at(10))), true))),
            (until(at(9)), Err(Refused::OutOfRange { from: at(10), to: at(13) })),
            (until(half(13)), Err(Refused::OutOfRange { from: at(10), to: at(13) })),
        ];
        for (options, expected) in cases {
            let told = steps(&points, "shop", options).map(|steps| {
                let logs: Vec<_> = steps
                    .iter()
                    .filter_map(|step| match step {
                        Step::Log { log, stop_at, more_follows, .. } => Some((log.sequence, *stop_at, *more_follows)),
                        _ => None,
                    })
                    .collect();
                assert!(matches!(steps[0], Step::Apply { more_follows: true, .. }), "{steps:?}");
                let (last, others) = logs.split_last().unwrap();
                assert!(others.iter().all(|(_, stop_at, more)| stop_at.is_none() && *more), "{logs:?}");
                let is_told = steps.last() == Some(&Step::Finish);
                assert_eq!(last.2, is_told);
                (logs.iter().map(|(sequence, ..)| *sequence).collect::<Vec<_>>(), last.1, is_told)
            });
            assert_eq!(told, expected, "{options:?}");
        }
        let mut moved = points.clone();
        moved[1].manifest.utc_offset_minutes = 0;
        assert_eq!(steps(&moved, "shop", until(half(11))), Err(Refused::ClockChanged { full: 60, last: 0 }));
        assert!(steps(&moved, "shop", PLAIN).is_ok());
        let hole = Refused::Gap(Gap::Missing { before: 11, after: 13 });
        assert_eq!(steps(&point_of(&[good[0].clone(), good[2].clone()]), "shop", PLAIN), Err(hole));
        let alone = [point("pnt-full", vec![under.clone()])];
        assert_eq!(steps(&alone, "shop", until(at(10))), Err(Refused::OneMoment(at(10))));
        assert_eq!(steps(&points[1..], "shop", PLAIN), Err(Refused::NoFull("pnt-full".into())));
        let nameless = Database { backup_set: None, ..under.clone() };
        let unknown = [point("pnt-full", vec![nameless]), points[1].clone()];
        assert_eq!(steps(&unknown, "shop", PLAIN), Err(Refused::OtherFull(Broken::NoBase)));
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
        let arn = |step: &Step<'_>| match step {
            Step::Apply { backup, .. } => Some(backup.backup_type.as_str().to_owned()),
            Step::Log { log, .. } => Some(log.sequence.to_string()),
            Step::Finish => None,
        };
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
