//! An instance in memory that does to databases what RDS would do, by reading and writing objects.
//!
//! A native backup of it is one line of JSON, padded to the length of an image: which database, of which moment, on which
//! base. Time is counted in looks at tasks: each look brings the oldest two that run one step further.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::doubles::MemoryObjectStore;
use haulier_cloud::object_store::ObjectStore as _;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::BackupSet;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::row::Row;
use haulier_domain::sqlserver::server::{DatabaseFacts, ServerFacts, State};
use haulier_domain::sqlserver::task::{Lifecycle, Task, TaskId};
use haulier_worker_agent::sqlserver::{CallError, Server, TaskRequest};
use serde::{Deserialize, Serialize};

use crate::gate::Gate;

/// Looks that a task takes.
const STEPS: u32 = 3;
/// The bucket that ARNs name.
const BUCKET: &str = "arn:aws:s3:::temp/";

/// What an instance is told to do wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The next submission is carried out, and its answer lost.
    LoseAnswer,
    /// The next submission is lost on its way.
    LoseRequest,
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
    /// Renaming is refused.
    KeepNames,
    /// Nothing answers any more, from the next task's failure on.
    Vanish,
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
}

/// What a native backup says.
#[derive(Debug, Serialize, Deserialize)]
struct Image {
    content: String,
    number: u32,
    base: Option<u32>,
    /// Bytes of the whole image.
    length: usize,
    files: usize,
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
    pub(crate) edition: &'static str,
    pub(crate) version: &'static str,
}

