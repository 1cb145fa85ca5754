//! A worker's surroundings, which outlive it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haulier_cloud::doubles::{Faults, MemoryObjectStore};
use haulier_domain::clash::OnClash;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::keys::{BackupType, TemporaryPlace};
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_domain::sqlserver::task::{Submitted, Task};
use haulier_worker_agent::mover::sinks::{LogSink, ProgressEvent, ProgressSink, Severity, Stopped};
use haulier_worker_agent::sqlserver::{
    self, BackupJob, BackupOutcome, Context, DatabaseRestore, FullPoint, Pace, PartSink, RestoreJob, RestoreOutcome,
    RestoredDatabase, TaskSink,
};
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::gate::Gate;
use crate::instance::Instance;
use crate::streams::Streams;

/// What the coordinator remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) submitted: Mutex<Vec<Submitted>>,
    pub(crate) ended: Mutex<Vec<Task>>,
    pub(crate) restored: Mutex<Vec<RestoredDatabase>>,
    pub(crate) log_target: Mutex<Option<String>>,
    /// How often it was told that nothing is left to put back.
    pub(crate) put_back: AtomicU32,
    /// Whether it is away, and takes in nothing that somebody waits for.
    pub(crate) away: AtomicBool,
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) shown: Mutex<Vec<ProgressEvent>>,
}

#[async_trait]
impl TaskSink for Memory {
    fn submitted(&self, task: &Submitted) {
        self.submitted.lock().unwrap().push(task.clone());
    }

    fn ended(&self, task: &Task) {
        self.ended.lock().unwrap().push(task.clone());
    }

    fn log_target_put_back(&self) {
        self.put_back.fetch_add(1, Ordering::SeqCst);
    }

    async fn log_target_replaced(&self, before: &str) {
        if self.away.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        *self.log_target.lock().unwrap() = Some(before.to_owned());
    }
}

#[async_trait]
impl PartSink for Memory {
    fn completed(&self, database: &RestoredDatabase) {
        self.restored.lock().unwrap().push(database.clone());
    }

    async fn remembered(&self) {}
}

impl LogSink for Memory {
    fn log(&self, _: Severity, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }
}

impl ProgressSink for Memory {
    fn report(&self, event: ProgressEvent) {
        self.shown.lock().unwrap().push(event);
    }
}

/// One session.
pub(crate) struct Scene {
    pub(crate) store: Arc<MemoryObjectStore>,
    pub(crate) faults: Faults,
    pub(crate) instance: Instance,
    pub(crate) streams: Streams,
    pub(crate) memory: Arc<Memory>,
    pub(crate) cancel: CancellationToken,
    pub(crate) session: &'static str,
}

impl Scene {
    pub(crate) fn new(databases: &[(&str, &str)]) -> Self {
        let store = Arc::new(MemoryObjectStore::new());
        Self {
            instance: Instance::new(store.clone(), databases),
            store,
            faults: Faults::new(),
            streams: Streams::default(),
            memory: Arc::default(),
            cancel: CancellationToken::new(),
            session: "ses-1",
        }
    }

    /// The next session, on the same instance: its temporary bucket is empty.
    pub(crate) fn next(&self, session: &'static str) -> Self {
        let store = Arc::new(MemoryObjectStore::new());
        let instance = self.instance.moved_to(store.clone());
        Self {
            store,
            faults: Faults::new(),
            instance,
            streams: self.streams.clone(),
            memory: Arc::default(),
            cancel: CancellationToken::new(),
            session,
        }
    }

    pub(crate) fn place(&self) -> TemporaryPlace {
        TemporaryPlace::new("eu-central-1", "temp", self.session)
    }

    /// What a worker works with that dies at this gate.
    pub(crate) fn context(&self, gate: &Gate) -> Context {
        Context {
            server: Arc::new(self.instance.behind(gate.clone())),
            streams: Arc::new(self.streams.clone()),
            bucket: Arc::new(Bucket::new(self.store.clone(), self.faults.clone(), gate.clone())),
            progress: self.memory.clone(),
            log: self.memory.clone(),
            tasks: self.memory.clone(),
            parts: self.memory.clone(),
            cancel: self.cancel.clone(),
            pace: Pace { tidying: Duration::from_secs(600), ..Pace::default() },
        }
    }

    pub(crate) fn backup_job(&self) -> BackupJob {
        BackupJob {
            instance: "orders".into(),
            databases: Vec::new(),
            place: self.place(),
            backup_type: BackupType::Full,
            files: None,
            kms_key_arn: None,
            log_kms_key_arn: None,
            full: None,
            before: None,
            submitted: self.memory.submitted.lock().unwrap().clone(),
            log_target: self.memory.log_target.lock().unwrap().clone(),
        }
    }

    pub(crate) async fn back_up(&self, job: BackupJob) -> Result<BackupOutcome, Stopped> {
        sqlserver::backup::run(job, &self.context(&Gate::default())).await
    }

    pub(crate) fn restore_job(&self, points: &[&FullPoint], databases: Vec<DatabaseRestore>) -> RestoreJob {
        let restored = self.memory.restored.lock().unwrap().clone();
        RestoreJob {
            key: self.session.into(),
            instance: "orders".into(),
            place: self.place(),
            points: points.iter().map(|point| (*point).clone()).collect(),
            databases,
            options: RestoreOptions::default(),
            restored,
            repeated: false,
        }
    }

    pub(crate) async fn restore(&self, job: RestoreJob) -> Result<RestoreOutcome, Stopped> {
        sqlserver::restore::run(job, &self.context(&Gate::default())).await
    }

    pub(crate) fn said(&self, text: &str) -> bool {
        self.memory.lines.lock().unwrap().iter().any(|line| line.contains(text))
    }

    /// A point of the instance's log backups since a full one, made by a session of its own.
    pub(crate) async fn log_point(&self, session: &'static str, id: &str, full: &FullPoint) -> FullPoint {
        let scene = self.next(session);
        let outcome = scene.back_up(scene.log_job(full)).await.unwrap();
        FullPoint { point: id.parse().unwrap(), manifest: outcome.manifest_stream }
    }

    pub(crate) fn log_job(&self, full: &FullPoint) -> BackupJob {
        BackupJob { backup_type: BackupType::Log, full: Some(full.clone()), ..self.backup_job() }
    }

    /// A full point of the instance as it is, made by a session of its own.
    pub(crate) async fn point(&self, session: &'static str, id: &str, full: Option<&FullPoint>) -> FullPoint {
        let scene = self.next(session);
        let backup_type = if full.is_some() { BackupType::Differential } else { BackupType::Full };
        let job = BackupJob { full: full.cloned(), backup_type, ..scene.backup_job() };
        let outcome = scene.back_up(job).await.unwrap();
        FullPoint { point: id.parse().unwrap(), manifest: outcome.manifest_stream }
    }
}

/// One database to restore.
pub(crate) fn wanted(database: &str, target_name: &str, on_clash: OnClash) -> DatabaseRestore {
    DatabaseRestore { database: database.into(), target_name: target_name.into(), on_clash }
}

/// The failure that a session ends with.
pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Stopped>) -> Failure {
    match result {
        Err(Stopped::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}
