//! Errors as SQL Server reports them.

/// A message of SQL Server's: number, severity, state, text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Msg {number}, Level {severity}, State {state}: {text}")]
pub(crate) struct SqlError {
    pub(crate) number: u32,
    pub(crate) severity: u8,
    pub(crate) state: u8,
    pub(crate) text: String,
}

impl SqlError {
    /// An error that ends a statement.
    pub(crate) fn new(number: u32, severity: u8, text: impl Into<String>) -> Self {
        Self { number, severity, state: 1, text: text.into() }
    }

    /// What a procedure of RDS raises: user-defined messages have the number 50000.
    pub(crate) fn raised(text: impl Into<String>) -> Self {
        Self::new(50_000, 16, text)
    }

    /// Text that the stand-in does not understand.
    pub(crate) fn syntax(near: &str) -> Self {
        Self::new(102, 15, format!("Incorrect syntax near '{near}'."))
    }

    /// A table, a view or a function that is not there.
    pub(crate) fn no_object(name: &str) -> Self {
        Self::new(208, 16, format!("Invalid object name '{name}'."))
    }

    /// A database that is not there, or not one's own to change.
    pub(crate) fn no_database(action: &str, name: &str) -> Self {
        let text =
            format!("Cannot {action} the database '{name}', because it does not exist or you do not have permission.");
        Self::new(3701, 11, text)
    }
}
