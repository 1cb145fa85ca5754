//! The queue of native tasks of one instance: what may be asked, what may run, what is told of it.
//!
//! After "Importing and exporting SQL Server databases using native backup and restore": two tasks run at a time, the
//! others wait as CREATED; one task per database, but what restores further may wait for a restore that leaves its
//! database restoring; FINISH_RESTORE cannot be cancelled. Pure: moments come from outside.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::backup::Kind;

/// Tasks that run at a time.
const LIMIT: usize = 2;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Backup(Kind),
    Restore {
        kind: Kind,
        norecovery: bool,
    },
    Finish,
    /// Copies log backups of RDS's to S3.
    CopyLogs,
}

impl Work {
    /// `task_type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backup(Kind::Differential) => "BACKUP_DB_DIFFERENTIAL",
            Self::Backup(_) => "BACKUP_DB",
            Self::Restore { kind: Kind::Differential, norecovery: false } => "RESTORE_DB_DIFFERENTIAL",
            Self::Restore { kind: Kind::Differential, norecovery: true } => "RESTORE_DB_DIFFERENTIAL_NORECOVERY",
            Self::Restore { kind: Kind::Log, norecovery: false } => "RESTORE_DB_LOG",
            Self::Restore { kind: Kind::Log, norecovery: true } => "RESTORE_DB_LOG_NORECOVERY",
            Self::Restore { norecovery: false, .. } => "RESTORE_DB",
            Self::Restore { norecovery: true, .. } => "RESTORE_DB_NORECOVERY",
            Self::Finish => "FINISH_RESTORE",
            // AWS's own name for it is not documented.
            Self::CopyLogs => "TLOG_BACKUP_COPY_TO_S3",
        }
    }
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    Created,
    InProgress,
    Success,
    Error,
    CancelRequested,
    Cancelled,
}

impl Lifecycle {
    /// `lifecycle`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::InProgress => "IN_PROGRESS",
            Self::Success => "SUCCESS",
            Self::Error => "ERROR",
            Self::CancelRequested => "CANCEL_REQUESTED",
            Self::Cancelled => "CANCELLED",
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Success | Self::Error | Self::Cancelled)
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) work: Work,
    pub(crate) database: String,
    /// Where to and where from; empty for FINISH_RESTORE.
    pub(crate) arn: String,
    pub(crate) overwrite: bool,
    pub(crate) key: Option<String>,
    pub(crate) files: usize,
    /// Of a restore.
    pub(crate) placing: Placing,
    /// Where the restore of a log ends, if before the log does.
    pub(crate) stop: Option<DateTime>,
    /// Numbers of the log backups to copy.
    pub(crate) logs: Vec<u32>,
}

/// Where a restored database's files go, and what stays with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placing {
    /// Letters of the volumes of data and log.
    pub(crate) data: char,
    pub(crate) log: char,
    /// Whether change data capture is kept. What an image holds of it is not read: whoever asks for it is taken to have
    /// it.
    pub(crate) keep_cdc: bool,
}

impl Default for Placing {
    fn default() -> Self {
        Self { data: 'D', log: 'D', keep_cdc: false }
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: u32,
    pub(crate) order: Order,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) percent: u8,
    /// `task_info`: it only grows.
    pub(crate) info: String,
    pub(crate) created: DateTime,
    pub(crate) started: Option<DateTime>,
    pub(crate) updated: DateTime,
}

impl Task {
    /// `duration (mins)`.
    pub(crate) fn minutes(&self, now: DateTime) -> i64 {
        let end = if self.lifecycle.is_over() { self.updated } else { now };
        self.started.map_or(0, |started| end.duration_since(started).as_mins())
    }
}

/// Why something is refused at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("A task has already been issued for database: {0} with task Id: {1}")]
    Busy(String, u32),
    #[error(
        "A T-log backup file copy task has already been issued for database: {0} with task Id: {1}, please try again later."
    )]
    Copying(String, u32),
    #[error("The task Id {0} does not exist.")]
    Unknown(u32),
    #[error("The task Id {0} cannot be canceled: it is {1}.")]
    NotCancellable(u32, &'static str),
}

/// Every task since the instance started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Vec<Task>);

