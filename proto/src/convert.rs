//! Conversion between wire and domain.

use std::fmt::Display;
use std::str::FromStr;

use haulier_domain::failure::Failure;
use haulier_domain::immutability::{Immutability, MOST_DAYS, RetentionMode};

use crate::common::v1 as common;

/// A message that breaks its own rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field} of {message} {problem}")]
pub struct InvalidMessage {
    /// Message type.
    pub message: &'static str,
    /// Field name as in the proto.
    pub field: &'static str,
    /// What is wrong with it: "is missing".
    pub problem: String,
}

/// The value of a field that must be there.
///
/// # Errors
/// Where it is not.
pub fn required<T>(value: Option<T>, message: &'static str, field: &'static str) -> Result<T, InvalidMessage> {
    value.ok_or_else(|| InvalidMessage { message, field, problem: "is missing".to_owned() })
}

/// A field that holds an identifier, or anything else that is read from text.
///
/// # Errors
/// Where the text is not one.
pub fn parsed<T>(text: &str, message: &'static str, field: &'static str) -> Result<T, InvalidMessage>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| InvalidMessage { message, field, problem: format!("is wrong: {error}") })
}

/// Wire form of a point in time.
pub fn to_timestamp(at: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// A point in time from its wire form; `None` where it is out of range.
pub fn from_timestamp(at: &prost_types::Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(at.seconds, at.nanos).ok()
}

impl From<Failure> for common::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            what: failure.what,
            cause: failure.cause,
            remedy: failure.remedy,
            retryable: failure.retryable,
        }
    }
}

impl From<common::Failure> for Failure {
    fn from(failure: common::Failure) -> Self {
        Self {
            code: failure.code,
            what: failure.what,
            cause: failure.cause,
            remedy: failure.remedy,
            retryable: failure.retryable,
        }
    }
}

impl From<RetentionMode> for common::RetentionMode {
    fn from(mode: RetentionMode) -> Self {
        match mode {
            RetentionMode::Governance => Self::Governance,
            RetentionMode::Compliance => Self::Compliance,
        }
    }
}

impl From<Immutability> for common::Immutability {
    fn from(Immutability { mode, days }: Immutability) -> Self {
        Self { mode: common::RetentionMode::from(mode).into(), days }
    }
}

impl TryFrom<common::Immutability> for Immutability {
    type Error = InvalidMessage;

    /// A mode that is not known is none that could be left aside.
    fn try_from(message: common::Immutability) -> Result<Self, InvalidMessage> {
        let invalid = |field, problem: String| InvalidMessage { message: "Immutability", field, problem };
        let mode = match common::RetentionMode::try_from(message.mode) {
            Ok(common::RetentionMode::Governance) => RetentionMode::Governance,
            Ok(common::RetentionMode::Compliance) => RetentionMode::Compliance,
            Ok(common::RetentionMode::Unspecified) | Err(_) => {
                return Err(invalid("mode", "is neither governance nor compliance".to_owned()));
            }
        };
        if !(1..=MOST_DAYS).contains(&message.days) {
            return Err(invalid("days", format!("is not within 1 and {MOST_DAYS}")));
        }
        Ok(Self { mode, days: message.days })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_no_id_is_named() {
        use haulier_domain::id::SessionId;
        assert_eq!(parsed::<SessionId>("ses-1", "Hello", "session_id").unwrap().as_str(), "ses-1");
        let error = parsed::<SessionId>("wrk-1", "Hello", "session_id").unwrap_err();
        assert_eq!((error.message, error.field), ("Hello", "session_id"));
    }

    #[test]
    fn an_immutability_that_makes_no_sense_is_named() {
        let good = Immutability { mode: RetentionMode::Compliance, days: 30 };
        assert_eq!(Immutability::try_from(common::Immutability::from(good)), Ok(good));
        for (mode, days, field) in [(0, 30, "mode"), (9, 30, "mode"), (1, 0, "days"), (2, MOST_DAYS + 1, "days")] {
            assert_eq!(Immutability::try_from(common::Immutability { mode, days }).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_time_survives_the_wire() {
        for at in ["2026-11-20T12:34:56.789Z", "1969-12-31T23:59:58.5Z"] {
            let at: jiff::Timestamp = at.parse().unwrap();
            assert_eq!(from_timestamp(&to_timestamp(at)), Some(at));
        }
    }
}
