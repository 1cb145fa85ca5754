//! Sessions: what kinds there are, where one stands, and how it ended.
//!
//! A session goes from `queued` over `running` to `tearing-down`, and from there to one of the four ends. It never goes
//! back, and it never reaches an end without having been torn down.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A word that is not one of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}")]
pub struct UnknownWord {
    /// The offending text.
    pub text: String,
    /// What it was to be.
    pub kind: &'static str,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The word as operators and the state database see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { text: text.to_owned(), kind: $kind }),
                }
            }
        }
    };
}

words! {
    /// What a session does.
    SessionKind, "session kind" {
        /// Snapshot and database-level backup of one instance.
        Backup => "backup",
        /// Databases out of a restore point into an instance.
        DatabaseRestore => "database-restore",
        /// Reads a restore point and compares it with what was recorded.
        Verify => "verify",
        /// Deletes what no restore point of a repository domain needs.
        Maintenance => "maintenance",
        /// Copies a restore point into another repository.
        Replicate => "replicate",
    }
}

words! {
    /// Where a session stands.
    SessionState, "session state" {
        /// Waits for its instance, a worker slot or its turn.
        Queued => "queued",
        /// At work.
        Running => "running",
        /// Its result is known; its cloud resources are being removed.
        TearingDown => "tearing-down",
        /// Ended as asked.
        Succeeded => "succeeded",
        /// Ended as asked, with remarks.
        Warning => "warning",
        /// Ended otherwise.
        Failed => "failed",
        /// Stopped on request.
        Cancelled => "cancelled",
    }
}

impl SessionKind {
    /// How much longer than other work such a session's may take to end after a cancel. What a restore has begun on the
    /// target must be dropped first, which takes the server its time, and must not stay because of a hurry. The worker
    /// ends within it, and the coordinator waits for as long before it takes the machine away.
    pub fn tidying(self) -> Duration {
        match self {
            Self::DatabaseRestore => Duration::from_secs(120),
            Self::Backup | Self::Verify | Self::Maintenance | Self::Replicate => Duration::ZERO,
        }
    }
}

impl SessionState {
    /// Whether nothing more will happen.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Warning | Self::Failed | Self::Cancelled)
    }

    /// Whether a session may go from this state to the other.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::TearingDown),
            Self::Running => next == Self::TearingDown,
            Self::TearingDown => next.has_ended(),
            Self::Succeeded | Self::Warning | Self::Failed | Self::Cancelled => false,
        }
    }
}

words! {
    /// How grave a line of a session's log is.
    Severity, "severity" {
        /// Routine.
        Info => "info",
        /// The session goes on, but somebody should read it.
        Warning => "warning",
        /// Something failed.
        Error => "error",
    }
}

/// Why a session's flow stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Something went wrong.
    Failed(Failure),
    /// Somebody asked for it.
    Cancelled,
    /// Somebody asked for it, and it left something that must be removed by hand.
    CancelledLeaving(Failure),
}

impl Stop {
    /// What an operator must know of it.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::CancelledLeaving(failure) => Some(failure),
            Self::Cancelled => None,
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a session that went through to its end has to tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Completed {
    /// What an operator should know all the same.
    pub warnings: Vec<String>,
    /// JSON report of the operation, where it made one.
    pub report: Option<String>,
}

/// The end of a session's flow: known before teardown begins, and not changed by it.
pub type Outcome = Result<Completed, Stop>;

/// The state that a session with this outcome ends in.
pub fn final_state(outcome: &Outcome) -> SessionState {
    match outcome {
        Ok(completed) if completed.warnings.is_empty() => SessionState::Succeeded,
        Ok(_) => SessionState::Warning,
        Err(Stop::Failed(_)) => SessionState::Failed,
        Err(Stop::Cancelled | Stop::CancelledLeaving(_)) => SessionState::Cancelled,
    }
}

/// Where an operation stands, as its worker last said. Counters only grow within one phase.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The phase, a word of the flow.
    pub phase: String,
    /// What is being moved: a database, a table, an archive.
    pub current: String,
    /// Bytes read from the source so far.
    pub bytes_read: u64,
    /// Bytes of them that the repository did not have, before compression.
    pub bytes_new: u64,
    /// Bytes written to the repository.
    pub bytes_stored: u64,
    /// Bytes expected in all; 0 where unknown.
    pub bytes_total: u64,
    /// Bytes per second over the last seconds.
    pub rate: u64,
    /// Seconds to go; absent where unknown.
    pub eta_seconds: Option<u64>,
    /// When the figures were taken.
    pub at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [SessionState; 7] = [
        SessionState::Queued,
        SessionState::Running,
        SessionState::TearingDown,
        SessionState::Succeeded,
        SessionState::Warning,
        SessionState::Failed,
        SessionState::Cancelled,
    ];

    #[test]
    fn words_survive_print_and_parse() {
        for state in STATES {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("done".parse::<SessionState>().is_err());
        assert_eq!("database-restore".parse(), Ok(SessionKind::DatabaseRestore));
    }

    #[test]
    fn every_end_is_reached_through_teardown_alone() {
        for from in STATES {
            for to in STATES {
                let wanted = matches!(
                    (from, to),
                    (SessionState::Queued, SessionState::Running | SessionState::TearingDown)
                        | (SessionState::Running, SessionState::TearingDown)
                ) || (from == SessionState::TearingDown && to.has_ended());
                assert_eq!(from.may_become(to), wanted, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn the_outcome_decides_the_last_state() {
        let remark = Completed { warnings: vec!["a role needs a password".into()], report: None };
        let failure = Failure::new("x", "y", "z", "w");
        assert_eq!(final_state(&Ok(Completed::default())), SessionState::Succeeded);
        assert_eq!(final_state(&Ok(remark)), SessionState::Warning);
        assert_eq!(final_state(&Err(Stop::CancelledLeaving(failure.clone()))), SessionState::Cancelled);
        assert_eq!(final_state(&Err(failure.into())), SessionState::Failed);
        assert_eq!(final_state(&Err(Stop::Cancelled)), SessionState::Cancelled);
    }
}
