//! Where the work stands. The mover reports every step, thousands a second; the meter only adds up. Whoever shows
//! progress looks at the meter when it pleases, so that nothing queues and nothing is late.
//!
//! What is shown must not mislead: only what is on the move now is named; the time to go is told once a rate has been
//! measured for a while against a total that is known, and follows the average of a longer stretch than the rate, since
//! nobody can use a forecast that jumps; and when the work has ended, the last figures are those of the whole of it.

use std::collections::VecDeque;
use std::time::Duration;

use haulier_proto::common::v1 as common;
use haulier_proto::to_timestamp;
use jiff::Timestamp;
use tokio::time::Instant;

/// The rate is taken over this long.
const WINDOW: Duration = Duration::from_secs(5);
/// The time to go is taken from the average rate over this long.
const FORECAST: Duration = Duration::from_secs(30);
/// Before so long there is no forecast: a phase begins with what was cached, or with nothing.
const SETTLED: Duration = Duration::from_secs(3);
/// Samples are at least so far apart.
const SAMPLE: Duration = Duration::from_millis(100);

/// Counters of one phase, and those of the whole work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counters {
    read: u64,
    new: u64,
    stored: u64,
}

/// Adds up progress.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: &'static str,
    label: String,
    moving: Vec<String>,
    expected: u64,
    counters: Counters,
    earlier: Counters,
    samples: VecDeque<(Instant, u64)>,
    changes: u64,
    ended: bool,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            phase: "starting",
            label: String::new(),
            moving: Vec::new(),
            expected: 0,
            counters: Counters::default(),
            earlier: Counters::default(),
            samples: VecDeque::new(),
            changes: 0,
            ended: false,
        }
    }

    /// A number that grows with each change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// A phase begins: its counters start anew.
    pub(crate) fn phase(&mut self, phase: &'static str) {
        let ended = std::mem::take(&mut self.counters);
        self.earlier.read += ended.read;
        self.earlier.new += ended.new;
        self.earlier.stored += ended.stored;
        (self.phase, self.expected) = (phase, 0);
        self.label.clear();
        self.samples.clear();
        self.changes += 1;
    }

    /// What the phase is about.
    pub(crate) fn current(&mut self, what: String) {
        self.label = what;
        self.changes += 1;
    }

    /// Something begins to be moved.
    pub(crate) fn begun(&mut self, what: String) {
        self.moving.push(what);
        self.changes += 1;
    }

    /// It is moved, or given up.
    pub(crate) fn ended(&mut self, what: &str) {
        if let Some(place) = self.moving.iter().position(|moving| moving == what) {
            self.moving.remove(place);
            self.changes += 1;
        }
    }

    /// So many bytes are expected in this phase.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.expected = bytes;
        self.changes += 1;
    }

    /// So many more bytes were moved.
    pub(crate) fn moved(&mut self, bytes: u64, now: Instant) {
        if self.samples.is_empty() {
            self.samples.push_back((now, self.counters.read));
        }
        self.counters.read += bytes;
        self.changes += 1;
        let due = self.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= SAMPLE);
        if due {
            self.samples.push_back((now, self.counters.read));
        }
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= FORECAST) {
            self.samples.pop_front();
        }
    }

    /// The repository had to take so much in: plain bytes it did not have, and what they came to.
    pub(crate) fn stored(&mut self, new: u64, stored: u64) {
        self.counters.new += new;
        self.counters.stored += stored;
        self.changes += 1;
    }

    /// The work has ended: from now on the figures are those of the whole of it.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.changes += 1;
    }

    /// Bytes per second since the youngest sample that is at least so old, else since the first; nothing before
    /// `settled`.
    fn rate(&self, now: Instant, window: Duration, settled: Duration) -> Option<f64> {
        let age = |at: &Instant| now.duration_since(*at);
        let young = self.samples.iter().rev().find(|(at, _)| age(at) >= window);
        let (since, before) = young.or_else(|| self.samples.front()).filter(|(at, _)| age(at) >= settled)?;
        Some(self.counters.read.saturating_sub(*before) as f64 / age(since).as_secs_f64())
    }

    /// Seconds to go. None where the total is not known, or was guessed too low.
    fn to_go(&self, now: Instant) -> Option<u64> {
        let left = self.expected.checked_sub(self.counters.read).filter(|left| *left > 0)?;
        let rate = self.rate(now, FORECAST, SETTLED).filter(|rate| *rate >= 1.0)?;
        Some((left as f64 / rate).ceil() as u64)
    }

    /// What is on the move: the one that has been so the longest, and how many there are besides.
    fn on_the_move(&self) -> String {
        match self.moving.as_slice() {
            [] => self.label.clone(),
            [one] => one.clone(),
            [first, others @ ..] => format!("{first}, and {} more", others.len()),
        }
    }

    /// What there is to show now.
    pub(crate) fn snapshot(&self, now: Instant, at: Timestamp) -> common::Progress {
        if self.ended {
            return common::Progress { phase: self.phase.to_owned(), ..self.totals(at) };
        }
        common::Progress {
            phase: self.phase.to_owned(),
            current: self.on_the_move(),
            bytes_read: self.counters.read,
            bytes_new: self.counters.new,
            bytes_stored: self.counters.stored,
            // A guess that was passed was none.
            bytes_total: if self.counters.read > self.expected { 0 } else { self.expected },
            rate: self.rate(now, WINDOW, SAMPLE).unwrap_or_default() as u64,
            eta_seconds: self.to_go(now),
            at: Some(to_timestamp(at)),
        }
    }

    /// The counters of the whole work, every phase of it.
    pub(crate) fn totals(&self, at: Timestamp) -> common::Progress {
        common::Progress {
            phase: "done".to_owned(),
            bytes_read: self.earlier.read + self.counters.read,
            bytes_new: self.earlier.new + self.counters.new,
            bytes_stored: self.earlier.stored + self.counters.stored,
            at: Some(to_timestamp(at)),
            ..common::Progress::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(meter: &Meter, at: Instant) -> common::Progress {
        meter.snapshot(at, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut meter = Meter::new();
        meter.phase("data");
        assert_eq!(show(&meter, at(0)).rate, 0);
        for step in 0..=10 {
            meter.moved(100, at(step * 100));
        }
        assert_eq!(show(&meter, at(1_000)).rate, 1_100);
        // A slower stretch takes over once the window has passed.
        for second in 2..=10 {
            meter.moved(100, at(second * 1_000));
        }
        assert_eq!(show(&meter, at(10_000)).rate, 100);
        // Nothing moves any more: the rate falls.
        assert!(show(&meter, at(60_000)).rate < 20);
    }

    #[test]
    fn a_time_to_go_needs_a_settled_rate_and_a_known_total() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut meter = Meter::new();
        meter.phase("data");
        // The first megabyte comes out of a cache, then a thousand bytes a second.
        meter.moved(1_000_000, at(0));
        for second in 1..=2 {
            meter.moved(1_000, at(second * 1_000));
        }
        meter.expect(1_100_000);
        assert_eq!(show(&meter, at(2_900)).eta_seconds, None, "the rate has not settled");
        for second in 3..=60 {
            meter.moved(1_000, at(second * 1_000));
        }
        let settled = show(&meter, at(60_000));
        assert_eq!((settled.rate, settled.eta_seconds), (1_000, Some(40)));
        // A burst of a second moves the rate and hardly the forecast.
        meter.moved(10_000, at(61_000));
        let burst = show(&meter, at(61_000));
        assert!(burst.rate > 2_500 && (20..=40).contains(&burst.eta_seconds.unwrap()), "{burst:?}");
        meter.expect(0);
        assert_eq!(show(&meter, at(61_000)).eta_seconds, None, "the total is unknown");
    }

    #[test]
    fn a_total_that_was_guessed_too_low_is_taken_back() {
        let now = Instant::now();
        let mut meter = Meter::new();
        meter.expect(100);
        meter.moved(100, now);
        assert_eq!(show(&meter, now).bytes_total, 100);
        meter.moved(1, now);
        let late = show(&meter, now + Duration::from_secs(10));
        assert_eq!((late.bytes_total, late.eta_seconds), (0, None));
    }

    #[test]
    fn only_what_is_on_the_move_is_named() {
        let now = Instant::now();
        let mut meter = Meter::new();
        let named = |meter: &Meter| show(meter, now).current;
        meter.phase("data");
        meter.current("shop".into());
        assert_eq!(named(&meter), "shop");
        for table in ["a", "b", "c"] {
            meter.begun(table.into());
        }
        assert_eq!(named(&meter), "a, and 2 more");
        let changes = meter.changes();
        meter.ended("a");
        meter.ended("c");
        assert!(meter.changes() > changes);
        assert_eq!(named(&meter), "b", "what ended is not shown any more");
        meter.ended("b");
        assert_eq!(named(&meter), "shop");
        meter.phase("indexes");
        assert_eq!(named(&meter), "");
    }

    #[test]
    fn a_phase_starts_anew_and_the_totals_go_on() {
        let now = Instant::now();
        let mut meter = Meter::new();
        meter.phase("schema");
        meter.moved(10, now);
        meter.stored(8, 4);
        meter.phase("data");
        meter.moved(5, now);
        let shown = show(&meter, now);
        assert_eq!((shown.phase.as_str(), shown.bytes_read, shown.bytes_new), ("data", 5, 0));
        let totals = meter.totals(Timestamp::UNIX_EPOCH);
        assert_eq!((totals.bytes_read, totals.bytes_new, totals.bytes_stored), (15, 8, 4));
    }

    #[test]
    fn the_last_figures_are_those_of_the_whole_work() {
        let now = Instant::now();
        let mut meter = Meter::new();
        meter.phase("data");
        meter.expect(20);
        meter.moved(10, now);
        meter.stored(8, 4);
        meter.phase("store");
        assert_eq!(show(&meter, now).bytes_read, 0);
        let changes = meter.changes();
        meter.end();
        assert!(meter.changes() > changes, "they are shown once more");
        let last = show(&meter, now + Duration::from_secs(9));
        assert_eq!((last.phase.as_str(), last.bytes_read, last.bytes_new, last.bytes_stored), ("store", 10, 8, 4));
        assert_eq!((last.rate, last.eta_seconds, last.bytes_total), (0, None, 0));
    }
}
