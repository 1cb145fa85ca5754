//! Pruning a repository: one maintenance session for each of its domains.

use std::collections::BTreeSet;

use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, SessionId};
use haulier_proto::control::v1 as wire;
use tonic::Status;

use super::repeat::{Answer, Keyed};
use super::{restore, status};
use crate::policies::Policies;
use crate::sessions::{InstanceRef, MaintenanceRequest, WorkerConfiguration};
use crate::state::{Point, PointFilter};

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
        let (near, worker) = match neighbour(policies, &points, &domain, name, what).await? {
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

/// An instance in whose network the worker may run, and how the worker is made: the domain's own where it still exists, else
/// another one that has been backed up to the repository, or is about to be.
async fn neighbour(
    policies: &Policies,
    points: &[Point],
    domain: &DomainId,
    repository: &str,
    what: &str,
) -> Result<Result<(InstanceRef, WorkerConfiguration), Failure>, Status> {
    let own = points.iter().filter(|point| point.domain == *domain);
    let others = points.iter().filter(|point| point.domain != *domain);
    let mut tried = BTreeSet::new();
    for point in own.chain(others) {
        if !tried.insert((&point.account, &point.region, &point.resource)) {
            continue;
        }
        let place = restore::place(policies, point, what).await?;
        let near = InstanceRef { place, id: point.resource.clone() };
        if exists(policies, &near).await {
            let worker = restore::worker(policies, point, &near.place).await;
            return Ok(Ok((near, worker)));
        }
    }
    let written = policies.sessions().state().last_backup_to(repository).await;
    if let Some(backup) = written.map_err(|error| status::of_state(what, &error))?
        && exists(policies, &backup.instance).await
    {
        return Ok(Ok((backup.instance, backup.worker)));
    }
    let cause = "no instance that was backed up to this repository exists any more, so that there is no network to run a worker in";
    let remedy = "back up an instance to the repository once, then prune it";
    Ok(Err(Failure::new("prune-no-network", what, cause, remedy)))
}

async fn exists(policies: &Policies, instance: &InstanceRef) -> bool {
    let cloud = &policies.sessions().services().cloud;
    let found = async { cloud.databases(&instance.place).await?.instance(&instance.id).await }.await;
    match found {
        Ok(found) => found.is_some(),
        Err(error) => {
            tracing::info!(instance = instance.id, %error, "not taken as a neighbour");
            false
        }
    }
}
