//! Failures of the cloud and of the state as operators read them.

use haulier_cloud::{CloudError, ErrorKind};
use haulier_domain::failure::Failure;

use crate::sessions::Account;

/// Stands in a remedy for the role that made the call, until [`in_account`] or [`as_itself`] names it.
const ACCOUNT_ROLE: &str = "the role that the coordinator assumes in this account";

/// Codes by which AWS says that credentials are over, not that they lack a permission.
const EXPIRED: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"];

/// Names the role of the account in the remedy of a call that was made there.
#[must_use]
pub fn in_account(mut failure: Failure, account: &Account) -> Failure {
    let role = match &account.role_arn {
        Some(arn) => format!("role {arn}"),
        None => format!("the coordinator's own role in account {}", account.id),
    };
    failure.remedy = failure.remedy.replace(ACCOUNT_ROLE, &role);
    failure
}

/// The same for a call that the coordinator made with its own credentials.
#[must_use]
pub fn as_itself(mut failure: Failure) -> Failure {
    failure.remedy = failure.remedy.replace(ACCOUNT_ROLE, "the coordinator's own role");
    failure
}

/// A call that was made without the right to it.
fn denied(what: &str, error: &CloudError) -> Failure {
    let cause = error.to_string();
    if error.code.as_deref().is_some_and(|code| EXPIRED.contains(&code)) {
        let remedy = format!(
            "renew the coordinator's own credentials, check its clock, and check that it may still assume {ACCOUNT_ROLE}"
        );
        return Failure::new("cloud-credentials-expired", what, cause, remedy).retryable();
    }
    if error.operation == "AssumeRole" {
        let named = error.target.starts_with("arn:").then(|| format!("role {}", error.target));
        let role = named.as_deref().unwrap_or(ACCOUNT_ROLE);
        let remedy = format!(
            "let the coordinator assume {role}: in that role's trust policy, with the external id where it asks for one, \
             and by sts:AssumeRole among the coordinator's own permissions"
        );
        return Failure::new("cloud-role-refused", what, cause, remedy);
    }
    Failure::new("cloud-denied", what, cause, format!("allow {} for {ACCOUNT_ROLE}", error.operation))
}

/// A failed call to the cloud that nobody expected.
pub fn cloud(what: &str, error: &CloudError) -> Failure {
    let cause = error.to_string();
    match error.kind {
        ErrorKind::Denied => denied(what, error),
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
    use haulier_repository::{Error, ObjectKind};
    let cause = chain(error);
    match error {
        Error::Store { source, .. } | Error::Wrapping { source, .. } => {
            let mut failure = as_itself(cloud(what, source));
            failure.cause = cause;
            failure
        }
        Error::Damaged { kind: ObjectKind::Prune, .. } => Failure::new(
            "repository-damaged",
            what,
            cause,
            "restores go on as before; once no session works in the repository, remove the prune record as docs/failures.md says, and run again",
        ),
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
        Error::Hidden { .. } => Failure::new(
            "repository-hidden",
            what,
            cause,
            "somebody has deleted what the repository keeps locked: find out who, and remove the delete markers as docs/cli.md says",
        ),
        Error::Locked { .. } => {
            Failure::new("object-locked", what, cause, "wait until then: nobody can remove it before")
        }
        Error::NoObjectLock => Failure::new(
            "bucket-without-object-lock",
            what,
            cause,
            "make the bucket with Object Lock, or switch on its versioning and then Object Lock, without a default retention; or leave out --object-lock",
        ),
        Error::NotLocked { .. } => Failure::new(
            "point-not-locked",
            what,
            cause,
            "use a worker image of the coordinator's version: this one does not lock what it stores",
        ),
        Error::NoRepository { .. } => {
            Failure::new("repository-missing", what, cause, "check bucket and prefix, or create the repository")
        }
        Error::NoDomain { domain } => Failure::new(
            "domain-without-key",
            what,
            format!("the key of domain {domain} is not in the repository"),
            "bring the domain's object `key` back from a copy of the bucket: nothing in the domain can be read without",
        ),
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

#[cfg(test)]
mod tests {
    use haulier_cloud::Outcome;

    use super::*;

    fn refused(operation: &'static str, target: &str, code: &str) -> CloudError {
        CloudError {
            operation,
            target: target.into(),
            kind: ErrorKind::Denied,
            outcome: Outcome::Determinate,
            code: Some(code.into()),
            message: "no".into(),
            source: None,
        }
    }

    #[test]
    fn a_refusal_names_the_role_that_has_to_be_changed() {
        const ROLE: &str = "arn:aws:iam::444455556666:role/haulier";
        let account = |role_arn: Option<&str>| Account {
            id: "444455556666".into(),
            role_arn: role_arn.map(str::to_owned),
            external_id: None,
        };
        let other = "arn:aws:iam::444455556666:role/worker";
        for (error, code, named) in [
            (refused("DescribeDBInstances", "all", "AccessDenied"), "cloud-denied", ROLE),
            (refused("DescribeDBInstances", "all", "ExpiredToken"), "cloud-credentials-expired", ROLE),
            (refused("AssumeRole", "DescribeDBInstances", "AccessDenied"), "cloud-role-refused", ROLE),
            (refused("AssumeRole", other, "AccessDenied"), "cloud-role-refused", other),
        ] {
            let failure = in_account(cloud("listing", &error), &account(Some(ROLE)));
            assert_eq!(failure.code, code, "{failure}");
            assert!(failure.remedy.contains(named), "{failure}");
            let own = in_account(cloud("listing", &error), &account(None));
            assert!(!own.remedy.contains(ACCOUNT_ROLE) && !own.remedy.contains(ROLE), "{own}");
            assert!(!as_itself(cloud("listing", &error)).remedy.contains(ACCOUNT_ROLE));
        }
    }
}
