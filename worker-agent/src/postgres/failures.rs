//! Failures of the mover, each with its stable code. `docs/failures.md` lists them.

use std::error::Error;
use std::path::Path;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::diagnosis::{self, Diagnosis};

pub(crate) use crate::cause::chain;
pub(super) use crate::mover::streams::failure as store;

/// A server or a connection refused something.
pub(super) fn database(doing: impl Into<String>, error: &tokio_postgres::Error) -> Failure {
    let text = error.as_db_error().map_or_else(
        || chain(error),
        |error| {
            let detail = error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{}: {}{detail} [{}]", error.severity(), error.message(), error.code().code())
        },
    );
    let known = diagnosis::of_text(&text)
        .filter(|known| known.code == "db-row-security" || known.code == "db-locks-exhausted")
        .or_else(|| error.code().and_then(|state| diagnosis::of_state(state.code())))
        .or_else(|| diagnosis::of_text(&text));
    if known.is_none() && (error.is_closed() || error.as_db_error().is_none()) {
        return connection_lost(doing, text);
    }
    diagnosed(known, "db-query-failed", doing, text)
}

/// A failure by what is known of its text.
pub(super) fn diagnosed(
    known: Option<Diagnosis>,
    otherwise: &'static str,
    doing: impl Into<String>,
    cause: impl Into<String>,
) -> Failure {
    let unknown = Diagnosis {
        code: otherwise,
        remedy: "read the cause; where it names no remedy, report it with the session's log",
        retryable: false,
    };
    let known = known.unwrap_or(unknown);
    let failure = Failure::new(known.code, doing, cause, known.remedy);
    if known.retryable { failure.retryable() } else { failure }
}

/// The connection broke.
pub(super) fn connection_lost(doing: impl Into<String>, cause: impl Into<String>) -> Failure {
    Failure::new(
        "db-connection-lost",
        doing,
        cause,
        "check the instance's events, its security groups and the network, then run again",
    )
    .retryable()
}

/// Something on this machine is not as it must be.
pub(super) fn local(doing: impl Into<String>, path: &Path, error: &dyn Error) -> Failure {
    Failure::new(
        "worker-environment",
        doing,
        format!("{}: {}", path.display(), chain(error)),
        "use a worker image that is built as `ami/` describes",
    )
}
