//! What workers send, in our own terms.

use haulier_domain::session::{Progress, Severity};
use haulier_proto::common::v1 as common;
use haulier_proto::from_timestamp;
use haulier_proto::worker::v1 as wire;
use jiff::Timestamp;
use prost::Message as _;

use super::{
    EVENT_FINISHED, EVENT_LOG_TARGET, EVENT_PART_RESTORED, EVENT_POINT_PROPOSED, EVENT_TASK_ENDED, EVENT_TASK_SUBMITTED,
};
use crate::state::DurableEvent;

/// Longest log line that is kept.
const LINE: usize = 4096;

/// Progress as sent.
pub fn progress(sent: &common::Progress) -> Progress {
    Progress {
        phase: sent.phase.clone(),
        current: sent.current.clone(),
        bytes_read: sent.bytes_read,
        bytes_new: sent.bytes_new,
        bytes_stored: sent.bytes_stored,
        bytes_total: sent.bytes_total,
        rate: sent.rate,
        eta_seconds: sent.eta_seconds,
        at: sent.at.as_ref().and_then(from_timestamp),
    }
}

/// A durable event as sent; `None` where it is of a kind that this version does not know, and is acknowledged unread.
pub(super) fn event(sent: wire::Event) -> Option<DurableEvent> {
    let other = |kind, body| Some(DurableEvent::Other { kind, body });
    match sent.event? {
        wire::event::Event::Log(line) => Some(log(line)),
        wire::event::Event::PointProposed(proposed) => other(EVENT_POINT_PROPOSED, proposed.encode_to_vec()),
        wire::event::Event::PartRestored(part) => other(EVENT_PART_RESTORED, part.encode_to_vec()),
        wire::event::Event::Finished(finished) => other(EVENT_FINISHED, finished.encode_to_vec()),
        wire::event::Event::TaskSubmitted(task) => other(EVENT_TASK_SUBMITTED, task.encode_to_vec()),
        wire::event::Event::TaskEnded(task) => other(EVENT_TASK_ENDED, task.encode_to_vec()),
        wire::event::Event::LogTargetReplaced(target) => other(EVENT_LOG_TARGET, target.encode_to_vec()),
    }
}

fn log(line: common::LogLine) -> DurableEvent {
    let severity = match line.severity() {
        common::Severity::Unspecified | common::Severity::Info => Severity::Info,
        common::Severity::Warning => Severity::Warning,
        common::Severity::Error => Severity::Error,
    };
    let mut text = line.text;
    text.truncate(text.floor_char_boundary(LINE));
    DurableEvent::Log { at: line.at.as_ref().and_then(from_timestamp).unwrap_or_else(Timestamp::now), severity, text }
}
