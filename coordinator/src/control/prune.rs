//! Pruning a repository: one maintenance session for each of its domains.

use std::collections::BTreeSet;

use haulier_domain::id::{DomainId, SessionId};
use haulier_proto::control::v1 as wire;
use tonic::Status;

use super::repeat::{Answer, Keyed};
use super::{neighbour, status};
use crate::policies::Policies;
use crate::sessions::MaintenanceRequest;
use crate::state::PointFilter;

/// Starts the sessions. Where a domain's worker could run nowhere, none is started and it is said why.
pub(super) async fn start(
    policies: &Policies,
    mut request: wire::PruneRepositoryRequest,
) -> Result<wire::PruneRepositoryResponse, Status> {
    let key = std::mem::take(&mut request.idempotency_key);
    let what = format!("pruning repository {}", request.name);
    let keyed = Keyed::new(policies.sessions().state(), &what, "prune-repository", &request, &key);
    let start = async { each_domain(policies, &request, keyed.key(), &what).await };
    let (Answer { session_ids, skipped }, repeated_call) = keyed.once(start).await?;
    Ok(wire::PruneRepositoryResponse { session_ids, skipped, repeated_call })
}

async fn each_domain(
    policies: &Policies,
    request: &wire::PruneRepositoryRequest,
    key: String,
    what: &str,
) -> Result<Answer, Status> {
    let wire::PruneRepositoryRequest { name, dry_run, .. } = request;
    let failed = |error| status::of_state(what, &error);
    let sessions = policies.sessions();
    let repository = sessions.state().repository(name).await.map_err(failed)?;
    let filter = PointFilter { repository: Some(name.clone()), resource: None };
    let points = sessions.points(&filter).await.map_err(failed)?;
    let mut domains: BTreeSet<DomainId> = points.iter().map(|point| point.domain.clone()).collect();
    domains.extend(sessions.state().domains(&repository.name).await.map_err(failed)?);

    let mut answer = Answer::default();
    for domain in domains {
        let (near, worker) = match neighbour::of(policies, &points, &domain, name, what).await? {
            Ok(found) => found,
            Err(failure) => {
                answer.skipped.push(format!("{domain}: {}; {}", failure.cause, failure.remedy));
                continue;
            }
        };
        let key = format!("prune {name}/{domain}/{key}");
        let repository = name.clone();
        let request = MaintenanceRequest { repository, domain, near, dry_run: *dry_run, worker };
        let session: SessionId = sessions.start_maintenance(request, Some(key)).await.map_err(failed)?;
        answer.session_ids.push(session.to_string());
    }
    Ok(answer)
}