impl Instance {
    pub(crate) fn new(store: Arc<MemoryObjectStore>, databases: &[(&str, &str)]) -> Self {
        let database = |(name, content): &(&str, &str)| {
            ((*name).to_owned(), Database { content: (*content).to_owned(), restoring: false, base: 0 })
        };
        let world = World { databases: databases.iter().map(database).collect(), ..World::default() };
        Self {
            world: Arc::new(Mutex::new(world)),
            store,
            gate: Gate::default(),
            length: 100_000,
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
        let database = Database { content: content.to_owned(), restoring: false, base: 0 };
        self.world.lock().unwrap().databases.insert(name.to_owned(), database);
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
        if self.world.lock().unwrap().vanished {
            let failure = Failure::new("db-connection-lost", "connecting", "it has vanished", "wait").retryable();
            return Err(CallError::Unmade(failure));
        }
        Ok(())
    }

    fn begin(&self, request: &TaskRequest) -> Result<TaskId, CallError> {
        let mut world = self.world.lock().unwrap();
        let fault = world.faults.first().cloned();
        if let Some(Fault::Refuse(times, text)) = &fault {
            let refused = CallError::Refused { number: 50_000, text: text.clone() };
            if *times > 1 {
                world.faults[0] = Fault::Refuse(times - 1, text.clone());
            } else {
                world.faults.remove(0);
            }
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
        let id = TaskId(world.runs.len() as u64 + 1);
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
        let lost = fault == Some(Fault::LoseAnswer);
        let of_task =
            matches!(&fault, Some(Fault::Fail(_) | Fault::Hang | Fault::Snapshot | Fault::LoseFile | Fault::Vanish));
        let fault = if lost || of_task { Some(world.faults.remove(0)) } else { None };
        world.runs.push(Run { task, request: request.clone(), steps: 0, fault: fault.filter(|_| of_task) });
        if lost { Err(CallError::Lost("reset by peer".into())) } else { Ok(id) }
    }

    /// Brings tasks one step further.
    async fn advance(&self) {
        let mut due = Vec::new();
        {
            let mut world = self.world.lock().unwrap();
            let running = world.runs.iter_mut().filter(|run| !run.task.lifecycle.has_ended()).take(2);
            for run in running {
                if run.task.lifecycle == Lifecycle::CancelRequested {
                    run.task.lifecycle = Lifecycle::Cancelled;
                    continue;
                }
                if run.fault == Some(Fault::Hang) && run.steps > 0 {
                    continue;
                }
                run.steps += 1;
                run.task.lifecycle = Lifecycle::InProgress;
                let done = run.steps * 100 / STEPS;
                run.task.percent = Some(done);
                run.task.info.push_str(&format!("[2026-11-20 03:00:0{}.000] {done} percent processed. ", run.steps));
                if run.steps == STEPS {
                    due.push(run.task.id);
                }
            }
        }
        for id in due {
            self.carry_out(id).await;
        }
    }

    async fn carry_out(&self, id: TaskId) {
        let (request, fault) = {
            let world = self.world.lock().unwrap();
            let run = world.runs.iter().find(|run| run.task.id == id).unwrap();
            (run.request.clone(), run.fault.clone())
        };
        if fault == Some(Fault::Snapshot) {
            self.snapshot();
        }
        let outcome = match &fault {
            Some(Fault::Fail(text)) => {
                self.half_do(&request);
                Err(text.clone())
            }
            Some(Fault::Vanish) => {
                self.half_do(&request);
                self.world.lock().unwrap().vanished = true;
                Err("Access Denied".to_owned())
            }
            fault => match &request {
                TaskRequest::Backup { database, object_arn, backup_type, files } => {
                    let lose = u32::from(*fault == Some(Fault::LoseFile));
                    self.back_up(database, object_arn, *backup_type, *files, lose).await
                }
                TaskRequest::Restore { database, object_arn, backup_type, more_follows } => {
                    self.restore(database, object_arn, *backup_type, *more_follows).await
                }
                TaskRequest::Finish { database } => self.finish(database),
            },
        };
        let mut world = self.world.lock().unwrap();
        let run = world.runs.iter_mut().find(|run| run.task.id == id).unwrap();
        match outcome {
            Ok(()) => run.task.lifecycle = Lifecycle::Success,
            Err(text) => {
                run.task.lifecycle = Lifecycle::Error;
                run.task.info.push_str(&format!("[2026-11-20 03:00:09.000] {text}"));
            }
        }
    }

    /// What a restore that fails leaves.
    fn half_do(&self, request: &TaskRequest) {
        if let TaskRequest::Restore { database, .. } = request {
            let half = Database { content: "half".into(), restoring: true, base: 0 };
            self.world.lock().unwrap().databases.entry(database.clone()).or_insert(half);
        }
    }

    async fn back_up(
        &self,
        name: &str,
        arn: &str,
        backup_type: BackupType,
        files: u32,
        lose: u32,
    ) -> Result<(), String> {
        let image = {
            let mut world = self.world.lock().unwrap();
            let content =
                world.databases.get(name).map(|database| database.content.clone()).ok_or("no such database")?;
            let base = world.newest_full(name);
            if backup_type == BackupType::Differential && base.is_none() {
                return Err("there is no full backup".into());
            }
            let base = base.filter(|_| backup_type == BackupType::Differential);
            let number = world.remember(name, backup_type, base, false);
            Image { content, number, base, length: self.length, files: files as usize }
        };
        let mut bytes = serde_json::to_vec(&image).unwrap();
        bytes.push(b'\n');
        // Noise that tells places apart, so that a file out of its order would be seen.
        let start = bytes.len();
        bytes.extend((start..self.length.max(start)).map(|at| (at % 251) as u8 ^ (at / 997) as u8));
        let key = arn.strip_prefix(BUCKET).unwrap();
        let part = bytes.len().div_ceil(files as usize);
        for (number, body) in (1..=files).zip(bytes.chunks(part)).filter(|(number, _)| *number + lose <= files) {
            let key = match files {
                1 => key.to_owned(),
                _ => key.replace('*', &format!("{number}-of-{files}")),
            };
            let put = self.store.put_new(&key, Bytes::copy_from_slice(body)).await;
            put.map_err(|_| "Please reissue task with correct type and overwrite property".to_owned())?;
        }
        Ok(())
    }

    async fn restore(&self, name: &str, arn: &str, backup_type: BackupType, more: bool) -> Result<(), String> {
        let pattern = arn.strip_prefix(BUCKET).unwrap();
        let prefix = pattern.trim_end_matches('*');
        let found = self.store.list(prefix, None).await.unwrap().objects;
        let mut bytes = Vec::new();
        for object in &found {
            bytes.extend_from_slice(&self.store.get(&object.key).await.unwrap());
        }
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
        let image: Image =
            serde_json::from_slice(line).map_err(|_| "The media family on device 'x' is incorrectly formed.")?;
        let start = line.len() + 1;
        let noise = bytes.iter().enumerate().skip(start).all(|(at, byte)| *byte == (at % 251) as u8 ^ (at / 997) as u8);
        if found.len() != image.files || bytes.len() != image.length.max(start) || !noise {
            return Err(format!("{} of {} files, {} bytes: damaged", found.len(), image.files, bytes.len()));
        }
        let mut world = self.world.lock().unwrap();
        match (backup_type, world.databases.get(name)) {
            (BackupType::Full, Some(_)) => {
                return Err(format!(
                    "Database '{name}' already exists. Two databases that differ only by case or accent are not allowed. Choose a different database name."
                ));
            }
            (BackupType::Differential, there)
                if !there.is_some_and(|it| it.restoring && Some(it.base) == image.base) =>
            {
                return Err("This differential backup cannot be restored because the database has not been restored to the correct earlier state.".into());
            }
            _ => {}
        }
        let database = Database { content: image.content, restoring: more, base: image.base.unwrap_or(image.number) };
        world.databases.insert(name.to_owned(), database);
        Ok(())
    }

    fn finish(&self, name: &str) -> Result<(), String> {
        let mut world = self.world.lock().unwrap();
        let database = world.databases.get_mut(name).filter(|it| it.restoring).ok_or("it is not restoring")?;
        database.restoring = false;
        Ok(())
    }
}

impl World {
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

#[async_trait]
impl Server for Instance {
    async fn facts(&self) -> Result<ServerFacts, CallError> {
        self.check()?;
        self.gate
            .pass(async {
                Ok(ServerFacts {
                    version: self.version.into(),
                    edition: self.edition.into(),
                    collation: String::new(),
                    utc_offset_minutes: 60,
                    now: "2026-11-20T04:00:00".parse().unwrap(),
                    login: "admin".into(),
                    compression: Some(false),
                })
            })
            .await
    }

    async fn databases(&self) -> Result<Vec<DatabaseFacts>, CallError> {
        self.check()?;
        let facts = |(name, database): (&String, &Database)| DatabaseFacts {
            name: name.clone(),
            id: 7,
            state: if database.restoring { State::Restoring } else { State::Online },
            recovery_model: "FULL".into(),
            encrypted: false,
            is_snapshot: false,
            collation: String::new(),
            bytes: self.length as u64,
            has_filestream: false,
            lacks_file_guid: false,
        };
        self.gate.pass(async { Ok(self.world.lock().unwrap().databases.iter().map(facts).collect()) }).await
    }

    async fn history(&self, database: &str) -> Result<Vec<BackupSet>, CallError> {
        self.check()?;
        let read = async {
            let world = self.world.lock().unwrap();
            Ok(world.history.iter().filter(|(name, _)| name == database).map(|(_, set)| set.clone()).collect())
        };
        self.gate.pass(read).await
    }

    async fn submit(&self, request: &TaskRequest) -> Result<TaskId, CallError> {
        self.check()?;
        self.gate.pass(async { self.begin(request) }).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        self.check()?;
        let look = async {
            self.advance().await;
            self.check()?;
            let world = self.world.lock().unwrap();
            Ok(world.runs.iter().find(|run| run.task.id == id).map(|run| run.task.clone()))
        };
        self.gate.pass(look).await
    }

    async fn tasks(&self) -> Result<Vec<Task>, CallError> {
        self.check()?;
        let look = async {
            self.advance().await;
            self.check()?;
            Ok(self.world.lock().unwrap().runs.iter().map(|run| run.task.clone()).collect())
        };
        self.gate.pass(look).await
    }

    async fn cancel(&self, id: TaskId) -> Result<(), CallError> {
        self.check()?;
        let cancel = async {
            let mut world = self.world.lock().unwrap();
            let run = world.runs.iter_mut().find(|run| run.task.id == id).unwrap();
            if !run.task.lifecycle.has_ended() {
                run.task.lifecycle = Lifecycle::CancelRequested;
                let request = run.request.clone();
                drop(world);
                self.half_do(&request);
            }
            Ok(())
        };
        self.gate.pass(cancel).await
    }

    async fn drop_database(&self, name: &str) -> Result<(), CallError> {
        self.check()?;
        let dropping = async {
            let mut world = self.world.lock().unwrap();
            world.calls.push(format!("drop {name}"));
            match world.databases.remove(name) {
                Some(_) => Ok(()),
                None => Err(CallError::Refused { number: 50_000, text: format!("Database {name} does not exist.") }),
            }
        };
        self.gate.pass(dropping).await
    }

    async fn rename_database(&self, from: &str, to: &str) -> Result<(), CallError> {
        self.check()?;
        let renaming = async {
            let mut world = self.world.lock().unwrap();
            if world.faults.first() == Some(&Fault::KeepNames) {
                return Err(CallError::Refused { number: 50_000, text: "not on a Multi-AZ instance".into() });
            }
            world.calls.push(format!("rename {from} {to}"));
            if world.databases.contains_key(to) {
                return Err(CallError::Refused { number: 1801, text: format!("Database '{to}' already exists.") });
            }
            let database = world.databases.remove(from);
            let database =
                database.ok_or(CallError::Refused { number: 15_010, text: format!("no database {from}") })?;
            world.databases.insert(to.to_owned(), database);
            Ok(())
        };
        self.gate.pass(renaming).await
    }
}
