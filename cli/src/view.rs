//! Answers as JSON documents and table rows. Field names are part of the interface: they are added to, never renamed.

mod key;
mod lists;
mod point;
mod policy;
mod proof;
mod prune;
mod session;
mod target;

use haulier_proto::from_timestamp;
use jiff::Timestamp;

pub(crate) use key::KeyView;
pub(crate) use lists::{LedgerView, RepositoryView, ResourceView, WorkerView};
pub(crate) use point::PointView;
pub(crate) use policy::{FaultView, PolicyView};
pub(crate) use proof::ProofView;
pub(crate) use session::{EndView, LogView, ProgressView, SessionView};
pub(crate) use target::TargetView;

fn time(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(from_timestamp)
}

/// `None` where the coordinator says nothing.
fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
