//! Requests that name a restore point: restore, check.

mod native;
mod target;
mod wanted;

use haulier_domain::failure::Failure;
use haulier_domain::id::PointId;
use haulier_domain::native_backup::Engine;
use haulier_domain::point::PointSummary;
use haulier_domain::policy::Arn;
use haulier_domain::postgres::scratch;
use haulier_proto::control::v1 as wire;
use haulier_proto::status::refusal;
use haulier_proto::worker::v1::DatabaseLogin;
use haulier_proto::worker::v1::database_login::Method;
use tonic::{Code, Status};

use super::{convert, status};
use crate::policies::{Policies, bucket_for, worker_for};
use crate::sessions::{
    Account, InstanceRef, Login, Place, PreparedBucket, RestoreRequest, VerifyRequest, WorkerConfiguration,
};
use crate::state::{Point, StateError};

/// Reads a restore request against the point it names. What can be known to fail is refused here, so that no worker is
/// booted for it.
pub(super) async fn restore(
    policies: &Policies,
    request: wire::RestoreDatabaseRequest,
) -> Result<RestoreRequest, Status> {
    let what = format!("restoring from {}", request.point_id);
    let point = point(policies, &request.point_id, &what).await?;
    let summary = convert::summary(&point);
    let known: Vec<String> = summary.databases.iter().map(|database| database.name.clone()).collect();
    let engine = Engine::of_point(&point.engine).unwrap_or(Engine::Postgres);
    let databases = match engine {
        Engine::Postgres => wanted::databases(&what, &request, &known),
        Engine::SqlServer => native::databases(&what, &request, &known),
    };
    let databases = databases.map_err(|failure| refused(&failure))?;
    let native = native::options(&what, request.native, engine).map_err(|failure| refused(&failure))?;
    native::moment(&what, native, &databases, &summary.databases).map_err(|failure| refused(&failure))?;
    let login = login(&point, request.login, &what)?;
    if engine == Engine::SqlServer && matches!(login, Login::Iam(_)) {
        let cause = "there is no IAM database authentication for SQL Server";
        return Err(status::invalid(&what, cause, "name a secret: --secret-arn"));
    }
    let place = place(policies, &point, &what).await?;
    let id = if request.target_instance.is_empty() { point.resource.clone() } else { request.target_instance };
    let target = InstanceRef { place, id };
    target::check(policies, &target, (&point, native), &what).await.map_err(|failure| status::of_failure(&failure))?;
    Ok(RestoreRequest {
        policy: named(&point),
        worker: worker(policies, &point, &target.place).await,
        bucket: bucket(policies, &point, &target.place).await,
        target,
        point: point.id,
        login,
        databases: databases.into_iter().map(convert::database_selection).collect(),
        roles: !request.without_roles,
        parallel_streams: 0,
        native,
    })
}

/// A request that the catalogue contradicts; something that is not there is told apart.
fn refused(failure: &Failure) -> Status {
    let code = if failure.code.ends_with("-unknown") { Code::NotFound } else { Code::InvalidArgument };
    refusal(code, failure)
}

fn login(point: &Point, wanted: Option<DatabaseLogin>, what: &str) -> Result<Login, Status> {
    match wanted.and_then(|login| login.method) {
        None => point.login.clone().ok_or_else(|| {
            let cause =
                "the point does not say how its session logged in: it was found in its repository, without that";
            let remedy = "say how to log in on the target: --secret-arn or --iam-user";
            refusal(Code::FailedPrecondition, &Failure::new("restore-login-unknown", what, cause, remedy))
        }),
        Some(Method::SecretArn(arn)) if arn.parse::<Arn>().is_ok_and(|arn| arn.is_secret()) => Ok(Login::Secret(arn)),
        Some(Method::SecretArn(arn)) => {
            Err(status::invalid(what, format!("{arn:?} is not the ARN of a secret"), "correct the ARN"))
        }
        Some(Method::IamUser(user)) if user.is_empty() => {
            Err(status::invalid(what, "the IAM user's name is empty", "name the database user to log in as"))
        }
        Some(Method::IamUser(user)) => Ok(Login::Iam(user)),
    }
}

/// How thoroughly a point is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// It is read: its structure, and every byte of all packs, or of so many in a hundred.
    Read { full: bool, sample_percent: u32 },
    /// It is restored into a scratch server, and compared.
    Restore,
}

/// Reads a request to look at a point. Its worker runs where the point's instance is; for a restore test it gets a disk
/// that holds the point's largest database.
pub(super) async fn verify(policies: &Policies, id: &str, depth: Depth) -> Result<VerifyRequest, Status> {
    let what = format!("checking restore point {id}");
    let point = point(policies, id, &what).await?;
    let place = place(policies, &point, &what).await?;
    let mut worker = worker(policies, &point, &place).await;
    if depth == Depth::Restore {
        let engine = Engine::of_point(&point.engine);
        if engine == Some(Engine::SqlServer) {
            let cause = "a native backup of SQL Server can be restored by SQL Server alone, which no worker has";
            let remedy = "read it in full instead, or restore it into an instance and look at it there";
            return Err(status::of_failure(&Failure::new("verify-engine-unsupported", what, cause, remedy)));
        }
        let needed = root_volume_gib(&convert::summary(&point));
        worker.root_volume_gib = Some(worker.root_volume_gib.map_or(needed, |asked| asked.max(needed)));
    }
    let (full, sample_percent) = match depth {
        Depth::Read { full, sample_percent } => (full, sample_percent),
        Depth::Restore => (false, 0),
    };
    Ok(VerifyRequest {
        policy: named(&point),
        worker,
        near: InstanceRef { place, id: point.resource.clone() },
        point: point.id,
        full,
        sample_percent,
        restore: depth == Depth::Restore,
    })
}

fn root_volume_gib(summary: &PointSummary) -> u32 {
    let needed = summary.databases.iter().map(|database| scratch::disk(database.bytes, database.server_bytes)).max();
    scratch::root_volume_gib(needed.unwrap_or_default(), summary.bytes_read)
}

pub(super) async fn point(policies: &Policies, id: &str, what: &str) -> Result<Point, Status> {
    let id: PointId = status::parsed(what, id, "point-unknown")?;
    policies.sessions().point(&id).await.map_err(|error| status::of_state(what, &error))
}

pub(super) fn named(point: &Point) -> Option<String> {
    (!point.policy.is_empty()).then(|| point.policy.clone())
}

/// Where the point's instance is, and how the coordinator got in when it made the point.
pub(super) async fn place(policies: &Policies, point: &Point, what: &str) -> Result<Place, Status> {
    match policies.sessions().state().place(&point.account, &point.region).await {
        Ok(place) => Ok(place),
        Err(StateError::Missing { .. }) if point.account.is_empty() || point.region.is_empty() => {
            let cause = "the point does not say which account and Region it comes from";
            let remedy = "read it without the coordinator, as docs/repository-format.md says";
            Err(status::of_failure(&Failure::new("point-origin-unknown", what, cause, remedy)))
        }
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

/// The bucket that native backups pass through: as the point's policy says, where it still exists.
async fn bucket(policies: &Policies, point: &Point, place: &Place) -> Option<PreparedBucket> {
    bucket_for(&policies.get(&point.policy).await.ok()?, place)
}

/// How the worker is made: as the point's policy says, where it still exists.
pub(super) async fn worker(policies: &Policies, point: &Point, place: &Place) -> WorkerConfiguration {
    match policies.get(&point.policy).await {
        Ok(policy) => worker_for(&policy, place, None),
        Err(_) => WorkerConfiguration::default(),
    }
}
