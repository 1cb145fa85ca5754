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
use crate::workers::{EVENT_FINISHED, restored};

/// The outcome, with what may be left where nobody has said that it is not.
pub(super) async fn said(state: &State, session: &Session, outcome: Outcome) -> Result<Outcome> {
    let (Request::DatabaseRestore(request), Err(stop)) = (&session.request, &outcome) else { return Ok(outcome) };
    let Some(epoch) = state.last_at_work(&session.id).await? else { return Ok(outcome) };
    let last = state.last_event(&session.id, epoch, EVENT_FINISHED).await?;
    if last.is_some_and(|event| Finished::decode(event.body.as_slice()).is_ok_and(|last| last.result.is_some())) {
        return Ok(outcome);
    }
    let databases = unrestored(request, &restored::parts(state, &session.id).await?);
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

/// The databases that nobody has reported as complete.
fn unrestored(request: &RestoreRequest, parts: &[PartRestored]) -> Vec<Asked> {
    let names = restored::names(request, parts);
    let open = request.databases.iter().zip(names).filter(|(_, name)| name.is_none());
    open.map(|(selection, _)| asked(selection)).collect()
}

fn asked(selection: &DatabaseSelection) -> Asked {
    Asked {
        database: selection.database.clone(),
        name: selection.name_on_target().to_owned(),
        replaces: selection.on_clash == OnClash::Replace,
    }
}
