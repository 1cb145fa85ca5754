//! A failure as an operator reads it: a stable code, what was being done, why it did not work, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure as an operator reads it. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code in kebab case, `db-auth-failed`. `docs/failures.md` lists them.
    pub code: String,
    /// What was being done, and to what.
    pub what: String,
    /// Why it did not work.
    pub cause: String,
    /// What to do about it: a clause like the cause, with no capital before it and no full stop behind it.
    pub remedy: String,
    /// Whether the same session may succeed if run again unchanged.
    pub retryable: bool,
}

impl Failure {
    /// A failure that stays until somebody changes something.
    pub fn new(
        code: impl Into<String>,
        what: impl Into<String>,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), what: what.into(), cause: cause.into(), remedy: remedy.into(), retryable: false }
    }

    /// The same failure, marked as one that may pass by itself.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]: {} (remedy: {})", self.what, self.code, self.cause, self.remedy)
    }
}

impl std::error::Error for Failure {}
