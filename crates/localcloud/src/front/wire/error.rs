//! Errors as AWS names them.

/// An error answer: code, text and HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct AwsError {
    /// `InvalidGroup.Duplicate`.
    pub(crate) code: String,
    /// The text for people.
    pub(crate) message: String,
    /// HTTP status.
    pub(crate) status: u16,
}

impl AwsError {
    /// A fault of the caller, status 400 unless changed.
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: 400 }
    }

    /// The same with another status.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A fault of the local cloud itself.
    pub(crate) fn internal(error: &anyhow::Error) -> Self {
        Self::new("InternalFailure", format!("{error:#}")).with_status(500)
    }

    /// An operation that the local cloud does not have: refused, never answered with something made up.
    pub(crate) fn unsupported(operation: &str) -> Self {
        Self::new("InvalidAction", format!("The action {operation} is not available in the local cloud"))
    }
}
