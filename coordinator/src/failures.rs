//! Failures of the cloud and of the state as operators read them.

use haulier_cloud::{CloudError, ErrorKind};
use haulier_domain::failure::Failure;

/// A failed call to the cloud that nobody expected.
pub fn cloud(what: &str, error: &CloudError) -> Failure {
    let cause = error.to_string();
    match error.kind {
        ErrorKind::Denied => Failure::new(
            "cloud-denied",
            what,
            cause,
            format!("allow {} for the role that the coordinator assumes in this account", error.operation),
        ),
        ErrorKind::NotFound => {
            Failure::new("cloud-not-found", what, cause, "check the name, the account and the Region").retryable()
        }
        ErrorKind::Exhausted => Failure::new(
            "cloud-exhausted",
            what,
            cause,
            "raise the quota or free capacity, or choose another instance type, then run it again",
        )
        .retryable(),
        ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Conflict => {
            Failure::new("cloud-unavailable", what, cause, "run it again when AWS answers").retryable()
        }
        ErrorKind::AlreadyExists | ErrorKind::IdempotencyMismatch => Failure::new(
            "cloud-name-taken",
            what,
            cause,
            "something of this name exists that this session did not make: remove it, or run the session again",
        )
        .retryable(),
        ErrorKind::Invalid => Failure::new("cloud-refused", what, cause, "check the policy against the cause"),
    }
}

/// A failed repository operation.
pub fn repository(what: &str, error: &haulier_repository::Error) -> Failure {
    use haulier_repository::Error;
    let cause = chain(error);
    match error {
        Error::Store { source, .. } | Error::Wrapping { source, .. } => {
            let mut failure = cloud(what, source);
            failure.cause = cause;
            failure
        }
        Error::Missing { .. } | Error::Damaged { .. } | Error::ChunkMissing { .. } => Failure::new(
            "repository-damaged",
            what,
            cause,
            "check the restore points of this domain, and take a new backup of its instance",
        ),
        Error::NotReachable { .. } => Failure::new(
            "point-incomplete",
            what,
            cause,
            "nothing was published; run the backup again, and find out who removes objects from the bucket",
        )
        .retryable(),
        Error::NoRepository { .. } => {
            Failure::new("repository-missing", what, cause, "check bucket and prefix, or create the repository")
        }
        Error::RepositoryExists { .. } => {
            Failure::new("repository-exists", what, cause, "choose another prefix, or use the repository that is there")
        }
        Error::NoKeyOpens { .. } => Failure::new(
            "repository-locked",
            what,
            cause,
            "name the KMS key or the passphrase that the repository was made with",
        ),
        Error::PointTaken { .. } => {
            Failure::new("point-taken", what, cause, "run the backup again: it makes a point of its own")
        }
        Error::Unsupported { .. } => Failure::new("repository-too-new", what, cause, "use a later version of Haulier"),
        _ => Failure::new("repository-failed", what, cause, "see the cause; running it again may help").retryable(),
    }
}

/// Something that was named is not there, or the coordinator's own state cannot be read or written.
pub fn state(what: &str, error: &crate::state::StateError) -> Failure {
    if let crate::state::StateError::Missing { what: kind, .. } = error {
        let (code, remedy) = match *kind {
            "session" => ("session-unknown", "see `haulier session list`"),
            "restore point" => ("point-unknown", "see `haulier point list`"),
            "policy" => ("policy-unknown", "see `haulier policy list`"),
            "repository" => ("repository-unknown", "see `haulier repository list`"),
            _ => ("unknown", "check the name"),
        };
        return Failure::new(code, what, error.to_string(), remedy);
    }
    Failure::new(
        "coordinator-state",
        what,
        chain(error),
        "check disk space and permissions of the coordinator's state directory",
    )
    .retryable()
}

/// An error with everything below it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        below = cause.source();
    }
    text
}
