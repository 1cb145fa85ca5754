//! Failures of the mover, each with its stable code. `docs/failures.md` lists them.

use haulier_cloud::{CloudError, ErrorKind};
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::diagnosis;

use tokio::task::JoinError;

use super::port::CallError;
use crate::cause::chain;

/// A call to the instance came to nothing.
pub(super) fn call(what: &str, error: &CallError) -> Failure {
    match error {
        CallError::Refused { number, text } => refused(what, *number, text),
        CallError::Lost(_) => Failure::new(
            "db-connection-lost",
            what,
            error.to_string(),
            "check the instance's events, its security groups and the network, then run again",
        )
        .retryable(),
        CallError::Strange(_) => Failure::new(
            "sqlserver-answer-unknown",
            what,
            error.to_string(),
            "report it with the session's log and the version of SQL Server",
        ),
        CallError::Unmade(failure) => failure.clone(),
    }
}

/// The instance refuses a call.
pub(super) fn refused(what: &str, number: u32, text: &str) -> Failure {
    let failure = diagnosis::failure("db-query-failed", what, text);
    if diagnosis::passes(number) { failure.retryable() } else { failure }
}

/// The temporary bucket would not take or give an object.
pub(super) fn bucket(what: &str, error: &CloudError) -> Failure {
    let cause = chain(error);
    match error.kind {
        ErrorKind::Denied => Failure::new(
            "temporary-bucket-denied",
            what,
            cause,
            "check the bucket's policy and the permissions of the worker role: see docs/permissions.md",
        ),
        ErrorKind::NotFound => Failure::new(
            "temporary-object-missing",
            what,
            cause,
            "find out who removes objects from the temporary bucket, then run again",
        )
        .retryable(),
        _ => {
            let remedy = "check that the temporary bucket can be reached, then run again";
            let failure = Failure::new("temporary-bucket-unavailable", what, cause, remedy);
            if error.is_transient() { failure.retryable() } else { failure }
        }
    }
}

/// A part of the mover ended without an answer.
pub(super) fn task(error: JoinError) -> Failure {
    Failure::new("mover-defect", "moving a file", error.to_string(), "report this with the session's log")
}