impl Tasks {
    /// Every task, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.0.iter()
    }

    /// A task by its number.
    pub(crate) fn get(&self, id: u32) -> Option<&Task> {
        self.0.iter().find(|task| task.id == id)
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut Task> {
        self.0.iter_mut().find(|task| task.id == id)
    }

    /// The last task of a database that is not over.
    pub(crate) fn pending(&self, database: &str) -> Option<&Task> {
        let of = |task: &&Task| task.order.database.eq_ignore_ascii_case(database) && !task.lifecycle.is_over();
        self.0.iter().rfind(of)
    }

    /// Whether any task is not over.
    pub(crate) fn any_pending(&self) -> bool {
        self.0.iter().any(|task| !task.lifecycle.is_over())
    }

    /// Takes an order.
    pub(crate) fn submit(&mut self, order: Order, now: DateTime) -> Result<&Task, Refused> {
        if let Some(before) = self.pending(&order.database) {
            let goes_on = matches!(order.work, Work::Restore { kind: Kind::Differential | Kind::Log, .. })
                && matches!(before.order.work, Work::Restore { norecovery: true, .. });
            if order.work == Work::CopyLogs && before.order.work == Work::CopyLogs {
                return Err(Refused::Copying(before.order.database.clone(), before.id));
            }
            if !goes_on {
                return Err(Refused::Busy(before.order.database.clone(), before.id));
            }
        }
        let id = self.0.last().map_or(1, |task| task.id + 1);
        self.0.push(Task {
            id,
            order,
            lifecycle: Lifecycle::Created,
            percent: 0,
            info: String::new(),
            created: now,
            started: None,
            updated: now,
        });
        Ok(&self.0[self.0.len() - 1])
    }

    /// Begins every task whose turn it is.
    pub(crate) fn begin_ready(&mut self, now: DateTime) -> Vec<Task> {
        let mut begun = Vec::new();
        loop {
            let running = |task: &&Task| matches!(task.lifecycle, Lifecycle::InProgress | Lifecycle::CancelRequested);
            let free = self.0.iter().filter(running).count() < LIMIT;
            let waits = |task: &Task| {
                task.lifecycle == Lifecycle::Created
                    && !self.0.iter().any(|other| {
                        other.id < task.id
                            && !other.lifecycle.is_over()
                            && other.order.database.eq_ignore_ascii_case(&task.order.database)
                    })
            };
            let next = self.0.iter().find(|task| waits(task)).map(|task| task.id);
            let Some(task) = next.filter(|_| free).and_then(|id| self.get_mut(id)) else { return begun };
            task.lifecycle = Lifecycle::InProgress;
            task.started = Some(now);
            task.note("Task execution has started.", now);
            begun.push(task.clone());
        }
    }

    /// Adds to a task's `task_info`.
    pub(crate) fn note(&mut self, id: u32, text: &str, now: DateTime) {
        if let Some(task) = self.get_mut(id) {
            task.note(text, now);
        }
    }

    /// How far it is; told in steps of five percent.
    pub(crate) fn progress(&mut self, id: u32, percent: u8, now: DateTime) {
        let Some(task) = self.get_mut(id) else { return };
        let step = percent.min(100) / 5 * 5;
        if step > task.percent {
            task.percent = step;
            task.note(&format!("{step} percent processed."), now);
        }
    }

    /// It is over, with what is to be said last.
    pub(crate) fn end(&mut self, id: u32, lifecycle: Lifecycle, lines: &[String], now: DateTime) {
        let Some(task) = self.get_mut(id) else { return };
        task.lifecycle = lifecycle;
        if lifecycle == Lifecycle::Success {
            task.percent = 100;
        }
        for line in lines {
            task.note(line, now);
        }
        task.updated = now;
    }

    /// Asks for a task's end. One that waits has ended then; one that runs is asked to.
    pub(crate) fn cancel(&mut self, id: u32, now: DateTime) -> Result<Lifecycle, Refused> {
        let task = self.get_mut(id).ok_or(Refused::Unknown(id))?;
        let next = match task.lifecycle {
            _ if task.order.work == Work::Finish => return Err(Refused::NotCancellable(id, task.order.work.name())),
            Lifecycle::Created => Lifecycle::Cancelled,
            Lifecycle::InProgress | Lifecycle::CancelRequested => Lifecycle::CancelRequested,
            over => return Err(Refused::NotCancellable(id, over.name())),
        };
        task.lifecycle = next;
        task.updated = now;
        Ok(next)
    }
}

