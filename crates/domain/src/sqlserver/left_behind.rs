//! What a restore that was broken off may have left on its target, and how that is said. Whoever has to speak in place of a
//! worker that cannot (it is lost, or was stopped in the middle of tidying up) knows the names without a look at the target.

use crate::clash;
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
        let more = "of the databases that the session was to restore";
        let may_be = left_behind::named(self.databases, |asked| self.traces(asked), more);
        let remedy = "look on the instance for restore tasks that run (rds_task_status) and for databases in the state \
                      RESTORING that the cause names, cancel the ones (rds_cancel_task), and drop the others \
                      (rds_drop_database)";
        left_behind::said(failure, self.instance, &may_be, remedy)
    }

    fn traces(&self, asked: &Asked) -> String {
        let Asked { database, name, replaces } = asked;
        if !replaces {
            return format!(
                "database {name:?} or {:?}, half-restored from {database:?}, in the state RESTORING",
                format!("{name}_restored_1")
            );
        }
        let working = asked.working_name(self.key);
        format!(
            "database {working:?}, restored from {database:?}, or {:?}, which {name:?} has replaced",
            clash::replaced_name(&working)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_there_is_named_with_a_remedy() {
        let asked = |name: &str, replaces| Asked { database: "shop".into(), name: name.into(), replaces };
        let databases = [asked("copy", false), asked("shop", true)];
        let left = LeftBehind { key: "ses-1", instance: "prod", databases: &databases };
        let failure = left.failure("the worker is gone");
        assert_eq!((failure.code.as_str(), failure.retryable), (CODE, false));
        let working = databases[1].working_name("ses-1");
        for name in ["\"copy\"", "copy_restored_1", &working, &clash::replaced_name(&working)] {
            assert!(failure.cause.contains(name), "{name}: {failure}");
        }
        assert!(failure.remedy.contains("rds_drop_database"), "{failure}");
        let lost = Failure::new("worker-lost", "x", "y", "see the console").retryable();
        assert_eq!(LeftBehind { databases: &[], ..left.clone() }.add_to(lost.clone()), lost);
        let said = left.add_to(lost);
        assert!(said.code == "worker-lost" && said.retryable && said.remedy.ends_with("see the console"), "{said}");
        let many: Vec<_> = (0..500).map(|number| asked(&format!("copy{number}"), true)).collect();
        let failure = LeftBehind { databases: &many, ..left }.failure("x");
        assert!(failure.cause.contains("480 more") && failure.cause.len() < 8_000, "{}", failure.cause.len());
    }
}
