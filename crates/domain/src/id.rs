//! Identifiers. Each is a newtype over text with a printed prefix, so that a session id cannot be passed where a point
//! id is wanted, and so that a log line names what it speaks of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind} id: expected {prefix:?} followed by 1 to 60 of a-z, 0-9 and '-'")]
pub struct InvalidId {
    /// The offending text.
    pub text: String,
    /// What it was to identify.
    pub kind: &'static str,
    /// The prefix such an id starts with.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes the id from a UUID; version 7 keeps ids in order of creation.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(format!("{}{}", Self::PREFIX, uuid.simple()))
            }

            /// The id as text, prefix included.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let rest = text.strip_prefix(Self::PREFIX).unwrap_or_default();
                let fits = (1..=60).contains(&rest.len())
                    && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
                if fits {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { text: text.to_owned(), kind: $kind, prefix: Self::PREFIX })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// One installation of Haulier: a coordinator and its state. Tags on cloud resources carry it.
    InstallationId, "ins-", "installation";
    /// One run of an operation on one resource.
    SessionId, "ses-", "session";
    /// A worker: one launch of one EC2 instance for one session.
    WorkerId, "wrk-", "worker";
    /// A restore point.
    PointId, "pnt-", "restore point";
    /// A repository, fixed at its creation and stored in its `format` object.
    RepositoryId, "rep-", "repository";
    /// A domain of a repository: what shares chunks and a key. By default one DB instance.
    DomainId, "dom-", "domain";
}

/// The fencing number of a session: each claim of the session raises it, and everything that carries an older one is
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the next claim.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_and_parses_with_its_prefix() {
        let id = SessionId::from_uuid(Uuid::from_u128(7));
        assert!(id.to_string().starts_with("ses-"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let worker = WorkerId::from_uuid(Uuid::from_u128(7));
        assert!(worker.to_string().parse::<SessionId>().is_err());
        for text in ["", "ses-", "ses-UPPER", "ses-a/b", "ses-a b"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
