//! What a restore that was broken off may have left on its target, as far as it is the same for every engine. How an engine
//! says it stands in its own module.

use crate::clash;
use crate::failure::Failure;

/// Code of the failure.
pub const CODE: &str = "restore-left-behind";

/// Databases that are named one by one; there may be hundreds.
const MOST_NAMED: usize = 20;

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

/// The failure of a restore that would have ended without one. It does not say yet what is left.
pub fn failure(instance: &str, cause: impl Into<String>) -> Failure {
    Failure::new(CODE, format!("removing from {instance} what was half-restored"), cause, "")
}

/// What each of these may have left, in words; `more` says what the rest of many are.
pub(crate) fn named(databases: &[Asked], traces: impl Fn(&Asked) -> String, more: &str) -> Vec<String> {
    let rest = databases.len().saturating_sub(MOST_NAMED);
    let rest = (rest > 0).then(|| format!("{rest} more {more}"));
    databases.iter().take(MOST_NAMED).map(traces).chain(rest).collect()
}

/// Says in the failure that a restore ends with what the instance may still have, and what to do about it.
#[must_use]
pub fn said(mut failure: Failure, instance: &str, may_be: &[String], remedy: &str) -> Failure {
    failure.cause.push_str(&format!("; {instance} may still have {}", may_be.join("; ")));
    let own = std::mem::take(&mut failure.remedy);
    failure.remedy = if own.is_empty() { remedy.to_owned() } else { format!("{remedy}; {own}") };
    failure
}
