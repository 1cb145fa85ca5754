//! What is known of the instance before anything is made, and what forbids to begin.

use haulier_cloud::databases::DbInstance;
use haulier_domain::failure::Failure;
use haulier_domain::native_backup::Engine;
use serde::{Deserialize, Serialize};

use crate::sessions::{InstanceRef, Login};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _, Trouble};

/// What the flow needs to know of a DB instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::workflows) struct Source {
    /// `DBInstanceIdentifier`.
    pub(in crate::workflows) id: String,
    /// `DbiResourceId`.
    pub(in crate::workflows) resource_id: String,
    /// Engine.
    pub(in crate::workflows) engine: String,
    /// Engine version.
    pub(in crate::workflows) engine_version: String,
    /// Endpoint.
    pub(in crate::workflows) host: String,
    /// Port.
    pub(in crate::workflows) port: u16,
    /// VPC.
    pub(in crate::workflows) vpc_id: Option<String>,
    /// Zone it runs in.
    pub(in crate::workflows) availability_zone: Option<String>,
    /// Subnets of its subnet group.
    pub(in crate::workflows) subnets: Vec<String>,
    /// Secret that RDS manages for the master user.
    pub(in crate::workflows) master_secret_arn: Option<String>,
    /// Whether IAM authentication is on.
    pub(in crate::workflows) iam_authentication: bool,
}

impl Source {
    /// How its databases are backed up. The preflight has refused what is not supported.
    pub(in crate::workflows) fn engine(&self) -> Engine {
        Engine::of(&self.engine).unwrap_or(Engine::Postgres)
    }
}

/// States from which an instance comes back by itself.
const PASSING: [&str; 16] = [
    "backing-up",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "converting-to-vpc",
    "creating",
    "maintenance",
    "modifying",
    "moving-to-vpc",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "starting",
    "storage-config-upgrade",
    "storage-optimization",
    "upgrading",
];

/// Checks that a database-level session can be held with the instance, and waits until it is available.
pub(in crate::workflows) async fn instance(work: &Work) -> Attempt<Source> {
    let wanted = work.request().instance();
    let instance = described(work, wanted).await?;
    supported(&instance)?;
    let limit = work.services.settings.pace.available;
    let settled = work.services.poller.database(&wanted.place, &wanted.id, |instance| match instance {
        Some(instance) if instance.status == "available" => Some(source(instance).map_err(Into::into)),
        Some(instance) => comes_back(instance).err().map(|failure| Err(Trouble::from(failure))),
        None => Some(Err(missing(wanted).into())),
    });
    work.wait(limit, || late(wanted), settled).await
}

/// Looks up the instance in whose network a worker is to run. Its state does not matter.
pub(in crate::workflows) async fn neighbour(work: &Work) -> Attempt<Source> {
    let instance = described(work, work.request().instance()).await?;
    let mut source = source(&instance).unwrap_or_else(|_| bare(&instance));
    source.host.clear();
    Ok(source)
}

/// Describes an instance that must be there.
pub(super) async fn described(work: &Work, wanted: &InstanceRef) -> Attempt<DbInstance> {
    let what = || format!("looking up DB instance {}", wanted.id);
    let databases = work.services.cloud.databases(&wanted.place).await.during(what)?;
    Ok(databases.instance(&wanted.id).await.during(what)?.ok_or_else(|| missing(wanted))?)
}

/// The login as it can be used with this instance: the managed secret is looked up, the preconditions of the others are
/// checked. No secret is read.
pub(in crate::workflows) async fn login(_work: &Work, source: &Source, login: &Login) -> Attempt<Login> {
    let what = format!("choosing how to log in to {}", source.id);
    match login {
        Login::MasterSecret => match &source.master_secret_arn {
            Some(arn) => Ok(Login::Secret(arn.clone())),
            None => Err(Failure::new(
                "db-no-master-secret",
                what,
                "RDS does not manage this instance's master password",
                "name a secret or an IAM user in the policy, or turn on ManageMasterUserPassword",
            )
            .into()),
        },
        Login::Iam(_) if source.engine() == Engine::SqlServer => Err(Failure::new(
            "db-iam-unsupported",
            what,
            "there is no IAM database authentication for SQL Server",
            "name a secret with user name and password in the policy, or let RDS manage the master password",
        )
        .into()),
        Login::Iam(_) if !source.iam_authentication => Err(Failure::new(
            "db-iam-off",
            what,
            "IAM database authentication is off for this instance",
            "turn it on and grant rds_iam to the user, or name a secret in the policy",
        )
        .into()),
        other => Ok(other.clone()),
    }
}

fn supported(instance: &DbInstance) -> Result<(), Failure> {
    let what = format!("checking DB instance {}", instance.id);
    let refuse = |cause: String, remedy: &str| Err(Failure::new("db-not-supported", what.clone(), cause, remedy));
    if instance.engine.starts_with("aurora") || instance.cluster_id.is_some() {
        return refuse(
            format!(
                "{} is a member of a cluster; sessions with Aurora and Multi-AZ clusters are not supported yet",
                instance.id
            ),
            "take the cluster out of the policy",
        );
    }
    match Engine::of(&instance.engine) {
        Some(_) => Ok(()),
        None => refuse(
            format!(
                "the engine {} is not supported: postgres and SQL Server (Standard, Enterprise, Web, Express) are",
                instance.engine
            ),
            "take the instance out of the policy",
        ),
    }
}

fn source(instance: &DbInstance) -> Result<Source, Failure> {
    match (&instance.host, instance.port) {
        (Some(host), Some(port)) => Ok(Source { host: host.clone(), port, ..bare(instance) }),
        _ => Err(unusable(instance)),
    }
}

fn bare(instance: &DbInstance) -> Source {
    Source {
        id: instance.id.clone(),
        resource_id: instance.resource_id.clone(),
        engine: instance.engine.clone(),
        engine_version: instance.engine_version.clone(),
        host: String::new(),
        port: instance.port.unwrap_or_default(),
        vpc_id: instance.vpc_id.clone(),
        availability_zone: instance.availability_zone.clone(),
        subnets: instance.subnets.iter().map(|(id, _)| id.clone()).collect(),
        master_secret_arn: instance.master_secret_arn.clone(),
        iam_authentication: instance.iam_authentication,
    }
}

fn missing(wanted: &InstanceRef) -> Failure {
    Failure::new(
        "db-not-found",
        format!("looking up DB instance {}", wanted.id),
        format!("account {} has no such instance in {}", wanted.place.account.id, wanted.place.region),
        "check the identifier, the account and the Region",
    )
}

/// Refuses an instance that does not become available by itself.
pub(super) fn comes_back(instance: &DbInstance) -> Result<(), Failure> {
    if PASSING.contains(&instance.status.as_str()) { Ok(()) } else { Err(unusable(instance)) }
}

fn unusable(instance: &DbInstance) -> Failure {
    Failure::new(
        "db-not-available",
        format!("checking DB instance {}", instance.id),
        format!("it is {:?}, which does not pass by itself", instance.status),
        "bring the instance to the state available, then run the session again",
    )
    .retryable()
}

fn late(wanted: &InstanceRef) -> Failure {
    Failure::new(
        "db-not-available",
        format!("waiting for DB instance {}", wanted.id),
        "it did not become available in time",
        "see the instance's events, then run the session again",
    )
    .retryable()
}
