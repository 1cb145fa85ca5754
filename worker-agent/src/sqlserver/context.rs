//! What the mover is given to work with.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::sqlserver::task::{Submitted, Task};
use tokio_util::sync::CancellationToken;

use super::job::RestoredDatabase;
use super::port::Server;
use crate::mover::sinks::{LogSink, Moving, ProgressEvent, ProgressSink, Severity, moving};
use crate::mover::streams::StreamStore;

/// What the mover is given to work with. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The instance.
    pub server: Arc<dyn Server>,
    /// Where streams are kept.
    pub streams: Arc<dyn StreamStore>,
    /// The temporary bucket.
    pub bucket: Arc<dyn ObjectStore>,
    /// Hears of progress.
    pub progress: Arc<dyn ProgressSink>,
    /// Hears what an operator should read.
    pub log: Arc<dyn LogSink>,
    /// Hears of tasks.
    pub tasks: Arc<dyn TaskSink>,
    /// Hears which databases of a restore are complete.
    pub parts: Arc<dyn PartSink>,
    /// Stops the work.
    pub cancel: CancellationToken,
    /// How long it waits for what.
    pub pace: Pace,
}

impl Context {
    /// The same context, obeying another token.
    pub(super) fn obeying(&self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// Tells that something is being moved, until what is returned is dropped.
    pub(super) fn moving(&self, what: String) -> Moving {
        moving(&self.progress, what)
    }

    pub(super) fn phase(&self, phase: &'static str) {
        self.progress.report(ProgressEvent::Phase(phase));
    }

    pub(super) fn info(&self, text: &str) {
        self.log.log(Severity::Info, text);
    }

    pub(super) fn warn(&self, text: &str) {
        self.log.log(Severity::Warning, text);
    }
}

/// How long the mover waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks at a task that has run for a while; the first ones come sooner, beginning with `retry`. RDS refreshes
    /// what it says every two minutes or so.
    pub poll: Duration,
    /// Before a submission that was refused for now is tried again.
    pub busy: Duration,
    /// Before something is tried again that failed on its way; each pause is twice as long as the one before, up to 30
    /// times the first.
    pub retry: Duration,
    /// For how long it is tried again.
    pub patience: Duration,
    /// How long a task may stand still before it is given up, besides what its size gives it.
    pub stall: Duration,
    /// How long tidying up may take.
    pub tidying: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(30),
            busy: Duration::from_secs(60),
            retry: Duration::from_secs(1),
            patience: Duration::from_secs(15 * 60),
            stall: Duration::from_secs(60 * 60),
            tidying: Duration::from_secs(100),
        }
    }
}

/// Hears of tasks of RDS and of what they need, and remembers them beyond the life of this worker.
#[async_trait]
pub trait TaskSink: Send + Sync {
    /// A task was submitted. Must not block.
    fn submitted(&self, task: &Submitted);

    /// A task has ended. Must not block.
    fn ended(&self, task: &Task);

    /// The instance is about to copy log backups elsewhere than to this ARN. Returns once the next worker, should there be one,
    /// would be told.
    async fn log_target_replaced(&self, before: &str);

    /// What was replaced is there again: nobody has to put anything back. Must not block.
    fn log_target_put_back(&self);
}

/// Hears which databases of a restore are complete, and remembers them beyond the life of this worker.
#[async_trait]
pub trait PartSink: Send + Sync {
    /// Takes one in. Must not block.
    fn completed(&self, database: &RestoredDatabase);

    /// Returns once the next worker, should there be one, would be told of all of them.
    async fn remembered(&self);
}
