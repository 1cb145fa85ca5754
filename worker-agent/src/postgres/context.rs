//! What a mover is given to work with.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use tokio_util::sync::CancellationToken;

use super::job::RestoredPart;
use super::login::LoginProvider;
use super::streams::StreamStore;

/// What a mover is given to work with. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Logs in to the instance.
    pub login: Arc<dyn LoginProvider>,
    /// Where streams are kept.
    pub streams: Arc<dyn StreamStore>,
    /// Hears of progress. Called often: whoever listens batches.
    pub progress: Arc<dyn ProgressSink>,
    /// Hears what an operator should read.
    pub log: Arc<dyn LogSink>,
    /// Hears which parts of a restore are complete.
    pub parts: Arc<dyn PartSink>,
    /// Stops the work, within two seconds.
    pub cancel: CancellationToken,
    /// Paths on this machine.
    pub settings: Settings,
}

/// Paths on this machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// PEM bundle of the authorities that sign RDS server certificates.
    pub ca_file: PathBuf,
    /// Folders with one `<major>/bin` of PostgreSQL clients each.
    pub client_roots: Vec<PathBuf>,
    /// A private folder, on tmpfs where there is one, for password files and lists of a restore's entries.
    pub private_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: PathBuf::from("/usr/share/haulier/rds-ca.pem"),
            client_roots: vec![PathBuf::from("/usr/lib/postgresql")],
            private_dir: PathBuf::from("/run/haulier"),
        }
    }
}

/// One step of progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressEvent {
    /// A phase begins: `preflight`, `roles`, `schema`, `data`, `indexes`, `analyze`, `finish`; of a restore test also
    /// `scratch` and `compare`. Counters start anew.
    Phase(&'static str),
    /// What the phase is about: a database. Shown where nothing more precise is being moved.
    Current(String),
    /// Something begins to be moved: a table, an archive. Several may be on the move at once.
    Begun(String),
    /// What was begun under this name is moved, or given up.
    Ended(String),
    /// So many bytes are expected in this phase, all in all: an estimate, told once everything is taken into account.
    Expected(u64),
    /// So many more bytes were moved.
    Moved(u64),
}

/// Hears of progress.
pub trait ProgressSink: Send + Sync {
    /// Takes one step in; must not block.
    fn report(&self, event: ProgressEvent);
}

impl Context {
    /// Tells that something is being moved, until what is returned is dropped.
    pub fn moving(&self, what: String) -> Moving {
        self.progress.report(ProgressEvent::Begun(what.clone()));
        Moving { progress: Arc::clone(&self.progress), what }
    }
}

/// Something on the move; what is shown to operators is only ever what has one of these.
#[must_use = "what is dropped at once is never shown"]
pub struct Moving {
    progress: Arc<dyn ProgressSink>,
    what: String,
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.progress.report(ProgressEvent::Ended(std::mem::take(&mut self.what)));
    }
}

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Routine.
    Info,
    /// The session goes on, but somebody should read it.
    Warning,
    /// Something failed.
    Error,
}

/// Hears what an operator should read.
pub trait LogSink: Send + Sync {
    /// Takes one line in; must not block. Never holds a secret.
    fn log(&self, severity: Severity, text: &str);
}

/// Hears which parts of a restore are complete, and remembers them beyond the life of this worker.
#[async_trait]
pub trait PartSink: Send + Sync {
    /// Takes one part in; must not block.
    fn completed(&self, part: RestoredPart);

    /// Returns once the next worker, should there be one, would be told of all of them.
    async fn remembered(&self);
}

/// Nobody to remember anything: for work that no other worker takes up.
#[derive(Debug, Clone, Copy)]
pub struct Unremembered;

#[async_trait]
impl PartSink for Unremembered {
    fn completed(&self, _part: RestoredPart) {}

    async fn remembered(&self) {}
}

/// Why a mover stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The cancellation token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// It could not be done.
    #[error(transparent)]
    Failed(#[from] Failure),
}
