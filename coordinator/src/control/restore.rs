//! Requests that name a restore point: restore, check.

use haulier_domain::failure::Failure;
use haulier_domain::id::PointId;
use haulier_domain::policy::Arn;
use haulier_proto::control::v1 as wire;
use haulier_proto::worker::v1::DatabaseRestore;
use haulier_proto::worker::v1::database_login::Method;
use tonic::Status;

use super::{convert, status};
use crate::policies::{Policies, worker_for};
use crate::sessions::{Account, InstanceRef, Login, Place, RestoreRequest, VerifyRequest, WorkerConfiguration};
use crate::state::{Point, StateError};

/// The database that every instance has from the start; it is restored where it is named, under another name.
const MAINTENANCE: &str = "postgres";

/// Reads a restore request against the point it names.
pub(super) async fn restore(
    policies: &Policies,
    request: wire::RestoreDatabaseRequest,
) -> Result<RestoreRequest, Status> {
    let what = format!("restoring from {}", request.point_id);
    let point = point(policies, &request.point_id, &what).await?;
    let known = convert::point(point.clone()).databases;
    let mut request = request;
    if request.databases.is_empty() {
        request.databases = every_database(&known);
    }
    if request.databases.is_empty() {
        return Err(status::invalid(&what, "the point has no database besides postgres", "name it to restore it"));
    }
    for wanted in &request.databases {
        if !known.iter().any(|database| database.name == wanted.database) {
            let names: Vec<String> = known.iter().map(|database| format!("{:?}", database.name)).collect();
            let cause = format!("the point has no database {:?}", wanted.database);
            return Err(status::invalid(&what, cause, format!("name one of {}", names.join(", "))));
        }
        // RDS keeps this database for itself.
        if wanted.target_name == "rdsadmin" {
            return Err(status::invalid(&what, "rdsadmin belongs to RDS", "choose another name"));
        }
    }
    let login = match request.login.and_then(|login| login.method) {
        None => point.login.clone(),
        Some(Method::SecretArn(arn)) => {
            if !arn.parse::<Arn>().is_ok_and(|arn| arn.is_secret()) {
                return Err(status::invalid(&what, format!("{arn:?} is not the ARN of a secret"), "correct the ARN"));
            }
            Login::Secret(arn)
        }
        Some(Method::IamUser(user)) => Login::Iam(user),
    };
    let place = place(policies, &point, &what).await?;
    let id = if request.target_instance.is_empty() { point.resource.clone() } else { request.target_instance };
    Ok(RestoreRequest {
        policy: named(&point),
        worker: worker(policies, &point, &place).await,
        target: InstanceRef { place, id },
        point: point.id,
        login,
        databases: request.databases.into_iter().map(convert::database_selection).collect(),
        roles: !request.without_roles,
        parallel_streams: 0,
    })
}

/// Every database of a point under its own name, but the one that every instance has from the start.
fn every_database(known: &[wire::PointDatabase]) -> Vec<DatabaseRestore> {
    let restored = known.iter().filter(|database| database.name != MAINTENANCE);
    restored.map(|database| DatabaseRestore { database: database.name.clone(), ..Default::default() }).collect()
}

/// Reads a request to check a point. Its worker runs where the point's instance is.
pub(super) async fn verify(policies: &Policies, id: &str, full: bool) -> Result<VerifyRequest, Status> {
    let what = format!("checking restore point {id}");
    let point = point(policies, id, &what).await?;
    let place = place(policies, &point, &what).await?;
    Ok(VerifyRequest {
        policy: named(&point),
        worker: worker(policies, &point, &place).await,
        near: InstanceRef { place, id: point.resource.clone() },
        point: point.id,
        full,
    })
}

pub(super) async fn point(policies: &Policies, id: &str, what: &str) -> Result<Point, Status> {
    let id: PointId = status::parsed(what, id, "point-unknown")?;
    policies.sessions().point(&id).await.map_err(|error| status::of_state(what, &error))
}

fn named(point: &Point) -> Option<String> {
    (!point.policy.is_empty()).then(|| point.policy.clone())
}

/// Where the point's instance is, and how the coordinator got in when it made the point.
async fn place(policies: &Policies, point: &Point, what: &str) -> Result<Place, Status> {
    match policies.sessions().state().place(&point.account, &point.region).await {
        Ok(place) => Ok(place),
        Err(StateError::Missing { .. }) => {
            let own = policies.own_account().await.map_err(|failure| status::of_failure(&failure))?;
            if own != point.account {
                let cause = format!("no session has worked in account {} in {}", point.account, point.region);
                let remedy = "apply a policy that names a role in this account, and run it once";
                return Err(status::of_failure(&Failure::new("account-without-role", what, cause, remedy)));
            }
            let account = Account { id: own, role_arn: None, external_id: None };
            Ok(Place { account, region: point.region.clone() })
        }
        Err(error) => Err(status::of_state(what, &error)),
    }
}

/// How the worker is made: as the point's policy says, where it still exists.
async fn worker(policies: &Policies, point: &Point, place: &Place) -> WorkerConfiguration {
    match policies.get(&point.policy).await {
        Ok(policy) => worker_for(&policy, place, None),
        Err(_) => WorkerConfiguration::default(),
    }
}
