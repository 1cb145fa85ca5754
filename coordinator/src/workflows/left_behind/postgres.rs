//! What a restore of PostgreSQL may have left: databases under their working names, and a role.

use haulier_domain::failure::Failure;
use haulier_domain::postgres::left_behind::{Asked, LeftBehind};
use haulier_proto::worker::v1::PartRestored;

use super::asked;
use crate::sessions::RestoreRequest;
use crate::state::{Result, Session, State};
use crate::workers::restored;

/// Says it in the failure; `None` where everything is complete.
pub(super) async fn said(
    state: &State,
    session: &Session,
    request: &RestoreRequest,
    failure: Failure,
) -> Result<Option<Failure>> {
    let databases = unrestored(request, &restored::parts(state, &session.id).await?);
    let left = LeftBehind { key: session.id.as_str(), instance: &request.target.id, databases: &databases };
    Ok((!databases.is_empty()).then(|| left.add_to(failure)))
}

/// The databases that nobody has reported as complete.
fn unrestored(request: &RestoreRequest, parts: &[PartRestored]) -> Vec<Asked> {
    let names = restored::names(request, parts);
    let open = request.databases.iter().zip(names).filter(|(_, name)| name.is_none());
    open.map(|(selection, _)| asked(selection)).collect()
}
