//! Where a job reports to, and where the stream to the coordinator takes its messages from. The two never meet: a job goes
//! on at its own pace whether or not anybody is connected.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haulier_domain::failure::Failure;
use haulier_proto::common::v1 as common;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::event::Event;
use haulier_proto::worker::v1::finished;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::outbox::{Outbox, log_line};
use crate::progress::Meter;
use crate::redact::Redactor;

pub use haulier_proto::common::v1::Severity;

/// Where a job reports to. Clones are the same desk. No call blocks.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    outbox: Mutex<Outbox>,
    /// Told at each event; one stream at a time listens.
    grown: Notify,
    /// The highest number that is safe.
    safe: watch::Sender<u64>,
    meter: Mutex<Meter>,
    /// The last place of log backups that the coordinator was told of.
    log_target: Mutex<Option<String>>,
    redactor: Redactor,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// An empty desk; what goes over it is cleaned of what the redactor knows.
    pub fn new(redactor: Redactor) -> Self {
        Self(Arc::new(Inner {
            outbox: Mutex::new(Outbox::new()),
            grown: Notify::new(),
            safe: watch::Sender::new(0),
            meter: Mutex::new(Meter::new()),
            log_target: Mutex::new(None),
            redactor,
        }))
    }

    /// Writes a line into the session's log.
    pub fn log(&self, severity: Severity, text: &str) {
        let text = self.0.redactor.clean(text).into_owned();
        match severity {
            Severity::Error => tracing::error!(text, "session log"),
            Severity::Warning => tracing::warn!(text, "session log"),
            Severity::Info | Severity::Unspecified => tracing::info!(text, "session log"),
        }
        self.push(Event::Log(log_line(severity, text, Timestamp::now())));
    }

    /// A phase begins: its counters start anew.
    pub fn phase(&self, phase: &'static str) {
        lock(&self.0.meter).phase(phase);
    }

    /// What the phase is about.
    pub fn current(&self, what: String) {
        lock(&self.0.meter).current(what);
    }

    /// Something begins to be moved.
    pub fn begun(&self, what: String) {
        lock(&self.0.meter).begun(what);
    }

    /// It is moved, or given up.
    pub fn ended(&self, what: &str) {
        lock(&self.0.meter).ended(what);
    }

    /// So many bytes are expected in this phase.
    pub fn expect(&self, bytes: u64) {
        lock(&self.0.meter).expect(bytes);
    }

    /// So many more bytes were moved.
    pub fn moved(&self, bytes: u64) {
        lock(&self.0.meter).moved(bytes, Instant::now());
    }

    /// The repository took in so many bytes that it did not have, which came to so many.
    pub fn stored(&self, new: u64, stored: u64) {
        lock(&self.0.meter).stored(new, stored);
    }

    /// A restore point is complete: the JSON of its root.
    pub(crate) fn propose(&self, root: Vec<u8>) {
        self.push(Event::PointProposed(wire::PointProposed { root }));
    }

    /// A part of a restore is complete.
    pub(crate) fn part_restored(&self, part: wire::PartRestored) {
        self.push(Event::PartRestored(part));
    }

    /// A task of the engine's own was submitted.
    pub(crate) fn task_submitted(&self, task: wire::TaskSubmitted) {
        self.push(Event::TaskSubmitted(task));
    }

    /// A task of the engine's own has ended.
    pub(crate) fn task_ended(&self, task: wire::TaskEnded) {
        self.push(Event::TaskEnded(task));
    }

    /// The instance is about to copy log backups elsewhere than it does so far; or, with no ARN, it does again as it did.
    pub(crate) fn log_target_replaced(&self, target: wire::LogTargetReplaced) {
        *lock(&self.0.log_target) = Some(target.target_arn.clone());
        self.push(Event::LogTargetReplaced(target));
    }

    /// Where the instance copied log backups to before this worker, as it has told: empty where it does so again; `None` where
    /// it has told nothing.
    pub(crate) fn log_target(&self) -> Option<String> {
        lock(&self.0.log_target).clone()
    }

    /// The work is done, perhaps with remarks.
    pub(crate) fn done(&self, warnings: Vec<String>, report: Vec<u8>) {
        let warnings = warnings.iter().map(|text| self.0.redactor.clean(text).into_owned()).collect();
        lock(&self.0.meter).phase("done");
        let totals = Some(lock(&self.0.meter).totals(Timestamp::now()));
        self.finish(finished::Result::Done(wire::Done { warnings, report, totals }));
    }

    /// The work has failed.
    pub(crate) fn failed(&self, failure: Failure) {
        let failure = self.0.redactor.clean_failure(failure);
        tracing::error!(code = failure.code, %failure, "the assignment failed");
        self.finish(finished::Result::Failure(failure.into()));
    }

    /// The work was stopped on request. What it left on a target, if anything, must be removed by hand.
    pub(crate) fn cancelled(&self, left: Option<Failure>) {
        let left = left.map(|failure| self.0.redactor.clean_failure(failure));
        if let Some(failure) = &left {
            tracing::error!(code = failure.code, %failure, "stopped on request");
        }
        self.finish(finished::Result::Cancelled(wire::Cancelled { left: left.map(Into::into), not_begun: false }));
    }

    /// The work was stopped on request before it had begun.
    pub(crate) fn cancelled_before(&self) {
        self.finish(finished::Result::Cancelled(wire::Cancelled { left: None, not_begun: true }));
    }

    fn finish(&self, result: finished::Result) {
        lock(&self.0.meter).end();
        self.push(Event::Finished(wire::Finished { result: Some(result) }));
    }

    fn push(&self, event: Event) {
        lock(&self.0.outbox).push(event);
        self.0.grown.notify_one();
    }

    /// The first event after this number.
    pub(crate) fn event_after(&self, sequence: u64) -> Option<wire::Event> {
        lock(&self.0.outbox).after(sequence).cloned()
    }

    /// Whether there is an event after this number.
    pub(crate) fn has_event_after(&self, sequence: u64) -> bool {
        lock(&self.0.outbox).after(sequence).is_some()
    }

    /// Waits for an event.
    pub(crate) async fn grown(&self) {
        self.0.grown.notified().await;
    }

    /// Everything up to this number is safe.
    pub(crate) fn acknowledge(&self, sequence: u64) {
        lock(&self.0.outbox).acknowledge(sequence);
        self.0.safe.send_if_modified(|safe| {
            let grows = sequence > *safe;
            *safe = (*safe).max(sequence);
            grows
        });
    }

    /// Returns once the coordinator has every event there is now.
    pub(crate) async fn safe(&self) {
        let newest = lock(&self.0.outbox).newest();
        // The sender lives as long as this desk.
        let _ = self.0.safe.subscribe().wait_for(|safe| *safe >= newest).await;
    }

    /// Whether the coordinator has every event.
    pub fn is_clear(&self) -> bool {
        lock(&self.0.outbox).is_empty()
    }

    /// Progress, if it has changed since the number given, with the new number.
    pub(crate) fn progress_since(&self, changes: u64) -> Option<(u64, common::Progress)> {
        let meter = lock(&self.0.meter);
        let now = meter.changes();
        (now != changes).then(|| (now, meter.snapshot(Instant::now(), Timestamp::now())))
    }
}
