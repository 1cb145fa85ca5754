//! Immutability: for how long nothing that a restore point needs can be destroyed, as Object Lock of S3 keeps it.
//!
//! A point is locked for a number of days from the moment its backup began. Objects that several points share are
//! locked as long as the newest of them asks: whoever makes a point extends what it takes over. Asking for exactly that
//! would be a call for each object and backup; so what is extended, or new, is locked for *slack* beyond what is needed,
//! and is left alone until that has been used up. Every object gets a part of the slack, between half of it and all, drawn
//! anew each time: what was stored at once is not due at once, and never falls into step again. (With always the same part,
//! some daily backups extend nothing and others everything.)
//!
//! For the numbers, and for who can do what against whom, see `docs/adr/0007-immutability.md`.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest period, in days: what S3 takes as a bucket's own.
pub const MOST_DAYS: u32 = 36_500;
/// The most slack, in days.
const MOST_SLACK: u32 = 30;
const DAY: i64 = 86_400;

/// How strictly a retention holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionMode {
    /// Until its end, or until somebody with a permission of its own bypasses it (which Haulier never does).
    Governance,
    /// Until its end, whoever asks, the owner of the account too.
    Compliance,
}

impl RetentionMode {
    /// The mode as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        }
    }

    /// The mode of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance].into_iter().find(|mode| mode.as_str() == word)
    }
}

impl std::fmt::Display for RetentionMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The immutability of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Immutability {
    /// How strictly.
    pub mode: RetentionMode,
    /// For how many days from the beginning of a backup its point is locked, 1 to [`MOST_DAYS`].
    pub days: u32,
}

impl std::fmt::Display for Immutability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} day{}", self.mode, self.days, if self.days == 1 { "" } else { "s" })
    }
}

impl Immutability {
    /// Days beyond those that are needed: half of them, at most 30.
    pub fn slack_days(&self) -> u32 {
        self.days.div_ceil(2).min(MOST_SLACK)
    }

    /// The most days that anything is ever locked for, counted generously: clocks differ, and S3 counts a day that has begun.
    pub fn most_days(&self) -> u32 {
        self.days.saturating_add(self.slack_days()).saturating_add(1)
    }

    /// Until when everything has to be locked that a point needs whose backup began at that time.
    pub fn needed(&self, began: Timestamp) -> Timestamp {
        later(began, i64::from(self.days) * DAY)
    }

    /// Until when an object is locked that is stored or extended now. `spread` is any number, another one for each object
    /// and time.
    pub fn target(&self, now: Timestamp, spread: u16) -> Timestamp {
        let half = i64::from(self.slack_days()) * DAY / 2;
        let own = half * i64::from(spread) / i64::from(u16::MAX);
        later(now, i64::from(self.days) * DAY + half + own)
    }

    /// Until when an object is to be locked from now on, if what it has does not do.
    pub fn extension(
        &self,
        present: Option<(RetentionMode, Timestamp)>,
        needed: Timestamp,
        now: Timestamp,
        spread: u16,
    ) -> Option<Timestamp> {
        let does = present.is_some_and(|(mode, until)| mode >= self.mode && until >= needed);
        (!does).then(|| self.target(now, spread).max(needed))
    }
}

