//! What a session of log backups may have left: the instance copies them to the session's place, and not to where it did before.

use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::log_target::{add_to, left};

use super::Ended;
use crate::state::{Result, Session, State};
use crate::workers::tasks;

/// The failure of a session one of whose workers has replaced that place, or was about to; `None` where none was. `why` says
/// what kept it from being put back.
pub(super) async fn said(state: &State, session: &Session, ended: &Ended<'_>, why: String) -> Result<Option<Failure>> {
    let Some(before) = tasks::log_target(state, &session.id).await? else { return Ok(None) };
    let left = left(&session.request.instance().id, &before, why);
    Ok(Some(match ended.failure() {
        Some(failure) => add_to(failure.clone(), &left),
        None => left,
    }))
}
