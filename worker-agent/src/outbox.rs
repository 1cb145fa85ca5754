//! Events that the coordinator must not lose. Each gets the next number and is kept until the coordinator says it is
//! safe; after a cut the rest is sent again, in order. The coordinator drops numbers it has seen, so nothing is lost and
//! nothing counts twice.
//!
//! The outbox is bounded: while a coordinator is away, log lines beyond the limit are counted instead of kept, and the
//! count is logged when there is room again. What decides about a session (a proposed point, its end) always fits.

use std::collections::VecDeque;

use haulier_proto::common::v1 as common;
use haulier_proto::to_timestamp;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::event::Event;
use jiff::Timestamp;

/// How many events wait at most before log lines are dropped.
const LIMIT: usize = 4_096;

/// Events not yet safe, oldest first.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<wire::Event>,
    next: u64,
    dropped: u64,
    limit: usize,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), next: 1, dropped: 0, limit: LIMIT }
    }

    /// Takes an event in.
    pub(crate) fn push(&mut self, event: Event) {
        if matches!(event, Event::Log(_)) && self.waiting.len() >= self.limit {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            let text = format!("{} log lines were dropped while the coordinator was away", self.dropped);
            self.dropped = 0;
            self.append(Event::Log(log_line(common::Severity::Warning, text, Timestamp::now())));
        }
        self.append(event);
    }

    fn append(&mut self, event: Event) {
        self.waiting.push_back(wire::Event { sequence: self.next, event: Some(event) });
        self.next += 1;
    }

    /// Everything up to this number is safe.
    pub(crate) fn acknowledge(&mut self, sequence: u64) {
        while self.waiting.front().is_some_and(|event| event.sequence <= sequence) {
            self.waiting.pop_front();
        }
    }

    /// The number of the newest event; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.next - 1
    }

    /// The first event after this number.
    pub(crate) fn after(&self, sequence: u64) -> Option<&wire::Event> {
        let first = self.waiting.front()?.sequence;
        let skip = (sequence + 1).saturating_sub(first);
        self.waiting.get(usize::try_from(skip).ok()?)
    }

    /// Whether the coordinator has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// A log line on the wire.
pub(crate) fn log_line(severity: common::Severity, text: String, at: Timestamp) -> common::LogLine {
    common::LogLine { at: Some(to_timestamp(at)), severity: severity.into(), text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> Event {
        Event::Log(log_line(common::Severity::Info, text.to_owned(), Timestamp::UNIX_EPOCH))
    }

    fn sequences(outbox: &Outbox, mut after: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some(event) = outbox.after(after) {
            after = event.sequence;
            sent.push(after);
        }
        sent
    }

    #[test]
    fn numbers_count_from_one_and_stay_until_acknowledged() {
        let mut outbox = Outbox::new();
        assert!(outbox.after(0).is_none());
        for text in ["a", "b", "c"] {
            outbox.push(line(text));
        }
        assert_eq!(sequences(&outbox, 0), [1, 2, 3]);
        assert_eq!(sequences(&outbox, 2), [3]);
        outbox.acknowledge(2);
        assert_eq!(sequences(&outbox, 0), [3]);
        assert_eq!(sequences(&outbox, 9), [0; 0]);
        outbox.acknowledge(3);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_full_outbox_drops_log_lines_says_so_and_keeps_what_decides() {
        let mut outbox = Outbox { limit: 2, ..Outbox::new() };
        for text in ["a", "b", "lost", "lost"] {
            outbox.push(line(text));
        }
        outbox.push(Event::Finished(wire::Finished { result: None }));
        assert_eq!(sequences(&outbox, 0), [1, 2, 3, 4]);
        let Some(Event::Log(said)) = outbox.after(2).and_then(|event| event.event.clone()) else { panic!("no line") };
        assert!(said.text.starts_with("2 log lines"), "{said:?}");
        assert!(matches!(outbox.after(3).and_then(|event| event.event.clone()), Some(Event::Finished(_))));
    }

    proptest! {
        /// Whatever is acknowledged in between, numbers have no gap and none is skipped.
        #[test]
        fn nothing_is_skipped(steps in prop::collection::vec(prop::option::of(0_u64..20), 1..40)) {
            let (mut outbox, mut pushed, mut acknowledged) = (Outbox::new(), 0_u64, 0_u64);
            for step in steps {
                match step {
                    None => {
                        outbox.push(line("x"));
                        pushed += 1;
                    }
                    Some(number) => {
                        outbox.acknowledge(number.min(pushed));
                        acknowledged = acknowledged.max(number.min(pushed));
                    }
                }
                let expected: Vec<u64> = (acknowledged + 1..=pushed).collect();
                prop_assert_eq!(sequences(&outbox, acknowledged), expected);
            }
        }
    }
}
