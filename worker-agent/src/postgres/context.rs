//! What a mover is given to work with.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::job::RestoredPart;
use super::login::LoginProvider;
use super::streams::StreamStore;
use crate::mover::sinks;

pub use crate::mover::sinks::{LogSink, Moving, ProgressEvent, ProgressSink, Severity, Stopped};

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

impl Context {
    /// Tells that something is being moved, until what is returned is dropped.
    pub fn moving(&self, what: String) -> Moving {
        sinks::moving(&self.progress, what)
    }
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
