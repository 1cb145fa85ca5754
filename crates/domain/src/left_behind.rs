//! What a restore that was broken off may have left on its target, as far as it is the same for every engine. How an engine
//! says it stands in its own module.

use crate::clash;

/// Code of the failure.
pub const CODE: &str = "restore-left-behind";

/// Databases that are named one by one; there may be hundreds.
pub(crate) const MOST_NAMED: usize = 20;

/// A database of a restore, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Name in the point.
    pub database: String,
    /// Name it is to get on the target, before any suffix.
    pub name: String,
    /// Whether a database of that name is to be replaced.
    pub replaces: bool,
}

impl Asked {
    /// The name it has until it is complete.
    pub fn working_name(&self, key: &str) -> String {
        clash::working_name(key, &self.database, &self.name)
    }
}
