use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn cron(expression: &str, time_zone: &str) -> ScheduleText {
    ScheduleText::Cron { expression: expression.to_owned(), time_zone: time_zone.to_owned() }
}

fn runs(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(&cron(expression, zone)).unwrap();
    let mut at: Timestamp = after.parse().unwrap();
    let mut found = Vec::new();
    for _ in 0..count {
        at = schedule.next_after(at).unwrap();
        found.push(at.to_zoned(TimeZone::get(zone).unwrap()).strftime("%m-%d %H:%M %:z").to_string());
    }
    found
}

#[test]
fn an_ordinary_day_is_read_in_the_zone() {
    assert_eq!(runs("0 3 * * *", "UTC", "2026-11-20T02:59:59Z", 2), ["11-20 03:00 +00:00", "11-21 03:00 +00:00"]);
    assert_eq!(runs("0 3 * * *", "Europe/Berlin", "2026-11-20T02:00:00Z", 1), ["11-21 03:00 +01:00"]);
    assert_eq!(runs("30 23 * * SUN", "America/New_York", "2026-11-20T00:00:00Z", 1), ["11-22 23:30 -05:00"]);
}

#[test]
fn the_moment_itself_does_not_count_as_next() {
    assert_eq!(runs("0 3 * * *", "UTC", "2026-11-20T03:00:00Z", 1), ["11-21 03:00 +00:00"]);
}

#[test]
fn a_fixed_time_in_the_gap_of_spring_runs_right_after_it() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00.
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00"]
    );
}

#[test]
fn a_repeating_time_skips_the_gap() {
    assert_eq!(
        runs("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
        ["03-29 01:30 +01:00", "03-29 03:00 +02:00", "03-29 03:30 +02:00"]
    );
}

#[test]
fn a_fixed_time_in_the_doubled_hour_of_autumn_runs_once() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00.
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["10-25 02:30 +02:00", "10-26 02:30 +01:00"]
    );
}

#[test]
fn a_repeating_time_runs_through_the_doubled_hour_twice() {
    assert_eq!(
        runs("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 5),
        ["10-25 02:00 +02:00", "10-25 02:30 +02:00", "10-25 02:00 +01:00", "10-25 02:30 +01:00", "10-25 03:00 +01:00"]
    );
}

#[test]
fn a_leap_day_is_found() {
    assert_eq!(runs("0 0 29 2 *", "UTC", "2026-11-20T00:00:00Z", 1), ["02-29 00:00 +00:00"]);
}

#[test]
fn every_wrong_part_is_named() {
    for (expression, zone, want) in [
        ("0 3 * *", "UTC", vec!["\"0 3 * *\" is not a cron expression"]),
        ("0 0 3 * * *", "UTC", vec!["is not a cron expression"]),
        ("61 3 * * *", "UTC", vec!["is not a cron expression"]),
        ("", "UTC", vec!["is not a cron expression"]),
        ("0 0 30 2 *", "UTC", vec!["\"0 0 30 2 *\" never comes up"]),
        ("0 3 * * *", "Europe/Atlantis", vec!["\"Europe/Atlantis\" is not a known time zone"]),
        ("nightly", "Mars", vec!["is not a cron expression", "is not a known time zone"]),
    ] {
        let errors = Schedule::parse(&cron(expression, zone)).unwrap_err();
        assert_eq!(errors.len(), want.len(), "{expression} {zone}: {errors:?}");
        for (error, want) in errors.iter().zip(want) {
            assert!(error.to_string().contains(want), "{error} lacks {want}");
        }
    }
}

#[test]
fn a_manual_schedule_never_comes_up() {
    let manual = Schedule::parse(&ScheduleText::Manual).unwrap();
    assert_eq!(manual.next_after(Timestamp::UNIX_EPOCH), None);
}

proptest! {
    #[test]
    fn the_next_run_is_always_later_and_nothing_lies_between(
        seconds in 1_577_836_800_i64..1_893_456_000,
        minute in 0_u8..60,
        hour in 0_u8..24,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    ) {
        let schedule = Schedule::parse(&cron(&format!("{minute} {hour} * * *"), zone)).unwrap();
        let after = Timestamp::from_second(seconds).unwrap();
        let next = schedule.next_after(after).unwrap();
        prop_assert!(next > after);
        prop_assert!(next.duration_since(after).as_hours() <= 25);
    }
}
