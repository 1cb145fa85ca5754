//! An instance in memory that does to databases what RDS would do, by reading and writing objects. Time is counted in looks
//! at tasks: each look brings the oldest two that run one step further.

mod carrying;
mod logs;
mod port;
mod sealing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haulier_cloud::doubles::MemoryObjectStore;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::BackupSet;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::options::Volume;
use haulier_domain::sqlserver::row::Row;
use haulier_domain::sqlserver::task::{Lifecycle, Task, TaskId};
use haulier_worker_agent::sqlserver::{CallError, TaskRequest};

use crate::gate::Gate;
use logs::Logs;

/// What an instance is told to do wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The next submission, or the next move of the place of log backups, is carried out, and its answer lost.
    LoseAnswer,
    /// The next submission is lost on its way.
    LoseRequest,
    /// The next submission takes a second.
    Slow,
    /// So many submissions are refused with this text.
    Refuse(u32, String),
    /// The next task ends so.
    Fail(String),
    /// The next task never ends by itself.
    Hang,
    /// A snapshot of the instance is taken while the next task runs.
    Snapshot,
    /// The next task of a backup loses its last file.
    LoseFile,
    /// The next task of a backup leaves no data key with its files.
    LoseDataKey,
    /// The next copy of log backups leaves no data key with the first.
    LoseDataKeyOfLog,
    /// The next copy of log backups has them as they are, whatever the key.
    CopyPlain,
    /// Renaming is refused.
    KeepNames,
    /// Nothing answers any more, from the next task's failure on.
    Vanish,
    /// The place of log backups is not moved so many times: a task is pending.
    Pending(u32),
    /// The place of log backups stays one of the temporary bucket: a task is pending.
    KeepTarget,
    /// The place of log backups is not moved once, with this number.
    StumbleMoving(u32),
    /// So many calls find nobody.
    Away(u32),
    /// So many looks are refused with this number.
    Stumble(u32, u32),
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database {
    /// What is in it.
    pub(crate) content: String,
    /// Whether a restore has not ended.
    pub(crate) restoring: bool,
    /// The full backup that it was restored from last, while it is restoring.
    base: u32,
    /// Number of the log record that it waits for, while it is restoring.
    end: u32,
    /// Where its data and its log lie.
    pub(crate) volumes: (Volume, Volume),
    /// Whether a restore was told to keep change data capture.
    pub(crate) keeps_cdc: bool,
}

impl Database {
    fn new(content: &str) -> Self {
        let volumes = (Volume::D, Volume::D);
        Self { content: content.to_owned(), restoring: false, base: 0, end: 0, volumes, keeps_cdc: false }
    }
}

#[derive(Debug)]
struct Run {
    task: Task,
    request: TaskRequest,
    steps: u32,
    fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct World {
    databases: BTreeMap<String, Database>,
    history: Vec<(String, BackupSet)>,
    runs: Vec<Run>,
    faults: Vec<Fault>,
    vanished: bool,
    logs: Logs,
    backups: u32,
    calls: Vec<String>,
}

/// The instance. Clones are the same one, perhaps seen by another worker.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    world: Arc<Mutex<World>>,
    store: Arc<MemoryObjectStore>,
    pub(crate) gate: Gate,
    /// Bytes of a native backup.
    pub(crate) length: usize,
    /// Whether its storage is encrypted.
    pub(crate) encrypted: bool,
    pub(crate) edition: &'static str,
    pub(crate) version: &'static str,
}

impl Instance {
    pub(crate) fn new(store: Arc<MemoryObjectStore>, databases: &[(&str, &str)]) -> Self {
        let database = |(name, content): &(&str, &str)| ((*name).to_owned(), Database::new(content));
        let world = World { databases: databases.iter().map(database).collect(), ..World::default() };
        Self {
            world: Arc::new(Mutex::new(world)),
            store,
            gate: Gate::default(),
            length: 100_000,
            encrypted: false,
            edition: "Standard Edition (64-bit)",
            version: "15.0.4430.1",
        }
    }

    /// The same instance, seen by a worker that dies at this gate.
    pub(crate) fn behind(&self, gate: Gate) -> Self {
        Self { gate, ..self.clone() }
    }

    /// The same instance, whose ARNs are of another bucket.
    pub(crate) fn moved_to(&self, store: Arc<MemoryObjectStore>) -> Self {
        Self { store, gate: Gate::default(), ..self.clone() }
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.world.lock().unwrap().faults.push(fault);
    }

    pub(crate) fn set(&self, name: &str, content: &str) {
        self.world.lock().unwrap().databases.insert(name.to_owned(), Database::new(content));
    }

    /// A database that is there.
    pub(crate) fn database(&self, name: &str) -> Database {
        self.world.lock().unwrap().databases[name].clone()
    }

    /// Contents of the databases that are online.
    pub(crate) fn contents(&self) -> BTreeMap<String, String> {
        let world = self.world.lock().unwrap();
        let online = world.databases.iter().filter(|(_, database)| !database.restoring);
        online.map(|(name, database)| (name.clone(), database.content.clone())).collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.world.lock().unwrap().databases.keys().cloned().collect()
    }

    /// Every task there was: what it is and how it stands.
    pub(crate) fn tasks_were(&self) -> Vec<(String, Lifecycle)> {
        let world = self.world.lock().unwrap();
        let told =
            |run: &Run| (format!("{} {}", run.task.kind.as_str(), run.task.database), run.task.lifecycle.clone());
        world.runs.iter().map(told).collect()
    }

