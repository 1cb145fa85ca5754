//! When a native backup had better not run. RDS cancels one that overlaps the automated backup window, and begins none in the
//! maintenance window. How long a backup will take is not known, so only its beginning is kept out of them, with a margin.

use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;

/// A backup does not begin so shortly before a window.
const MARGIN: i64 = 10;
/// The longest time that is waited for a window to end.
const PATIENCE: SignedDuration = SignedDuration::from_hours(4);

const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;
/// 1970-01-01 was a Thursday: minutes since the Monday before.
const THURSDAY: i64 = 3 * DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The windows of an instance, as RDS writes them in UTC. One that cannot be read is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Windows<'a> {
    /// `03:10-03:40`; absent where RDS takes no automated backups.
    pub backup: Option<&'a str>,
    /// `sun:04:00-sun:04:30`.
    pub maintenance: Option<&'a str>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Begin.
    Begin,
    /// Wait until this moment, then ask again.
    Wait {
        /// When the window is over.
        until: Timestamp,
        /// Which window it is, in words.
        window: String,
    },
}

/// A stretch of time that comes back, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    start: i64,
    length: i64,
    period: i64,
}

/// Decides whether a native backup may begin.
///
/// # Errors
/// Where a window is too long to be waited for.
pub fn verdict(instance: &str, now: Timestamp, windows: Windows<'_>) -> Result<Verdict, Failure> {
    let backup = windows.backup.and_then(|text| Some(("backup", text, daily(text)?)));
    let maintenance = windows.maintenance.and_then(|text| Some(("maintenance", text, weekly(text)?)));
    let over = backup
        .into_iter()
        .chain(maintenance)
        .filter_map(|(name, text, window)| Some((window.over(now)?, format!("its {name} window {text} UTC"))));
    let Some((until, window)) = over.max_by_key(|(until, _)| *until) else { return Ok(Verdict::Begin) };
    if until.duration_since(now) <= PATIENCE {
        return Ok(Verdict::Wait { until, window });
    }
    let what = format!("choosing the time of a native backup of {instance}");
    let cause = format!("{window} lasts until {until}, and RDS begins or finishes no native backup in it");
    let remedy = "schedule the policy outside the instance's windows, or make the window shorter";
    Err(Failure::new("native-backup-window", what, cause, remedy).retryable())
}

impl Window {
    /// When it is over, if it holds now or soon.
    fn over(self, now: Timestamp) -> Option<Timestamp> {
        let minute = now.as_second().div_euclid(60) + THURSDAY;
        let since = (minute - (self.start - MARGIN)).rem_euclid(self.period);
        let left = self.length + MARGIN - since;
        let begun = Timestamp::from_second(now.as_second().div_euclid(60) * 60).ok()?;
        (left > 0).then(|| begun.saturating_add(SignedDuration::from_mins(left)).unwrap_or(now))
    }
}

fn daily(text: &str) -> Option<Window> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (minute_of_day(start)?, minute_of_day(end)?);
    Some(Window { start, length: (end - start).rem_euclid(DAY), period: DAY })
}

fn weekly(text: &str) -> Option<Window> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (minute_of_week(start)?, minute_of_week(end)?);
    Some(Window { start, length: (end - start).rem_euclid(WEEK), period: WEEK })
}

fn minute_of_week(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(':')?;
    let day = DAYS.iter().position(|name| day.eq_ignore_ascii_case(name))?;
    Some(i64::try_from(day).ok()? * DAY + minute_of_day(time)?)
}

fn minute_of_day(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(now: &str, backup: Option<&str>, maintenance: Option<&str>) -> Option<String> {
        match verdict("crm", now.parse().unwrap(), Windows { backup, maintenance }).unwrap() {
            Verdict::Begin => None,
            Verdict::Wait { until, .. } => Some(until.to_string()),
        }
    }

    #[test]
    fn a_backup_begins_outside_the_windows() {
        // 2026-11-22 is a Sunday.
        let sunday = |time: &str| format!("2026-11-22T{time}:30Z");
        for (now, backup, maintenance, expected) in [
            (sunday("02:59"), Some("03:10-03:40"), None, None),
            (sunday("03:00"), Some("03:10-03:40"), None, Some("2026-11-22T03:40:00Z")),
            (sunday("03:39"), Some("03:10-03:40"), None, Some("2026-11-22T03:40:00Z")),
            (sunday("03:40"), Some("03:10-03:40"), None, None),
            (sunday("23:55"), Some("23:50-00:20"), None, Some("2026-11-23T00:20:00Z")),
            (sunday("00:10"), Some("23:50-00:20"), None, Some("2026-11-22T00:20:00Z")),
            (sunday("04:10"), None, Some("sun:04:00-sun:04:30"), Some("2026-11-22T04:30:00Z")),
            (sunday("04:10"), None, Some("mon:04:00-mon:04:30"), None),
            (sunday("23:55"), None, Some("Sun:23:45-Mon:00:15"), Some("2026-11-23T00:15:00Z")),
            // Both: the later end.
            (sunday("04:10"), Some("04:00-04:20"), Some("sun:04:00-sun:04:30"), Some("2026-11-22T04:30:00Z")),
            (sunday("04:10"), Some("nonsense"), Some("sun:04:00"), None),
            (sunday("04:10"), Some("25:00-26:00"), Some("day:04:00-sun:04:30"), None),
            (sunday("04:10"), None, None, None),
        ] {
            assert_eq!(until(&now, backup, maintenance).as_deref(), expected, "{now} {backup:?} {maintenance:?}");
        }
    }

    #[test]
    fn a_window_that_is_too_long_to_wait_for_is_refused_with_its_end() {
        let windows = Windows { backup: None, maintenance: Some("sun:04:00-sun:23:00") };
        let failure = verdict("crm", "2026-11-22T05:00:00Z".parse().unwrap(), windows).unwrap_err();
        assert_eq!(failure.code, "native-backup-window");
        assert!(failure.retryable && failure.cause.contains("2026-11-22T23:00:00Z"), "{failure}");
    }
}