impl Task {
    fn note(&mut self, text: &str, now: DateTime) {
        if !self.info.is_empty() {
            self.info.push(' ');
        }
        let moment = now.strftime("%Y-%m-%d %H:%M:%S.%3f");
        self.info.push_str(&format!("[{moment}] {text}"));
        self.updated = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime {
        jiff::civil::date(2026, 11, 27).at(10, 0, 0, 5_000_000)
    }

    fn order(work: Work, database: &str) -> Order {
        Order {
            work,
            database: database.into(),
            arn: String::new(),
            overwrite: false,
            key: None,
            files: 1,
            placing: Placing::default(),
            stop: None,
            logs: Vec::new(),
        }
    }

    fn restore(kind: Kind, norecovery: bool) -> Work {
        Work::Restore { kind, norecovery }
    }

    const BACKUP: Work = Work::Backup(Kind::Full);

    #[test]
    fn two_run_and_the_third_waits() {
        let mut tasks = Tasks::default();
        for database in ["a", "b", "c"] {
            tasks.submit(order(BACKUP, database), now()).unwrap();
        }
        let begun = |tasks: &mut Tasks| tasks.begin_ready(now()).iter().map(|task| task.id).collect::<Vec<_>>();
        assert_eq!(begun(&mut tasks), [1, 2]);
        assert_eq!(begun(&mut tasks), Vec::<u32>::new());
        assert_eq!(tasks.cancel(1, now()), Ok(Lifecycle::CancelRequested));
        assert_eq!(begun(&mut tasks), Vec::<u32>::new(), "it still runs");
        tasks.end(1, Lifecycle::Cancelled, &["Task has been aborted".into()], now());
        assert_eq!(begun(&mut tasks), [3]);
        assert_eq!(
            tasks.get(1).unwrap().info,
            "[2026-11-27 10:00:00.005] Task execution has started. [2026-11-27 10:00:00.005] Task has been aborted"
        );
    }

    #[test]
    fn one_task_per_database_but_a_chain_of_restores_may_wait() {
        let full = restore(Kind::Full, true);
        for (first, second, accepted) in [
            (BACKUP, BACKUP, false),
            (full, restore(Kind::Differential, false), true),
            (full, restore(Kind::Log, true), true),
            (full, restore(Kind::Full, true), false),
            (restore(Kind::Full, false), restore(Kind::Differential, false), false),
            (full, Work::Finish, false),
            (restore(Kind::Log, true), restore(Kind::Log, false), true),
            (restore(Kind::Log, false), restore(Kind::Log, true), false),
            (Work::CopyLogs, Work::CopyLogs, false),
            (Work::CopyLogs, BACKUP, false),
        ] {
            let mut tasks = Tasks::default();
            tasks.submit(order(first, "Shop"), now()).unwrap();
            let outcome = tasks.submit(order(second, "shop"), now()).map(|task| task.id);
            assert_eq!(outcome.is_ok(), accepted, "{first:?} {second:?}");
            // The second waits for the first even where there is room.
            assert_eq!(tasks.begin_ready(now()).len(), 1);
        }
        let refused = Refused::Busy("shop".into(), 7).to_string();
        assert!(refused.starts_with("A task has already been issued for database: shop"), "{refused}");
    }

    #[test]
    fn what_is_over_or_finishes_cannot_be_cancelled() {
        let mut tasks = Tasks::default();
        tasks.submit(order(Work::Finish, "a"), now()).unwrap();
        tasks.submit(order(BACKUP, "b"), now()).unwrap();
        assert!(tasks.cancel(1, now()).is_err());
        assert_eq!(tasks.cancel(2, now()), Ok(Lifecycle::Cancelled));
        assert!(tasks.cancel(2, now()).is_err());
        assert_eq!(tasks.cancel(9, now()), Err(Refused::Unknown(9)));
    }

    #[test]
    fn progress_is_told_in_steps_of_five() {
        let mut tasks = Tasks::default();
        tasks.submit(order(BACKUP, "a"), now()).unwrap();
        for percent in [3, 7, 9, 12, 4] {
            tasks.progress(1, percent, now());
        }
        let task = tasks.get(1).unwrap();
        assert_eq!(task.percent, 10);
        assert_eq!(task.info.matches("percent processed").count(), 2, "{}", task.info);
    }
}
