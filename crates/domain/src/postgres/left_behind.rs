//! What a restore that was broken off may have left on its target, and how that is said.
//!
//! All of it has names that follow from the session and what it was asked for. So whoever has to speak in place of a worker
//! that cannot (it is lost, or was stopped in the middle of tidying up) knows them without a look at the target.

use super::clash;
use crate::failure::Failure;
use crate::left_behind;

pub use crate::left_behind::{Asked, CODE};

/// What may be on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind<'a> {
    /// The restore's key: its session.
    pub key: &'a str,
    /// The target instance.
    pub instance: &'a str,
    /// Databases of the restore that are not known to be complete.
    pub databases: &'a [Asked],
}

impl LeftBehind<'_> {
    /// The failure of a restore that would have ended without one.
    pub fn failure(&self, cause: impl Into<String>) -> Failure {
        self.add_to(left_behind::failure(self.instance, cause))
    }

    /// Says it in the failure that the restore ends with.
    #[must_use]
    pub fn add_to(&self, failure: Failure) -> Failure {
        if self.databases.is_empty() {
            return failure;
        }
        let more = "whose names begin with \"haulier_\"";
        let mut may_be = left_behind::named(self.databases, |asked| self.traces(asked), more);
        may_be.push(format!(
            "role {:?}, whose comment names the roles that the login became a member of",
            clash::lent_name(self.key)
        ));
        let remedy = "look on the instance for what the cause names, and drop by hand what is there";
        left_behind::said(failure, self.instance, &may_be, remedy)
    }

    fn traces(&self, asked: &Asked) -> String {
        let working = asked.working_name(self.key);
        let mut text = format!("database {working:?}, half-restored from {:?}", asked.database);
        if asked.replaces {
            text.push_str(&format!(
                ", or {:?}, which {:?} has replaced, or {:?} as it was but closed (ALTER DATABASE … ALLOW_CONNECTIONS true)",
                clash::replaced_name(&working),
                asked.name,
                asked.name
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, replaces: bool) -> Asked {
        Asked { database: "shop".into(), name: name.into(), replaces }
    }

    fn left(databases: &[Asked]) -> LeftBehind<'_> {
        LeftBehind { key: "ses-1", instance: "prod", databases }
    }

    #[test]
    fn what_may_be_there_is_named_with_a_remedy() {
        let databases = [asked("copy", false), asked("shop", true)];
        let failure = left(&databases).failure("the worker is gone");
        assert_eq!((failure.code.as_str(), failure.retryable), (CODE, false));
        for name in databases.iter().map(|asked| asked.working_name("ses-1")) {
            assert!(failure.cause.contains(&name), "{failure}");
        }
        let replaced = clash::replaced_name(&databases[1].working_name("ses-1"));
        let kept = clash::replaced_name(&databases[0].working_name("ses-1"));
        assert!(failure.cause.contains(&replaced) && !failure.cause.contains(&kept), "{failure}");
        assert!(failure.cause.contains(&clash::lent_name("ses-1")) && failure.remedy.contains("drop"), "{failure}");
    }

    #[test]
    fn another_failure_stays_what_it_is() {
        let lost = Failure::new("worker-lost", "x", "y", "see the console").retryable();
        assert_eq!(left(&[]).add_to(lost.clone()), lost);
        let said = left(&[asked("copy", false)]).add_to(lost);
        assert_eq!((said.code.as_str(), said.retryable), ("worker-lost", true));
        assert!(said.cause.starts_with("y; ") && said.remedy.ends_with("see the console"), "{said}");
    }

    #[test]
    fn hundreds_are_not_named_one_by_one() {
        let many: Vec<_> = (0..500).map(|number| asked(&format!("copy{number}"), true)).collect();
        let failure = left(&many).failure("x");
        assert!(failure.cause.contains("480 more") && failure.cause.len() < 8_000, "{}", failure.cause.len());
    }
}