    /// Changes that were asked for besides tasks, in order.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.world.lock().unwrap().calls.clone()
    }

    /// Takes a snapshot of the instance: all databases have another base then.
    pub(crate) fn snapshot(&self) {
        let mut world = self.world.lock().unwrap();
        let names: Vec<_> = world.databases.keys().cloned().collect();
        for name in names {
            world.remember(&name, BackupType::Full, None, true);
        }
    }

    /// Whether calls are still answered.
    fn check(&self) -> Result<(), CallError> {
        let mut world = self.world.lock().unwrap();
        let is_away = match world.faults.first().cloned() {
            Some(Fault::Away(times)) => {
                world.again(times, Fault::Away);
                true
            }
            Some(Fault::Stumble(times, number)) => {
                world.again(times, |times| Fault::Stumble(times, number));
                return Err(CallError::Refused { number, text: "not now".into() });
            }
            _ => world.vanished,
        };
        if is_away {
            let failure = Failure::new("db-connection-lost", "connecting", "it has vanished", "wait").retryable();
            return Err(CallError::Unmade(failure));
        }
        Ok(())
    }

    /// A submission whose sender is gone is carried out after all.
    pub(crate) fn carry_late(&self, object_arn: &str, database: &str) {
        let (object_arn, database) = (object_arn.to_owned(), database.to_owned());
        self.world.lock().unwrap().push(TaskRequest::Backup {
            database,
            object_arn,
            backup_type: BackupType::Full,
            files: 1,
            kms_key_arn: None,
        });
    }

    /// Takes the time that a submission takes.
    async fn take_time(&self) {
        let is_slow = {
            let mut world = self.world.lock().unwrap();
            let is_slow = world.faults.first() == Some(&Fault::Slow);
            if is_slow {
                world.faults.remove(0);
                world.calls.push("slow submission".to_owned());
            }
            is_slow
        };
        if is_slow {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn begin(&self, request: &TaskRequest) -> Result<TaskId, CallError> {
        let mut world = self.world.lock().unwrap();
        let fault = world.faults.first().cloned();
        if let Some(Fault::Refuse(times, text)) = &fault {
            let refused = CallError::Refused { number: 50_000, text: text.clone() };
            world.again(*times, |times| Fault::Refuse(times, text.clone()));
            return Err(refused);
        }
        if fault == Some(Fault::LoseRequest) {
            world.faults.remove(0);
            return Err(CallError::Lost("reset by peer".into()));
        }
        let busy =
            world.runs.iter().any(|run| run.task.database == request.database() && !run.task.lifecycle.has_ended());
        if busy {
            let text = format!("A task has already been issued for database: {}", request.database());
            return Err(CallError::Refused { number: 50_000, text });
        }
        self.check_key(request)?;
        let lost = fault == Some(Fault::LoseAnswer);
        let of_task = matches!(
            &fault,
            Some(
                Fault::Fail(_)
                    | Fault::Hang
                    | Fault::Snapshot
                    | Fault::LoseFile
                    | Fault::LoseDataKey
                    | Fault::LoseDataKeyOfLog
                    | Fault::CopyPlain
                    | Fault::Vanish
            )
        );
        let fault = if lost || of_task { Some(world.faults.remove(0)) } else { None };
        let id = world.push(request.clone());
        if let Some(run) = world.runs.last_mut() {
            run.fault = fault.filter(|_| of_task);
        }
        if lost { Err(CallError::Lost("reset by peer".into())) } else { Ok(id) }
    }
}

impl World {
    /// The first fault happens once less, having happened now.
    fn again(&mut self, times: u32, fault: impl FnOnce(u32) -> Fault) {
        match times {
            0 | 1 => drop(self.faults.remove(0)),
            _ => self.faults[0] = fault(times - 1),
        }
    }

    /// A task that was submitted.
    fn push(&mut self, request: TaskRequest) -> TaskId {
        let id = TaskId(self.runs.len() as u64 + 1);
        let task = Task {
            id,
            kind: request.kind(),
            database: request.database().to_owned(),
            percent: Some(0),
            lifecycle: Lifecycle::Created,
            info: String::new(),
            last_updated: String::new(),
            object_arn: request.object_arn().to_owned(),
        };
        self.runs.push(Run { task, request, steps: 0, fault: None });
        id
    }

    fn newest_full(&self, name: &str) -> Option<u32> {
        let full = |(of, set): &(String, BackupSet)| of == name && set.backup_type == BackupType::Full;
        let newest = self.history.iter().rfind(|entry| full(entry))?;
        newest.1.uuid.as_ref()?.parse().ok()
    }

    /// Writes a backup into the history. Gives its number.
    fn remember(&mut self, name: &str, backup_type: BackupType, base: Option<u32>, is_snapshot: bool) -> u32 {
        self.backups += 1;
        let number = self.backups;
        let text = |value: u32| Some(value.to_string());
        let columns = [
            ("type", Some(if backup_type == BackupType::Full { "D" } else { "I" }.to_owned())),
            ("backup_set_uuid", text(number)),
            ("is_snapshot", text(u32::from(is_snapshot))),
            ("first_lsn", text(number * 100)),
            ("last_lsn", text(number * 100 + 9)),
            ("checkpoint_lsn", text(number * 100 + 3)),
            ("differential_base_lsn", base.map(|base| (base * 100 + 3).to_string())),
            ("differential_base_guid", base.map(|base| base.to_string())),
            ("backup_finish_date", Some(format!("2026-11-20T03:{:02}:{:02}", number / 60, number % 60))),
        ];
        let row = Row::new(columns.map(|(column, value)| (column.to_owned(), value)));
        self.history.push((name.to_owned(), BackupSet::of_row(&row).unwrap().unwrap()));
        number
    }
}
