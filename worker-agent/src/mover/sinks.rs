//! Whom a mover tells how it goes, and how it stops.

use std::sync::Arc;

use haulier_domain::failure::Failure;

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

/// Tells that something is being moved, until what is returned is dropped.
pub fn moving(progress: &Arc<dyn ProgressSink>, what: String) -> Moving {
    progress.report(ProgressEvent::Begun(what.clone()));
    Moving { progress: Arc::clone(progress), what }
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
