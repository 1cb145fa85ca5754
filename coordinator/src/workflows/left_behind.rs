//! A restore that ends without its worker's word says what may be left on its target.
//!
//! A worker that ends by itself has tidied up, or says what it could not. One that is lost, is cut off by the end of its
//! session, or takes no notice of a cancel says nothing, and the next one may never come to look: all workers are used up,
//! there is no room for another, or somebody cancels in between. Then the names are computed here.

use haulier_domain::postgres::left_behind::{Asked, LeftBehind};
use haulier_domain::session::{Outcome, Stop};
use haulier_proto::worker::v1::{Finished, PartRestored};
use prost::Message as _;

use crate::sessions::{DatabaseSelection, OnClash, Request, RestoreRequest};
use crate::state::{Result, Session, State};
use crate::workers::{EVENT_FINISHED, EVENT_PART_RESTORED};

/// The outcome, with what may be left where nobody has said that it is not.
pub(super) async fn said(state: &State, session: &Session, outcome: Outcome) -> Result<Outcome> {
    let (Request::DatabaseRestore(request), Err(stop)) = (&session.request, &outcome) else { return Ok(outcome) };
    let Some(epoch) = state.last_at_work(&session.id).await? else { return Ok(outcome) };
    let last = state.last_event(&session.id, epoch, EVENT_FINISHED).await?;
    if last.is_some_and(|event| Finished::decode(event.body.as_slice()).is_ok_and(|last| last.result.is_some())) {
        return Ok(outcome);
    }
    let databases = unrestored(request, &restored(state, session).await?);
    if databases.is_empty() {
        return Ok(outcome);
    }
    let left = LeftBehind { key: session.id.as_str(), instance: &request.target.id, databases: &databases };
    let cause = format!("the session ended without a word from its worker of epoch {epoch}, which was at work");
    Ok(Err(match stop {
        Stop::Failed(failure) => Stop::Failed(left.add_to(failure.clone())),
        Stop::CancelledLeaving(failure) => Stop::CancelledLeaving(left.add_to(failure.clone())),
        Stop::Cancelled => Stop::CancelledLeaving(left.failure(cause)),
    }))
}

/// What the workers of a session have reported as complete.
pub(super) async fn restored(state: &State, session: &Session) -> Result<Vec<PartRestored>> {
    let events = state.events_of_session(&session.id, EVENT_PART_RESTORED).await?;
    // One that cannot be read says nothing; its database is found on the target by its mark.
    Ok(events.iter().filter_map(|event| PartRestored::decode(event.body.as_slice()).ok()).collect())
}

/// The databases that nobody has reported as complete.
fn unrestored(request: &RestoreRequest, restored: &[PartRestored]) -> Vec<Asked> {
    let mut restored: Vec<_> =
        restored.iter().map(|part| (part.database.as_str(), part.target_name.as_str())).collect();
    let still_open = |asked: &Asked| {
        let found = restored.iter().position(|one| *one == (asked.database.as_str(), asked.name.as_str()));
        found.map(|place| restored.remove(place)).is_none()
    };
    request.databases.iter().map(asked).filter(still_open).collect()
}

fn asked(selection: &DatabaseSelection) -> Asked {
    let name = if selection.target_name.is_empty() { &selection.database } else { &selection.target_name };
    Asked { database: selection.database.clone(), name: name.clone(), replaces: selection.on_clash == OnClash::Replace }
}
