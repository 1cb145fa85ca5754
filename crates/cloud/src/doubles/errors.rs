//! Errors as the AWS adapters would give them.

use crate::error::{CloudError, ErrorKind, Outcome};

/// A refusal with the service's code.
pub(super) fn refused(operation: &'static str, target: &str, kind: ErrorKind, code: &str, message: &str) -> CloudError {
    CloudError {
        operation,
        target: target.to_owned(),
        kind,
        outcome: Outcome::Determinate,
        code: Some(code.to_owned()),
        message: message.to_owned(),
        source: None,
    }
}

/// The named thing does not exist.
pub(super) fn not_found(operation: &'static str, target: &str, code: &str) -> CloudError {
    refused(operation, target, ErrorKind::NotFound, code, "it does not exist")
}
