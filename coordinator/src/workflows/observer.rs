//! A seam for tests: somebody who is told of each step and may stop the world there.

use async_trait::async_trait;
use haulier_domain::id::SessionId;

/// Where within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Its body has not begun.
    Before,
    /// Its body has run; the result is not committed.
    Done,
    /// The result is committed.
    Committed,
}

/// Somebody who is told of each step.
#[async_trait]
pub trait StepObserver: Send + Sync + std::fmt::Debug {
    /// A session has come to this moment of a step.
    async fn at(&self, session: &SessionId, step: &str, moment: Moment);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

#[async_trait]
impl StepObserver for Unobserved {
    async fn at(&self, _session: &SessionId, _step: &str, _moment: Moment) {}
}
