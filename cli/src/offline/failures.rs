//! Failures of a repository as an operator reads them who has nothing but a bucket.

use haulier_cloud::ErrorKind;
use haulier_repository::Error;

use crate::exit::{CliError, Exit, chain};

/// What a repository error means to an operator.
pub(crate) fn of_repository(what: &str, error: &Error) -> CliError {
    let (exit, code, remedy) = match root_of(error) {
        Error::NoRepository { .. } => {
            (Exit::NotFound, "repository-missing", "check --bucket and --prefix; `format` is the first object of one")
        }
        Error::NoKeyOpens { .. } => (
            Exit::Refused,
            "repository-locked",
            "name the file of a passphrase in --passphrase-file; without it, AWS credentials are needed that may \
             decrypt with a KMS key of the repository",
        ),
        Error::Missing { .. } | Error::Damaged { .. } | Error::ChunkMissing { .. } => {
            (Exit::Failure, "repository-damaged", "take another restore point of the same instance")
        }
        Error::Hidden { .. } => (
            Exit::Failure,
            "repository-hidden",
            "somebody has deleted what the repository keeps locked: remove the delete markers, as docs/cli.md says",
        ),
        Error::Unsupported { .. } => (Exit::Failure, "repository-too-new", "use a later version of Haulier"),
        Error::Store { source, .. } | Error::Wrapping { source, .. } if source.kind == ErrorKind::Denied => (
            Exit::Failure,
            "repository-denied",
            "use AWS credentials that may read and list the bucket, and decrypt with the repository's KMS key",
        ),
        Error::Store { .. } | Error::Wrapping { .. } => (
            Exit::Failure,
            "repository-unavailable",
            "check AWS credentials, --region and the way to AWS, then run it again",
        ),
        Error::Local { .. } => {
            (Exit::Failure, "export-disk-failed", "check the space left for temporary files; TMPDIR names their folder")
        }
        _ => (Exit::Failure, "repository-failed", "read the cause, and run it again"),
    };
    let mut failed = CliError::new(exit, code, what, chain(error), remedy);
    failed.failure.retryable = error.cloud().is_some_and(haulier_cloud::CloudError::is_transient);
    failed
}

/// The error behind one that only passes it on.
fn root_of(error: &Error) -> &Error {
    match error {
        Error::WriterFailed(cause) | Error::BaseUnreadable { cause, .. } => root_of(cause),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use haulier_cloud::{CloudError, Outcome};
    use haulier_repository::{ChunkId, ObjectKind};

    use super::*;

    fn cloud(kind: ErrorKind) -> Box<CloudError> {
        Box::new(CloudError {
            operation: "GetObject",
            target: "s3://b/key".into(),
            kind,
            outcome: Outcome::Determinate,
            code: None,
            message: "no".into(),
            source: None,
        })
    }

    #[test]
    fn each_kind_has_its_code_and_exit() {
        let missing = || Error::Missing { kind: ObjectKind::Pack, object: "key".into() };
        let store = |kind| Error::Store { doing: "reading", object: "key".into(), source: cloud(kind) };
        let id = ChunkId([0; 32]);
        for (error, exit, code, retryable) in [
            (Error::NoRepository { prefix: String::new() }, Exit::NotFound, "repository-missing", false),
            (Error::NoKeyOpens { tried: 1 }, Exit::Refused, "repository-locked", false),
            (missing(), Exit::Failure, "repository-damaged", false),
            (
                Error::BaseUnreadable { chunk: id, base: id, cause: Arc::new(missing()) },
                Exit::Failure,
                "repository-damaged",
                false,
            ),
            (store(ErrorKind::Denied), Exit::Failure, "repository-denied", false),
            (
                Error::Wrapping { wrapper: "arn".into(), source: cloud(ErrorKind::Denied) },
                Exit::Failure,
                "repository-denied",
                false,
            ),
            (store(ErrorKind::Unavailable), Exit::Failure, "repository-unavailable", true),
            (Error::Invalid("nonsense".into()), Exit::Failure, "repository-failed", false),
        ] {
            let failed = of_repository("testing", &error);
            assert_eq!((failed.exit, failed.failure.code.as_str()), (exit, code), "{error}");
            assert_eq!(failed.failure.retryable, retryable, "{error}");
        }
    }
}
