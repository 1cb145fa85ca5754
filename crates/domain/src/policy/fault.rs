//! One thing that is wrong with a document.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a document. Where it stands in the file is known to whoever read the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// Path of the field: `resources.include[0].tags`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl Fault {
    /// A fault.
    pub fn new(field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.message, self.remedy)
    }
}
