//! Object Lock: what protects a version, and who may change that. Pure; after "How S3 Object Lock works" in the user guide.
//!
//! A retention period holds until its date. In compliance mode nobody shortens or removes it; in governance mode only who
//! may bypass it and says so. Anybody who may put a retention may make it longer. A legal hold has no date and holds
//! whatever the retention says.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// How strictly a retention holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Until somebody bypasses it.
    Governance,
    /// Whoever asks.
    Compliance,
}

/// A retention period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: Mode,
    /// Until when.
    pub until: Timestamp,
}

/// What protects one version of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Retention period, if it was ever given one; it may be over.
    #[serde(default)]
    pub retention: Option<Retention>,
    /// Legal hold, if it was ever set or lifted.
    #[serde(default)]
    pub legal_hold: Option<bool>,
}

/// A length of time in the units of a bucket's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// Days of 24 hours.
    Days(i32),
    /// Years of the calendar.
    Years(i32),
}

/// What a new object is given that brings no retention of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How strictly.
    pub mode: Mode,
    /// For how long.
    pub period: Period,
}

/// Object Lock of a bucket; it cannot be switched off again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// The bucket's own retention.
    #[serde(default)]
    pub default: Option<DefaultRetention>,
}

impl Mode {
    /// S3's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance].into_iter().find(|mode| mode.name() == name)
    }
}

impl DefaultRetention {
    /// The retention of an object that is made now.
    pub fn begin(&self, now: Timestamp) -> Retention {
        let until = match self.period {
            Period::Days(days) => now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok(),
            Period::Years(years) => {
                let zoned = now.to_zoned(TimeZone::UTC);
                zoned.checked_add(Span::new().years(years)).ok().map(|zoned| zoned.timestamp())
            }
        };
        Retention { mode: self.mode, until: until.unwrap_or(Timestamp::MAX) }
    }
}

impl Lock {
    /// The retention that holds now.
    fn in_force(&self, now: Timestamp) -> Option<&Retention> {
        self.retention.as_ref().filter(|retention| retention.until > now)
    }

    /// Refuses to let the version go.
    pub fn check_delete(&self, now: Timestamp, bypass: bool) -> Result<()> {
        if self.legal_hold == Some(true) {
            return Err(Error::Locked);
        }
        match self.in_force(now) {
            Some(Retention { mode: Mode::Compliance, .. }) => Err(Error::Locked),
            Some(Retention { mode: Mode::Governance, .. }) if !bypass => Err(Error::Locked),
            _ => Ok(()),
        }
    }

    /// Refuses a change of the retention that takes something away from the one in force. A change of the mode alone is
    /// one, too: AWS does not say that governance may be made compliance without a bypass.
    pub fn check_retention(&self, wanted: Option<&Retention>, now: Timestamp, bypass: bool) -> Result<()> {
        let Some(present) = self.in_force(now) else { return Ok(()) };
        let keeps = wanted.is_some_and(|wanted| wanted.mode == present.mode && wanted.until >= present.until);
        if keeps || (bypass && present.mode == Mode::Governance) { Ok(()) } else { Err(Error::Locked) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn until(mode: Mode, text: &str) -> Retention {
        Retention { mode, until: at(text) }
    }

    #[test]
    fn what_holds_and_what_may_be_bypassed() {
        let (before, after) = ("2026-11-19T00:00:00Z", "2026-11-21T00:00:00Z");
        let now = at("2026-11-20T00:00:00Z");
        for (retention, hold, plain, bypassing) in [
            (None, None, true, true),
            (None, Some(true), false, false),
            (None, Some(false), true, true),
            (Some(until(Mode::Governance, after)), None, false, true),
            (Some(until(Mode::Governance, after)), Some(true), false, false),
            (Some(until(Mode::Governance, before)), None, true, true),
            (Some(until(Mode::Compliance, after)), None, false, false),
            (Some(until(Mode::Compliance, before)), None, true, true),
            (Some(until(Mode::Compliance, before)), Some(true), false, false),
        ] {
            let lock = Lock { retention, legal_hold: hold };
            let may = |bypass| lock.check_delete(now, bypass).is_ok();
            assert_eq!((may(false), may(true)), (plain, bypassing), "{lock:?}");
        }
    }

    #[test]
    fn a_retention_grows_and_only_governance_is_ever_cut() {
        use Mode::{Compliance, Governance};
        let (now, day) = (at("2026-11-20T00:00:00Z"), |day: u8| format!("2026-11-{day}T00:00:00Z"));
        for (present, wanted, plain, bypassing) in [
            ((Governance, 25), Some((Governance, 26)), true, true),
            ((Governance, 25), Some((Governance, 25)), true, true),
            ((Governance, 25), Some((Governance, 24)), false, true),
            ((Governance, 25), Some((Compliance, 26)), false, true),
            ((Governance, 25), None, false, true),
            ((Compliance, 25), Some((Compliance, 26)), true, true),
            ((Compliance, 25), Some((Compliance, 24)), false, false),
            ((Compliance, 25), Some((Governance, 26)), false, false),
            ((Compliance, 25), None, false, false),
            ((Compliance, 19), Some((Governance, 21)), true, true),
            ((Compliance, 19), None, true, true),
        ] {
            let lock = Lock { retention: Some(until(present.0, &day(present.1))), legal_hold: None };
            let wanted = wanted.map(|(mode, on)| until(mode, &day(on)));
            let may = |bypass| lock.check_retention(wanted.as_ref(), now, bypass).is_ok();
            assert_eq!((may(false), may(true)), (plain, bypassing), "{present:?} to {wanted:?}");
        }
    }

    #[test]
    fn periods_are_days_of_the_clock_and_years_of_the_calendar() {
        let begin =
            |period| DefaultRetention { mode: Mode::Compliance, period }.begin(at("2028-02-29T12:00:00Z")).until;
        assert_eq!(begin(Period::Days(1)), at("2028-03-01T12:00:00Z"));
        assert_eq!(begin(Period::Years(1)), at("2029-02-28T12:00:00Z"));
        assert_eq!(begin(Period::Years(100)), at("2128-02-29T12:00:00Z"));
    }
}
