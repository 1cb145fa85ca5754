//! A session that ends without its worker's word says what may be left on its instance.
//!
//! A worker that ends by itself has tidied up, or says what it could not. One that is lost, is cut off by the end of its
//! session, or takes no notice of a cancel says nothing, and the next one may never come to look: all workers are used up,
//! there is no room for another, or somebody cancels in between. Then it is computed here: of a restore the names of what it
//! has begun, of a session of log backups the place that the instance had for them before.
//!
//! Tasks that RDS carries out by itself may go on after that, too: they are named with how they are cancelled.

mod log_target;
mod native;
mod postgres;
mod tasks;

use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::left_behind;
use haulier_domain::session::{Outcome, Stop};
use haulier_domain::sqlserver::log_target::is_said_in;
use haulier_proto::worker::v1::assignment::Work as Assigned;
use haulier_proto::worker::v1::{Assignment, Finished, finished};
use prost::Message as _;

pub(super) use self::tasks::running as running_tasks;
use crate::sessions::{DatabaseSelection, OnClash, Request, RestoreRequest};
use crate::state::{Result, Session, State};
use crate::workers::{EVENT_FINISHED, worker_id};

/// The outcome, with what may be left where nobody has said that it is not.
pub(super) async fn said(state: &State, session: &Session, outcome: Outcome) -> Result<Outcome> {
    let Err(stop) = outcome else { return Ok(outcome) };
    let Some((epoch, word)) = last_word(state, session).await? else { return Ok(Err(stop)) };
    let ended = Ended { stop: &stop, epoch };
    let failure = match (&session.request, word) {
        (Request::DatabaseRestore(request), None) => restore(state, session, request, &ended).await?,
        (Request::Backup(_), None) => log_target::said(state, session, &ended, ended.why()).await?,
        (Request::Backup(_), Some(finished::Result::Done(done)))
            if done.warnings.iter().any(|text| is_said_in(text)) =>
        {
            // Its point was not published, and its warnings are nowhere else.
            let why = format!("its worker of epoch {epoch} could not put it back");
            log_target::said(state, session, &ended, why).await?
        }
        _ => None,
    };
    Ok(Err(match (failure, &stop) {
        (None, _) => stop,
        (Some(failure), Stop::Failed(_)) => Stop::Failed(failure),
        (Some(failure), Stop::Cancelled | Stop::CancelledLeaving(_)) => Stop::CancelledLeaving(failure),
    }))
}

/// How a session has ended whose worker of this epoch was the last at work.
struct Ended<'a> {
    stop: &'a Stop,
    epoch: Epoch,
}

impl Ended<'_> {
    /// The failure that it would end with as it is.
    fn failure(&self) -> Option<&Failure> {
        self.stop.failure()
    }

    /// Why nobody knows what is left where that worker has not come to its end.
    fn why(&self) -> String {
        format!("the session ended without a word from its worker of epoch {}, which was at work", self.epoch)
    }
}

/// The failure of a restore, with what may be on its target; `None` where nothing is.
async fn restore(
    state: &State,
    session: &Session,
    request: &RestoreRequest,
    ended: &Ended<'_>,
) -> Result<Option<Failure>> {
    let failure = ended.failure().cloned();
    let failure = failure.unwrap_or_else(|| left_behind::failure(&request.target.id, ended.why()));
    if is_native(state, session, ended.epoch).await? {
        native::said(state, session, request, failure).await
    } else {
        postgres::said(state, session, request, failure).await
    }
}

/// The epoch of the last worker at work, and its word, where it has come to its end. One that was stopped before it had begun
/// does not count: it knows nothing of what an earlier one has left.
async fn last_word(state: &State, session: &Session) -> Result<Option<(Epoch, Option<finished::Result>)>> {
    for epoch in state.at_work(&session.id).await? {
        let last = state.last_event(&session.id, epoch, EVENT_FINISHED).await?;
        match last.and_then(|event| Finished::decode(event.body.as_slice()).ok()?.result) {
            Some(finished::Result::Cancelled(cancelled)) if cancelled.not_begun => {}
            word => return Ok(Some((epoch, word))),
        }
    }
    Ok(None)
}

/// Whether the worker was told to have RDS restore.
async fn is_native(state: &State, session: &Session, epoch: Epoch) -> Result<bool> {
    let (assignment, _) = state.assignment(&worker_id(&session.id, epoch)).await?;
    let assigned = Assignment::decode(assignment.as_slice()).ok().and_then(|assignment| assignment.work);
    Ok(matches!(assigned, Some(Assigned::RestoreSqlServer(_))))
}

fn asked(selection: &DatabaseSelection) -> left_behind::Asked {
    left_behind::Asked {
        database: selection.database.clone(),
        name: selection.name_on_target().to_owned(),
        replaces: selection.on_clash == OnClash::Replace,
    }
}
