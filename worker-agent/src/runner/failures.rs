//! Failures of the repository as an operator reads them.

use haulier_cloud::ErrorKind;
use haulier_domain::failure::Failure;
use haulier_repository::{Error, ObjectKind};

use crate::cause::chain;

/// What to do about delete markers.
const HIDDEN: &str = "somebody has deleted what the repository keeps locked: find out who, and remove the delete markers as docs/cli.md says";

/// What to do about a prune record that cannot be read.
pub(super) const PRUNE_RECORD: &str = "restores go on as before; once no session works in the repository, remove the prune record as docs/failures.md says, and run again";

/// What a repository error means to an operator.
pub(super) fn repository(what: &str, error: &Error) -> Failure {
    let cause = chain(error);
    match root_of(error) {
        Error::Damaged { kind: ObjectKind::Prune, .. } => Failure::new("repository-damaged", what, cause, PRUNE_RECORD),
        Error::Missing { .. } | Error::Damaged { .. } | Error::ChunkMissing { .. } => Failure::new(
            "repository-damaged",
            what,
            cause,
            "run a check of the restore point to see how far the damage goes, and restore from another point",
        ),
        Error::Hidden { .. } => Failure::new("repository-hidden", what, cause, HIDDEN),
        Error::Unsupported { .. } => {
            Failure::new("repository-too-new", what, cause, "use a worker image of a later version of Haulier")
        }
        Error::Store { source, .. } if source.kind == ErrorKind::Denied => Failure::new(
            "repository-denied",
            what,
            cause,
            "check the bucket's policy and the permissions of the worker role: see docs/permissions.md",
        ),
        Error::Store { source, .. } => {
            let failure = Failure::new("repository-unavailable", what, cause, "check that the bucket can be reached");
            if source.is_transient() { failure.retryable() } else { failure }
        }
        Error::PointUnreadable { .. } => Failure::new(
            "point-unreadable",
            what,
            cause,
            "Nothing was deleted. Check the point: a new backup of the same data stores anew what is missing; a point that is lost for good must be removed before the domain can be pruned.",
        ),
        Error::PruneOverlap { .. } => Failure::new(
            "prune-overlap",
            what,
            cause,
            "Nothing is lost. Wait until the other prune has ended, then prune again if there is need.",
        )
        .retryable(),
        Error::Local { .. } => Failure::new(
            "worker-disk-failed",
            what,
            cause,
            "give the worker a larger root volume, or another instance type",
        )
        .retryable(),
        _ => Failure::new(
            "repository-failed",
            what,
            cause,
            "run the session again; if it fails again, check the repository",
        ),
    }
}

/// The error that made the writer fail, or a base unreadable.
fn root_of(error: &Error) -> &Error {
    match error {
        Error::WriterFailed(cause) | Error::BaseUnreadable { cause, .. } => root_of(cause),
        error => error,
    }
}

/// Whether data is damaged or missing, so that repeating is in vain.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(
        root_of(error),
        Error::Missing { .. }
            | Error::Hidden { .. }
            | Error::Damaged { .. }
            | Error::ChunkMissing { .. }
            | Error::Unsupported { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use haulier_cloud::{CloudError, Outcome};

    use super::*;

    fn store(kind: ErrorKind) -> Error {
        let source = CloudError {
            operation: "PutObject",
            target: "key".into(),
            kind,
            outcome: Outcome::Determinate,
            code: None,
            message: "no".into(),
            source: None,
        };
        Error::Store { doing: "writing", object: "key".into(), source: Box::new(source) }
    }

    #[test]
    fn each_kind_has_its_code() {
        let damaged = Error::Damaged { kind: ObjectKind::Pack, object: "key".into(), what: "cut".into() };
        let cases = [
            (Error::Missing { kind: ObjectKind::Pack, object: "key".into() }, "repository-damaged", false),
            (
                Error::Hidden { kind: ObjectKind::Pack, object: "key".into(), since: jiff::Timestamp::UNIX_EPOCH },
                "repository-hidden",
                false,
            ),
            (Error::WriterFailed(Arc::new(damaged)), "repository-damaged", false),
            (store(ErrorKind::Denied), "repository-denied", false),
            (
                Error::PointUnreadable { point: "pnt-1".parse().unwrap(), cause: Box::new(store(ErrorKind::Denied)) },
                "point-unreadable",
                false,
            ),
            (store(ErrorKind::Throttled), "repository-unavailable", true),
            (Error::Invalid("nonsense".into()), "repository-failed", false),
        ];
        for (error, code, retryable) in cases {
            let failure = repository("testing", &error);
            assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{error}");
        }
        let record = Error::Damaged { kind: ObjectKind::Prune, object: "prune/1".into(), what: "cut".into() };
        let failure = repository("testing", &record);
        assert_eq!((failure.code.as_str(), failure.remedy.as_str()), ("repository-damaged", PRUNE_RECORD));
    }
}
