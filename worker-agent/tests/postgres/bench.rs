//! What every test needs: a context, jobs, a login, ears for progress and log.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::StreamReference;
use haulier_domain::secret::SecretString;
use haulier_worker_agent::postgres::{
    BackupJob, BackupOutcome, Context, DatabaseRestore, Instance, LogSink, Login, LoginProvider, OnClash, PartSink,
    ProgressEvent, ProgressSink, RestoreJob, RestoreOutcome, RestoredPart, Settings, Severity, Stopped, backup,
    restore,
};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::server::{HOST, PASSWORD, Server};
use crate::store::MemoryStore;

/// A login that may be wrong until it is read anew.
pub(crate) struct TestLogin {
    pub(crate) user: String,
    pub(crate) stale: bool,
    pub(crate) password: String,
    pub(crate) refusals: AtomicUsize,
}

#[async_trait]
impl LoginProvider for TestLogin {
    async fn login(&self, refused: bool) -> Result<Login, Failure> {
        let refusals = self.refusals.fetch_add(usize::from(refused), Ordering::SeqCst) + usize::from(refused);
        let password = if self.stale && refusals == 0 { "rotated away" } else { self.password.as_str() };
        Ok(Login { user: self.user.clone(), password: SecretString::new(password), valid_for: None })
    }
}

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Ears {
    pub(crate) events: Mutex<Vec<ProgressEvent>>,
    pub(crate) lines: Mutex<Vec<String>>,
}

impl ProgressSink for Ears {
    fn report(&self, event: ProgressEvent) {
        self.events.lock().unwrap().push(event);
    }
}

impl LogSink for Ears {
    fn log(&self, _severity: Severity, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }
}

/// Who remembers parts, as the coordinator does: or has them told again and again, and remembers nothing.
#[derive(Default)]
pub(crate) struct Parts {
    /// What the next attempt is told.
    pub(crate) told: Mutex<Vec<RestoredPart>>,
    /// What is heard and not yet told to anybody.
    pub(crate) heard: Mutex<Vec<RestoredPart>>,
    /// The restore stands before the end, and waits there for ever where this is set.
    pub(crate) deaf: AtomicBool,
    pub(crate) waited: Notify,
}

#[async_trait]
impl PartSink for Parts {
    fn completed(&self, part: RestoredPart) {
        self.heard.lock().unwrap().push(part);
    }

    async fn remembered(&self) {
        self.waited.notify_one();
        if self.deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// A server and what it takes to work on it.
pub(crate) struct Bench {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) ears: Arc<Ears>,
    pub(crate) login: Arc<TestLogin>,
    pub(crate) cancel: CancellationToken,
    pub(crate) client_roots: Vec<PathBuf>,
    pub(crate) large: u64,
    pub(crate) split: u64,
    pub(crate) roles: bool,
    pub(crate) parts: Arc<Parts>,
    pub(crate) repeated: bool,
    /// Where restores find the server, if not at its own port.
    pub(crate) port: Option<u16>,
    private: TempDir,
}

impl Bench {
    pub(crate) fn new(store: &Arc<MemoryStore>) -> Self {
        Self::with_login(
            store,
            TestLogin { user: "master".into(), stale: false, password: PASSWORD.into(), refusals: AtomicUsize::new(0) },
        )
    }

    pub(crate) fn with_login(store: &Arc<MemoryStore>, login: TestLogin) -> Self {
        Self {
            store: Arc::clone(store),
            ears: Arc::default(),
            login: Arc::new(login),
            cancel: CancellationToken::new(),
            client_roots: vec!["/usr/lib/postgresql".into()],
            large: 64 << 10,
            split: 256 << 10,
            roles: true,
            parts: Arc::default(),
            repeated: false,
            port: None,
            private: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn context(&self, server: &Server) -> Context {
        Context {
            login: self.login.clone(),
            streams: self.store.clone(),
            progress: self.ears.clone(),
            log: self.ears.clone(),
            parts: self.parts.clone(),
            cancel: self.cancel.clone(),
            settings: Settings {
                ca_file: server.ca_file(),
                client_roots: self.client_roots.clone(),
                private_dir: self.private.path().to_owned(),
            },
        }
    }

    pub(crate) async fn back_up(&self, server: &Server, databases: &[&str]) -> Result<BackupOutcome, Stopped> {
        let job = BackupJob {
            instance: instance(server),
            databases: databases.iter().map(|&name| name.to_owned()).collect(),
            large_table_bytes: self.large,
            split_table_bytes: self.split,
            parallel_streams: 3,
        };
        let outcome = backup::run(job, &self.context(server)).await;
        self.assert_tidy();
        outcome
    }

    pub(crate) async fn restore(
        &self,
        server: &Server,
        manifest: &StreamReference,
        databases: Vec<DatabaseRestore>,
    ) -> Result<RestoreOutcome, Stopped> {
        let job = RestoreJob {
            key: "ses-test".into(),
            target: behind(self.port.unwrap_or(server.port)),
            manifest: manifest.clone(),
            databases,
            roles: self.roles,
            parallel_streams: 3,
            restored: self.parts.told.lock().unwrap().clone(),
            repeated: self.repeated,
        };
        let outcome = restore::run(job, &self.context(server)).await;
        self.assert_tidy();
        outcome
    }

    /// No password file or list stays behind.
    fn assert_tidy(&self) {
        let left: Vec<_> = std::fs::read_dir(self.private.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

pub(crate) fn instance(server: &Server) -> Instance {
    behind(server.port)
}

/// The same, behind another port.
fn behind(port: u16) -> Instance {
    Instance { id: "orders-prod".into(), host: HOST.into(), address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port }
}

/// One database under a name.
pub(crate) fn as_name(database: &str, target_name: &str) -> DatabaseRestore {
    DatabaseRestore {
        database: database.into(),
        target_name: target_name.into(),
        on_clash: OnClash::Refuse,
        schemas: Vec::new(),
        tables: Vec::new(),
    }
}

/// The failure that stopped it.
pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Stopped>) -> Failure {
    match result {
        Err(Stopped::Failed(failure)) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}
