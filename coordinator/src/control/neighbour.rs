//! Where the worker of a session runs that touches no database: in the network of an instance that still exists.

use std::collections::BTreeSet;

use haulier_domain::failure::Failure;
use haulier_domain::id::DomainId;
use haulier_proto::status::failure_of;
use tonic::Status;

use super::{restore, status};
use crate::policies::Policies;
use crate::sessions::{InstanceRef, WorkerConfiguration};
use crate::state::Point;

/// An instance in whose network the worker may run, and how the worker is made: the domain's own where it still exists, else
/// another one that has been backed up to the repository, or is about to be.
pub(super) async fn of(
    policies: &Policies,
    points: &[Point],
    domain: &DomainId,
    repository: &str,
    what: &str,
) -> Result<Result<(InstanceRef, WorkerConfiguration), Failure>, Status> {
    let own = points.iter().filter(|point| point.domain == *domain);
    let others = points.iter().filter(|point| point.domain != *domain);
    let mut tried = BTreeSet::new();
    let mut closed = None;
    for point in own.chain(others) {
        if !tried.insert((&point.account, &point.region, &point.resource)) {
            continue;
        }
        let place = match restore::place(policies, point, what).await {
            Ok(place) => place,
            Err(status) => {
                closed = closed.or_else(|| failure_of(&status));
                continue;
            }
        };
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
    // An account that nobody has told the way into may hold one.
    if let Some(failure) = closed {
        return Ok(Err(failure));
    }
    let cause = "no instance that was backed up to this repository exists any more, so that there is no network to run a worker in";
    let remedy = "back up an instance to the repository once, then run this again";
    Ok(Err(Failure::new("worker-without-place", what, cause, remedy)))
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
