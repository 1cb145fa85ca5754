//! Answers as JSON documents and table rows. Field names are part of the interface: they are added to, never renamed.

mod key;
mod lists;
mod point;
mod policy;
mod proof;
mod prune;
mod session;
mod target;

use haulier_proto::common::v1::RetentionMode;
use haulier_proto::from_timestamp;
use jiff::Timestamp;

pub(crate) use key::KeyView;
pub(crate) use lists::{HiddenView, LedgerView, RepositoryView, ResourceView, WorkerView};
pub(crate) use point::PointView;
pub(crate) use policy::{FaultView, PolicyView};
pub(crate) use proof::ProofView;
pub(crate) use session::{EndView, LogView, ProgressView, SessionView};
pub(crate) use target::TargetView;

pub(crate) fn time(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(from_timestamp)
}

/// How strictly a lock holds; `None` where there is none.
fn retention_mode(mode: RetentionMode) -> Option<&'static str> {
    match mode {
        RetentionMode::Unspecified => None,
        RetentionMode::Governance => Some("governance"),
        RetentionMode::Compliance => Some("compliance"),
    }
}

/// `None` where the coordinator says nothing.
fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
