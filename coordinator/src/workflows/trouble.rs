//! What a step's body can run into, in the two dimensions that decide what to do next.

use haulier_cloud::CloudError;
use haulier_domain::failure::Failure;
use haulier_domain::session::Stop;

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

/// A failure of the repository, which says itself whether it may pass.
pub(crate) fn of_vault(failure: Failure) -> Trouble {
    if failure.code == "cloud-unavailable" { Trouble::Again(failure) } else { failure.into() }
}

#[cfg(test)]
mod tests {
    use haulier_cloud::{ErrorKind, Outcome};

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
    fn a_definite_refusal_ends_the_session() {
        for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Exhausted] {
            let trouble = Err::<(), _>(error(kind, Outcome::Determinate)).during(|| "x".into());
            assert!(matches!(trouble, Err(Trouble::Stop(_))), "{kind:?}");
        }
        let throttled = Err::<(), _>(error(ErrorKind::Throttled, Outcome::Determinate)).during(|| "x".into());
        assert!(matches!(throttled, Err(Trouble::Again(_))));
    }
}