/// In whole seconds, which is what S3 keeps, and never earlier than asked for.
fn later(at: Timestamp, seconds: i64) -> Timestamp {
    let whole = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(whole)
        .and_then(|at| at.checked_add(SignedDuration::from_secs(seconds)))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONTH: Immutability = Immutability { mode: RetentionMode::Governance, days: 30 };

    /// Days from the beginning of the tests' time.
    fn day(days: f64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + (days * 86_400.0) as i64).unwrap()
    }

    #[test]
    fn slack_is_half_of_the_period_and_bounded() {
        for (days, slack, most) in [(1, 1, 3), (2, 1, 4), (7, 4, 12), (14, 7, 22), (30, 15, 46), (90, 30, 121)] {
            let terms = Immutability { days, ..MONTH };
            assert_eq!((terms.slack_days(), terms.most_days()), (slack, most), "{days} days");
        }
    }

    #[test]
    fn an_object_gets_between_half_of_the_slack_and_all() {
        for (spread, days) in [(0, 37.5), (u16::MAX, 45.0)] {
            assert_eq!(MONTH.target(day(0.0), spread), day(days), "{spread}");
        }
        let broken: Timestamp = "2030-01-01T00:00:00.25Z".parse().unwrap();
        assert_eq!(MONTH.needed(broken), "2030-01-31T00:00:01Z".parse().unwrap());
    }

    #[test]
    fn only_what_falls_short_is_extended() {
        use RetentionMode::{Compliance, Governance};
        let now = day(0.0);
        for (what, present, extended) in [
            ("never locked", None, true),
            ("locked long enough", Some((Governance, day(30.0))), false),
            ("a second short", Some((Governance, day(30.0 - 1.0 / 86_400.0))), true),
            ("more strictly", Some((Compliance, day(30.0))), false),
            ("over", Some((Governance, day(-1.0))), true),
        ] {
            let until = MONTH.extension(present, MONTH.needed(now), now, 0);
            assert_eq!(until, extended.then(|| day(37.5)), "{what}");
        }
        let strict = Immutability { mode: Compliance, ..MONTH };
        assert!(strict.extension(Some((Governance, day(90.0))), strict.needed(now), now, 0).is_some());
    }

    /// How many of 1,000 objects that every daily backup takes over are extended in each of so many backups.
    fn extended_daily(terms: &Immutability, backups: u32) -> Vec<usize> {
        let spread = |object: u32, day: u32| {
            let mixed = ((u64::from(object) << 32) | u64::from(day)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 48) as u16
        };
        let mut locked: Vec<Timestamp> = (0..1_000).map(|object| terms.target(day(0.0), spread(object, 0))).collect();
        let mut counts = Vec::new();
        for backup in 1..=backups {
            let now = day(f64::from(backup));
            let mut count = 0;
            for (object, until) in (0..).zip(&mut locked) {
                let present = Some((terms.mode, *until));
                if let Some(next) = terms.extension(present, terms.needed(now), now, spread(object, backup)) {
                    (*until, count) = (next, count + 1);
                }
                assert!(*until >= terms.needed(now), "day {backup}, object {object}");
            }
            counts.push(count);
        }
        counts
    }

    #[test]
    fn a_daily_backup_extends_a_small_part_of_what_it_takes_over() {
        // Days, backups until all of them are due for the first time, extended a day on average, the most in one backup.
        for (days, first, average, most) in [(7, 2, 300, 600), (14, 3, 185, 350), (30, 7, 90, 170), (90, 15, 45, 90)] {
            let counts = extended_daily(&Immutability { days, ..MONTH }, 365);
            assert_eq!(counts[..first].iter().sum::<usize>(), 0, "{days} days: {counts:?}");
            let mean = counts.iter().sum::<usize>() / counts.len();
            assert!(mean <= average, "{days} days: {mean} a day");
            assert!(counts.iter().all(|count| *count <= most), "{days} days: {counts:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_extended_does_and_is_within_the_bounds(
            days in 1_u32..=MOST_DAYS, spread in any::<u16>(), present in prop::option::of(-100.0..400.0_f64), began in -20.0..0.0_f64,
        ) {
            let terms = Immutability { days, ..MONTH };
            let (now, needed) = (day(0.0), terms.needed(day(began)));
            let present = present.map(|until| (terms.mode, day(until)));
            let until = match terms.extension(present, needed, now, spread) {
                Some(until) => {
                    prop_assert!(until <= later(now, i64::from(terms.most_days()) * DAY));
                    until
                }
                None => present.unwrap().1,
            };
            prop_assert!(until >= needed);
            prop_assert_eq!(terms.extension(Some((terms.mode, until)), needed, now, spread), None);
        }
    }
}
