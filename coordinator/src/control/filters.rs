//! Filters of lists. A list that is empty because of a name that is nobody's would pass for good news, so a name that
//! nothing bears and nothing has ever borne is refused.

use haulier_domain::failure::Failure;
use haulier_domain::id::SessionId;
use tonic::Status;

use super::status;
use crate::policies::Policies;
use crate::state::{PointFilter, SessionFilter};

/// Sessions stay when their policy is deleted, so this is asked only where there are none.
pub(super) async fn policy(policies: &Policies, name: &str, what: &str) -> Result<(), Status> {
    let state = policies.sessions().state();
    let filter = SessionFilter { policy: Some(name.to_owned()), limit: 1, ..SessionFilter::default() };
    let sessions = state.sessions(&filter).await.map_err(|error| status::of_state(what, &error))?;
    if sessions.is_empty() {
        state.policy(name).await.map_err(|error| status::of_state(what, &error))?;
    }
    Ok(())
}

/// A repository of this installation.
pub(super) async fn repository(policies: &Policies, name: &str, what: &str) -> Result<(), Status> {
    let found = policies.sessions().state().repository(name).await;
    found.map(drop).map_err(|error| status::of_state(what, &error))
}

/// A session of this installation.
pub(super) async fn session(policies: &Policies, id: &SessionId, what: &str) -> Result<(), Status> {
    let found = policies.sessions().state().session(id).await;
    found.map(drop).map_err(|error| status::of_state(what, &error))
}

/// A DB instance that has sessions or points, or is in one of the accounts now. Where not all of them could be looked
/// into, it may be there.
pub(super) async fn resource(policies: &Policies, id: &str, what: &str) -> Result<(), Status> {
    let state = policies.sessions().state();
    let failed = |error| status::of_state(what, &error);
    let sessions = SessionFilter { resource: Some(id.to_owned()), limit: 1, ..SessionFilter::default() };
    let points = PointFilter { resource: Some(id.to_owned()), repository: None };
    if !state.sessions(&sessions).await.map_err(failed)?.is_empty()
        || !state.points(&points).await.map_err(failed)?.is_empty()
    {
        return Ok(());
    }
    let Ok(listing) = policies.instances().await else { return Ok(()) };
    let is_there = listing.found.iter().any(|found| found.instance.id == id);
    if is_there || !listing.missed.is_empty() {
        return Ok(());
    }
    let cause = format!("there is no DB instance {id:?} in the policies' accounts and Regions");
    let failure = Failure::new("resource-unknown", what, cause, "see `haulier resource list`");
    Err(status::of_failure(&failure))
}
