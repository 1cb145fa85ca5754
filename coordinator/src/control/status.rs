//! Refusals as gRPC statuses.

use haulier_domain::failure::Failure;
use haulier_proto::status::refusal;
use tonic::{Code, Status};

use crate::failures;
use crate::state::StateError;

/// A failure of the state: what is not there is told apart from what went wrong.
pub(super) fn of_state(what: &str, error: &StateError) -> Status {
    let failure = failures::state(what, error);
    match error {
        StateError::Missing { .. } => refusal(Code::NotFound, &failure),
        _ => {
            tracing::error!(%failure, "a request failed");
            refusal(Code::Internal, &failure)
        }
    }
}

/// Any other failure: final ones are a matter of the request or of the world's state, the others may pass.
pub(super) fn of_failure(failure: &Failure) -> Status {
    let code = match failure.code.as_str() {
        code if code.ends_with("-unknown") => Code::NotFound,
        "cloud-not-found" | "db-not-found" | "repository-missing" => Code::NotFound,
        "coordinator-state" => Code::Internal,
        _ if failure.retryable => Code::Unavailable,
        _ => Code::FailedPrecondition,
    };
    refusal(code, failure)
}

/// A request that cannot be meant like this.
pub(super) fn invalid(what: &str, cause: impl Into<String>, remedy: impl Into<String>) -> Status {
    refusal(Code::InvalidArgument, &Failure::new("request-invalid", what, cause, remedy))
}

/// An id that is none: there is nothing of that name.
pub(super) fn parsed<T>(what: &str, text: &str, code: &str) -> Result<T, Status>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        refusal(Code::NotFound, &Failure::new(code, what, error.to_string(), "copy the id from a list"))
    })
}
