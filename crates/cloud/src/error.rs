//! What can go wrong with a call to the cloud, in the two dimensions that decide what to do next: what kind of refusal
//! it was, and whether the call may have taken effect all the same.

use std::error::Error as StdError;

/// The result of a call through a port.
pub type Result<T, E = CloudError> = std::result::Result<T, E>;

/// Whether the world changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered: the call had no effect.
    Determinate,
    /// No answer, or one that says nothing: the call may have taken effect. Repeat it with the same token or name until
    /// the answer is definite.
    Indeterminate,
}

/// What kind of refusal it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named thing does not exist (`InvalidInstanceID.NotFound`, `DBSnapshotNotFound`, `NoSuchKey`).
    NotFound,
    /// A thing of that name exists already, or a conditional write lost (`DBSnapshotAlreadyExists`,
    /// `InvalidGroup.Duplicate`, `InvalidPermission.Duplicate`, 412).
    AlreadyExists,
    /// The thing is in a state that forbids the call for now (`InvalidDBInstanceState`, `DependencyViolation`, 409).
    Conflict,
    /// The same idempotency token with other parameters (`IdempotentParameterMismatch`).
    IdempotencyMismatch,
    /// Credentials or policy forbid it; final until somebody changes them.
    Denied,
    /// A quota or the capacity of a zone is exhausted (`InsufficientInstanceCapacity`, `SnapshotQuotaExceeded`).
    Exhausted,
    /// Too many calls; try again later.
    Throttled,
    /// The request itself is wrong.
    Invalid,
    /// The service failed, timed out or could not be reached.
    Unavailable,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of {target} failed: {message}{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct CloudError {
    /// The API operation, as AWS spells it: `CreateDBSnapshot`.
    pub operation: &'static str,
    /// What it was done to: an identifier, a key, an ARN. Never a secret.
    pub target: String,
    /// What kind of refusal it was.
    pub kind: ErrorKind,
    /// Whether it may have taken effect.
    pub outcome: Outcome,
    /// The service's own error code where it gave one: `InvalidDBInstanceState`.
    pub code: Option<String>,
    /// The service's own words, or what happened instead of an answer.
    pub message: String,
    /// The cause below, where there is one.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl CloudError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Conflict)
    }

    /// Whether the call may have taken effect.
    pub fn is_indeterminate(&self) -> bool {
        self.outcome == Outcome::Indeterminate
    }

    /// Whether the named thing does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether a thing of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.kind == ErrorKind::AlreadyExists
    }
}
