//! A restore that ends without its worker's word says what may be left on its target.
//!
//! A worker that ends by itself has tidied up, or says what it could not. One that is lost, is cut off by the end of its
//! session, or takes no notice of a cancel says nothing, and the next one may never come to look: all workers are used up,
//! there is no room for another, or somebody cancels in between. Then the names are computed here.
//!
//! Tasks that RDS carries out by itself may go on after that, too: they are named with how they are cancelled.

use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::postgres::clash::working_name;
use haulier_domain::postgres::left_behind::{Asked, CODE, LeftBehind};
use haulier_domain::session::{Outcome, Stop};
use haulier_proto::worker::v1::assignment::Work as Assigned;
use haulier_proto::worker::v1::{Assignment, Finished, PartRestored};
use prost::Message as _;

use crate::sessions::{DatabaseSelection, OnClash, Request, RestoreRequest};
use crate::state::{Result, Session, State};
use crate::workers::tasks::{self, Task};
use crate::workers::{EVENT_FINISHED, EVENT_PART_RESTORED, worker_id};

/// The outcome, with what may be left where nobody has said that it is not.
pub(super) async fn said(state: &State, session: &Session, outcome: Outcome) -> Result<Outcome> {
    let (Request::DatabaseRestore(request), Err(stop)) = (&session.request, &outcome) else { return Ok(outcome) };
    let Some(epoch) = without_a_word(state, session).await? else { return Ok(outcome) };
    if is_native(state, session, epoch).await? {
        return said_natively(state, session, request, stop.clone(), epoch).await.map(Err);
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

/// The epoch of the last worker at work, where it has not come to its end.
async fn without_a_word(state: &State, session: &Session) -> Result<Option<Epoch>> {
    let Some(epoch) = state.last_at_work(&session.id).await? else { return Ok(None) };
    let last = state.last_event(&session.id, epoch, EVENT_FINISHED).await?;
    let has_ended =
        last.is_some_and(|event| Finished::decode(event.body.as_slice()).is_ok_and(|last| last.result.is_some()));
    Ok((!has_ended).then_some(epoch))
}

/// Tasks that RDS may still be carrying out, since the worker that would have ended them was lost or cut off: what to do about
/// them, in words.
pub(super) async fn running_tasks(state: &State, session: &Session) -> Result<Option<String>> {
    if without_a_word(state, session).await?.is_none() {
        return Ok(None);
    }
    let tasks = tasks::of_session(state, &session.id).await?;
    let open: Vec<String> = tasks.into_iter().filter(|task| task.ended.is_none()).map(named).collect();
    Ok((!open.is_empty()).then(|| {
        format!(
            "RDS may still be at {}: cancel it with msdb.dbo.rds_cancel_task on {} if it is",
            open.join(", "),
            session.resource
        )
    }))
}

fn named(Task { submitted, .. }: Task) -> String {
    format!("task {} ({} of {})", submitted.task_id, submitted.kind, submitted.database)
}

/// Whether the worker was told to have RDS restore.
async fn is_native(state: &State, session: &Session, epoch: Epoch) -> Result<bool> {
    let (assignment, _) = state.assignment(&worker_id(&session.id, epoch)).await?;
    let assigned = Assignment::decode(assignment.as_slice()).ok().and_then(|assignment| assignment.work);
    Ok(matches!(assigned, Some(Assigned::RestoreSqlServer(_))))
}

/// What a native restore may have left: databases in the state RESTORING, or complete ones that nobody has reported. Without a
/// task of RDS there is none.
async fn said_natively(
    state: &State,
    session: &Session,
    request: &RestoreRequest,
    stop: Stop,
    epoch: Epoch,
) -> Result<Stop> {
    let restored = restored(state, session).await?;
    let key = session.id.as_str();
    let is_open = |task: &Task| restored.iter().all(|part| !is_of(key, part, &task.submitted.database));
    let tasks = tasks::of_session(state, &session.id).await?;
    let mut databases: Vec<String> =
        tasks.into_iter().filter(is_open).map(|task| format!("{:?}", task.submitted.database)).collect();
    databases.sort();
    databases.dedup();
    if databases.is_empty() {
        return Ok(stop);
    }
    let target = &request.target.id;
    let left = format!("{target} may still have databases that RDS was restoring: {}", databases.join(", "));
    let remedy = format!("look for them on {target}, and drop with msdb.dbo.rds_drop_database what is not wanted");
    let add_to = |failure: &Failure| Failure {
        cause: format!("{}; {left}", failure.cause),
        remedy: format!("{remedy}; {}", failure.remedy),
        ..failure.clone()
    };
    Ok(match &stop {
        Stop::Failed(failure) => Stop::Failed(add_to(failure)),
        Stop::CancelledLeaving(failure) => Stop::CancelledLeaving(add_to(failure)),
        Stop::Cancelled => {
            let what = format!("removing from {target} what was half-restored");
            let cause =
                format!("the session ended without a word from its worker of epoch {epoch}, which was at work; {left}");
            Stop::CancelledLeaving(Failure::new(CODE, what, cause, remedy))
        }
    })
}

/// Whether a task for a database of this name belongs to the part: RDS restores it under its last name, or under one of its own
/// until it is complete.
fn is_of(key: &str, part: &PartRestored, name: &str) -> bool {
    let working = working_name(key, &part.database, &part.target_name);
    [&part.restored_as, &part.target_name, &working].into_iter().any(|known| known == name)
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
