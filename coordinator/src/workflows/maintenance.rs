//! Prune of a repository's domain.
//!
//! The worker's credentials may delete: in this one domain, and no point. What makes that safe beside sessions that run is
//! in `haulier_repository::prune`; here it is found out which of them is the oldest, so that none is refused at its end. One
//! prune at a time works in a domain. What an interrupted publication has left there is removed first.

use haulier_domain::session::Completed;
use jiff::Timestamp;

use super::attempt::on_workers;
use super::flow::{Flow, Flowed, Halt, Interrupted, Work};
use super::steps::{assignment, preflight, publish, strays, turn};
use super::trouble::Attempt;
use crate::sessions::{MaintenanceRequest, Request};
use crate::state::{Session, StateError};

/// The whole session, from its turn to its end.
pub(super) async fn run(flow: &Flow) -> Result<(), Interrupted> {
    flow.end(prune(flow).await).await
}

async fn prune(flow: &Flow) -> Flowed<Completed> {
    let (work, request) = (flow.work(), asked(flow)?);
    flow.step("wait-for-turn", || turn::take(work)).await?;
    let near = flow.step("preflight", || preflight::neighbour(work)).await?;
    let domain = flow.step("find-domain", || publish::known_domain(work, &request.repository, &request.domain)).await?;
    if !request.dry_run {
        flow.step("remove-strays", || strays::remove(work, &domain)).await?;
    }
    // For each worker: sessions that have begun since the one before may rely on what that one has marked.
    let job = || async {
        let oldest = flow.step("find-sessions", || oldest_session(work, request)).await?;
        assignment::prune(work, request, &domain, oldest).map_err(Halt::from)
    };
    let delivered = on_workers(flow, &near, job).await?;
    Ok(delivered.completed)
}

/// When the oldest session began that works in the domain's repository and has not ended. One that has not begun will see
/// what is marked by then.
async fn oldest_session(work: &Work, request: &MaintenanceRequest) -> Attempt<Option<Timestamp>> {
    let mut oldest: Option<Timestamp> = None;
    for session in work.services.state.live_sessions().await? {
        if works_in(work, &session, &request.repository).await? {
            oldest = oldest.into_iter().chain(session.started_at).min();
        }
    }
    Ok(oldest)
}

async fn works_in(work: &Work, session: &Session, repository: &str) -> Attempt<bool> {
    let point = match &session.request {
        Request::Backup(request) => return Ok(request.repository == repository),
        // It relies on nothing that is stored, and another one waits for its turn.
        Request::Maintenance(_) => return Ok(false),
        Request::DatabaseRestore(request) => &request.point,
        Request::Verify(request) => &request.point,
        Request::Replicate(request) if request.repository == repository => return Ok(true),
        Request::Replicate(request) => &request.point,
    };
    match work.services.state.point(point).await {
        Ok(point) => Ok(point.repository == repository),
        Err(StateError::Missing { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn asked(flow: &Flow) -> Result<&MaintenanceRequest, Halt> {
    match flow.work().request() {
        Request::Maintenance(request) => Ok(request),
        other => Err(turn::not_the_kind(other)),
    }
}
