//! Where the work stands. The mover reports every step, thousands a second; the meter only adds up. Whoever shows
//! progress looks at the meter when it pleases, so that nothing queues and nothing is late.

use std::collections::VecDeque;
use std::time::Duration;

use haulier_proto::common::v1 as common;
use haulier_proto::to_timestamp;
use jiff::Timestamp;
use tokio::time::Instant;

/// Rates are taken over this long.
const WINDOW: Duration = Duration::from_secs(5);
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
    current: String,
    expected: u64,
    counters: Counters,
    earlier: Counters,
    samples: VecDeque<(Instant, u64)>,
    changes: u64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            phase: "starting",
            current: String::new(),
            expected: 0,
            counters: Counters::default(),
            earlier: Counters::default(),
            samples: VecDeque::new(),
            changes: 0,
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
        self.current.clear();
        self.samples.clear();
        self.changes += 1;
    }

    /// Something is being moved.
    pub(crate) fn current(&mut self, what: String) {
        self.current = what;
        self.changes += 1;
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
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// The repository had to take so much in: plain bytes it did not have, and what they came to.
    pub(crate) fn stored(&mut self, new: u64, stored: u64) {
        self.counters.new += new;
        self.counters.stored += stored;
        self.changes += 1;
    }

    /// Bytes per second over the last seconds.
    fn rate(&self, now: Instant) -> u64 {
        let Some((since, before)) = self.samples.front() else { return 0 };
        let seconds = now.duration_since(*since).as_secs_f64();
        if seconds < SAMPLE.as_secs_f64() {
            return 0;
        }
        (self.counters.read.saturating_sub(*before) as f64 / seconds) as u64
    }

    /// What there is to show now.
    pub(crate) fn snapshot(&self, now: Instant, at: Timestamp) -> common::Progress {
        let rate = self.rate(now);
        let left = self.expected.saturating_sub(self.counters.read);
        common::Progress {
            phase: self.phase.to_owned(),
            current: self.current.clone(),
            bytes_read: self.counters.read,
            bytes_new: self.counters.new,
            bytes_stored: self.counters.stored,
            bytes_total: self.expected,
            rate,
            eta_seconds: (self.expected > 0 && rate > 0).then(|| left.div_ceil(rate)),
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

    #[test]
    fn rate_and_time_to_go_follow_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let show = |meter: &Meter, millis| meter.snapshot(at(millis), Timestamp::UNIX_EPOCH);
        let mut meter = Meter::new();
        meter.phase("data");
        assert_eq!((show(&meter, 0).rate, show(&meter, 0).eta_seconds), (0, None));
        meter.expect(10_000);
        for step in 0..=10 {
            meter.moved(100, at(step * 100));
        }
        // 1,100 bytes in a second, 8,900 to go.
        assert_eq!((show(&meter, 1_000).rate, show(&meter, 1_000).eta_seconds), (1_100, Some(9)));
        // A slower stretch takes over once the window has passed.
        for second in 2..=10 {
            meter.moved(100, at(second * 1_000));
        }
        assert_eq!(show(&meter, 10_000).rate, 100);
        // Nothing moves any more: the rate falls.
        assert!(show(&meter, 60_000).rate < 20);
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
        let shown = meter.snapshot(now, Timestamp::UNIX_EPOCH);
        assert_eq!((shown.phase.as_str(), shown.bytes_read, shown.bytes_new), ("data", 5, 0));
        let totals = meter.totals(Timestamp::UNIX_EPOCH);
        assert_eq!((totals.bytes_read, totals.bytes_new, totals.bytes_stored), (15, 8, 4));
    }
}
