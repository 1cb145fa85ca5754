//! What a step's body can run into, in the two dimensions that decide what to do next.

use std::time::Duration;

use haulier_cloud::{CloudError, ErrorKind};
use haulier_domain::failure::Failure;
use haulier_domain::session::Stop;
use jiff::Timestamp;

use crate::failures;
use crate::state::StateError;

/// What a step's body ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It will not work: the session ends.
    Stop(Stop),
    /// It may work later, or may have worked and the answer was lost: repeat it.
    Again(Failure),
}

/// Result of a step's body.
pub(crate) type Attempt<T> = Result<T, Trouble>;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Stop(Stop::Failed(failure))
    }
}

impl From<StateError> for Trouble {
    fn from(error: StateError) -> Self {
        let failure = failures::state("reading or writing the coordinator's state", &error);
        match error {
            StateError::Database { .. } => Self::Again(failure),
            StateError::Migration(_) | StateError::Corrupt { .. } | StateError::Missing { .. } => failure.into(),
        }
    }
}

/// Says what was being done when the cloud failed.
pub(crate) trait During<T> {
    /// Turns a failed call into trouble: one that may pass, or whose outcome is unknown, is repeated.
    fn during(self, what: impl FnOnce() -> String) -> Attempt<T>;
}

impl<T> During<T> for Result<T, CloudError> {
    fn during(self, what: impl FnOnce() -> String) -> Attempt<T> {
        self.map_err(|error| {
            let failure = failures::cloud(&what(), &error);
            if error.is_transient() || error.is_indeterminate() { Trouble::Again(failure) } else { failure.into() }
        })
    }
}

/// Says of a call that follows upon others what was being done when it failed.
pub(crate) trait SoonAfter<T> {
    /// As [`During::during`], but a refusal is not believed for a while: what the call names was made at that time, and EC2
    /// and RDS come to know of such things one by one.
    fn soon_after(self, made: &Made<'_>, what: impl FnOnce() -> String) -> Attempt<T>;
}

/// What a call names that was made a moment ago.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made<'a> {
    /// Ids of it.
    pub(crate) ids: &'a [&'a str],
    /// When it was made, at the earliest.
    pub(crate) at: Timestamp,
    /// How long it may take to be known everywhere.
    pub(crate) settle: Duration,
}

impl Made<'_> {
    /// Whether a refusal may come of not knowing yet.
    fn may_be_unknown(&self, error: &CloudError, now: Timestamp) -> bool {
        let names_it = self.ids.iter().any(|id| error.target == *id || error.message.contains(id));
        let patience = match error.kind {
            ErrorKind::NotFound if names_it => self.settle,
            ErrorKind::NotFound if error.code.as_deref() == Some("InvalidGroup.NotFound") => self.settle,
            ErrorKind::Invalid if names_it => self.settle,
            // IAM takes the longest: a profile that was made in time may be unknown for two minutes.
            ErrorKind::Invalid if error.message.contains("IAM Instance Profile") => self.settle * 2,
            _ => return false,
        };
        now.duration_since(self.at).unsigned_abs() < patience
    }
}

impl<T> SoonAfter<T> for Result<T, CloudError> {
    fn soon_after(self, made: &Made<'_>, what: impl FnOnce() -> String) -> Attempt<T> {
        match self {
            Err(error) if made.may_be_unknown(&error, Timestamp::now()) => {
                Err(Trouble::Again(failures::cloud(&what(), &error)))
            }
            answer => answer.during(what),
        }
    }
}

/// A failure of the repository, which says itself whether it may pass.
pub(crate) fn of_vault(failure: Failure) -> Trouble {
    if failure.code == "cloud-unavailable" { Trouble::Again(failure) } else { failure.into() }
}

#[cfg(test)]
mod tests {
    use haulier_cloud::Outcome;
    use jiff::SignedDuration;

    use super::*;

    fn error(kind: ErrorKind, outcome: Outcome) -> CloudError {
        CloudError { operation: "X", target: "y".into(), kind, outcome, code: None, message: "z".into(), source: None }
    }

    #[test]
    fn an_unknown_answer_is_asked_for_again() {
        for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::Unavailable, ErrorKind::NotFound] {
            let trouble = Err::<(), _>(error(kind, Outcome::Indeterminate)).during(|| "x".into());
            assert!(matches!(trouble, Err(Trouble::Again(_))), "{kind:?}");
        }
    }

    #[test]
    fn what_was_made_a_moment_ago_may_not_be_known_yet() {
        let at: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let made = Made { ids: &["sg-1"], at, settle: Duration::from_secs(60) };
        let refused = |kind, code: Option<&str>, target: &str, message: &str| CloudError {
            code: code.map(str::to_owned),
            target: target.into(),
            message: message.into(),
            ..error(kind, Outcome::Determinate)
        };
        let profile = "Value (haulier-worker) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name";
        let table = [
            (refused(ErrorKind::NotFound, Some("InvalidGroup.NotFound"), "sg-1", "it does not exist"), 60),
            (
                refused(
                    ErrorKind::NotFound,
                    Some("InvalidGroup.NotFound"),
                    "a token",
                    "The security group 'sg-1' does not exist",
                ),
                60,
            ),
            (
                refused(
                    ErrorKind::Invalid,
                    Some("InvalidParameterValue"),
                    "orders",
                    "Invalid security group , groupId= sg-1, groupName=.",
                ),
                60,
            ),
            (refused(ErrorKind::Invalid, Some("InvalidParameterValue"), "a token", profile), 120),
            (
                refused(
                    ErrorKind::NotFound,
                    Some("InvalidAMIID.NotFound"),
                    "a token",
                    "The image id 'ami-1' does not exist",
                ),
                0,
            ),
            (
                refused(
                    ErrorKind::Invalid,
                    Some("InvalidParameterValue"),
                    "orders",
                    "Invalid security group , groupId= sg-2, groupName=.",
                ),
                0,
            ),
            (refused(ErrorKind::Denied, Some("UnauthorizedOperation"), "sg-1", "no"), 0),
        ];
        for (error, seconds) in table {
            for (age, wanted) in [(0, seconds > 0), (seconds - 1, seconds > 0), (seconds, false), (seconds + 1, false)]
            {
                let now = at + SignedDuration::from_secs(age.max(0));
                assert_eq!(made.may_be_unknown(&error, now), wanted, "after {age} s: {error}");
            }
        }
    }

    #[test]
    fn a_definite_refusal_ends_the_session() {
        for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Exhausted] {
            let trouble = Err::<(), _>(error(kind, Outcome::Determinate)).during(|| "x".into());
            assert!(matches!(trouble, Err(Trouble::Stop(_))), "{kind:?}");
        }
        let throttled = Err::<(), _>(error(ErrorKind::Throttled, Outcome::Determinate)).during(|| "x".into());
        assert!(matches!(throttled, Err(Trouble::Again(_))));
    }
}
