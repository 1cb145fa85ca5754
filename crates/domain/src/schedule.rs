//! When a policy runs: never by itself, or by a cron expression read in a time zone.
//!
//! A schedule is what an operator's wall clock says, so the two hours a year in which that clock lies need a rule:
//!
//! - a fixed time that the clock skips in spring (`30 2 * * *`) runs at the first moment after the gap: no day without
//!   its backup;
//! - a fixed time that the clock shows twice in autumn runs at the first of them only: no day with two;
//! - a repeating time (`*/15 * * * *`) runs whenever the clock shows it: skipped within the gap, both times in the
//!   doubled hour, so that the distance between two runs stays what it was.
//!
//! Five fields, minute first. Seconds and years are refused: nothing here is worth starting to the second.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// When a policy runs, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleText {
    /// Only when somebody asks for it.
    Manual,
    /// By the clock.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week.
        expression: String,
        /// IANA name: `Europe/Berlin`.
        time_zone: String,
    },
}

impl std::fmt::Display for ScheduleText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manual => f.write_str("manual"),
            Self::Cron { expression, time_zone } => write!(f, "{expression} {time_zone}"),
        }
    }
}

/// A schedule that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// The expression does not parse.
    #[error("{expression:?} is not a cron expression: {reason}")]
    Expression {
        /// The expression.
        expression: String,
        /// What the parser says.
        reason: String,
    },
    /// The expression parses, and no day ever matches it.
    #[error("{expression:?} never comes up")]
    Never {
        /// The expression.
        expression: String,
    },
    /// The zone is not in the time zone database.
    #[error("{time_zone:?} is not a known time zone")]
    TimeZone {
        /// The name.
        time_zone: String,
    },
}

/// A schedule that can be followed.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Only when somebody asks for it.
    Manual,
    /// By the clock.
    Cron(Box<CronSchedule>),
}

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct CronSchedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Names every part that is wrong, the expression first.
    pub fn parse(text: &ScheduleText) -> Result<Self, Vec<InvalidSchedule>> {
        let ScheduleText::Cron { expression, time_zone } = text else {
            return Ok(Self::Manual);
        };
        let zone = TimeZone::get(time_zone).map_err(|_| InvalidSchedule::TimeZone { time_zone: time_zone.clone() });
        match (parse_expression(expression), zone) {
            (Ok(cron), Ok(zone)) => Ok(Self::Cron(Box::new(CronSchedule { cron, zone }))),
            (cron, zone) => Err(cron.err().into_iter().chain(zone.err()).collect()),
        }
    }

    /// The first run later than `after`; `None` for manual schedules.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Manual => None,
            Self::Cron(schedule) => next(&schedule.cron, &after.to_zoned(schedule.zone.clone())),
        }
    }
}

fn parse_expression(expression: &str) -> Result<Cron, InvalidSchedule> {
    let invalid = |reason: String| InvalidSchedule::Expression { expression: expression.to_owned(), reason };
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(expression).map_err(|error| invalid(error.to_string().trim_end_matches('.').to_owned()))?;
    // Any fixed moment does: a calendar repeats itself every 28 years, and the search looks further than that.
    let reference = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    match next(&cron, &reference) {
        Some(_) => Ok(cron),
        None => Err(InvalidSchedule::Never { expression: expression.to_owned() }),
    }
}

fn next(cron: &Cron, after: &Zoned) -> Option<Timestamp> {
    cron.find_next_occurrence(after, false).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests;
