//! What a worker is told to do, and what its credentials are for.

use haulier_domain::failure::Failure;
use haulier_domain::policy::{DEFAULT_LARGE_TABLE_BYTES, DEFAULT_SPLIT_TABLE_BYTES};
use haulier_domain::session_policy::{DatabaseAccess, DomainAccess, Scope, document};
use haulier_proto::to_timestamp;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::assignment::Work as WireWork;
use haulier_repository::{Layout, PointRoot};
use jiff::Timestamp;

use super::preflight::Source;
use super::publish::DomainPlace;
use crate::failures;
use crate::repositories::copy_id;
use crate::sessions::{
    BackupRequest, DatabaseSelection, Login, MaintenanceRequest, OnClash, ReplicateRequest, RestoreRequest,
    VerifyRequest,
};
use crate::workers::{DomainGrant, Grant};
use crate::workflows::flow::Work;

/// One worker's work.
#[derive(Debug, Clone)]
pub(in crate::workflows) struct Job {
    /// As it goes over the wire to the first worker.
    pub(super) assignment: wire::Assignment,
    /// What its credentials are for.
    pub(super) grant: Grant,
    /// Whether it connects to a database.
    pub(super) needs_database: bool,
    /// Whether it has something to tidy up after a cancel, whatever kind of session it is: a task of the engine's own.
    pub(super) tidies: bool,
}

impl Job {
    /// Its assignment, for a worker before whom others have restored these parts, submitted these tasks, and replaced this place
    /// of log backups.
    pub(super) fn after(
        &self,
        restored: Vec<wire::PartRestored>,
        submitted: Vec<wire::TaskSubmitted>,
        log_target: Option<String>,
    ) -> wire::Assignment {
        let mut assignment = self.assignment.clone();
        match &mut assignment.work {
            Some(WireWork::RestorePostgres(restore)) => restore.restored = restored,
            Some(WireWork::BackupSqlServer(backup)) => {
                backup.submitted = submitted;
                backup.log_target_arn = log_target.unwrap_or_default();
            }
            Some(WireWork::RestoreSqlServer(restore)) => restore.restored = restored,
            _ => {}
        }
        assignment
    }
}

/// Dump the databases of the instance.
pub(in crate::workflows) fn backup(
    work: &Work,
    request: &BackupRequest,
    source: &Source,
    login: &Login,
    domain: &DomainPlace,
) -> Result<Job, Failure> {
    let or = |asked: u64, otherwise: u64| if asked == 0 { otherwise } else { asked };
    let assigned = WireWork::BackupPostgres(wire::BackupPostgres {
        point_id: work.session.point.as_ref().map(ToString::to_string).unwrap_or_default(),
        instance: Some(instance(work, source, login)),
        domain: Some(domain.to_wire()),
        databases: request.databases.clone(),
        large_table_bytes: or(request.large_table_bytes, DEFAULT_LARGE_TABLE_BYTES),
        split_table_bytes: or(request.split_table_bytes, DEFAULT_SPLIT_TABLE_BYTES),
        parallel_streams: request.parallel_streams,
        compression_level: request.compression_level,
        base_point_id: domain.base_point.as_ref().map(ToString::to_string).unwrap_or_default(),
    });
    job(work, assigned, domain, Some((source, login)), true)
}

/// Restore databases of a point into the instance.
pub(in crate::workflows) fn restore(
    work: &Work,
    request: &RestoreRequest,
    target: &Source,
    login: &Login,
    domain: &DomainPlace,
    root: &str,
) -> Result<Job, Failure> {
    let assigned = WireWork::RestorePostgres(wire::RestorePostgres {
        root: root.as_bytes().to_vec(),
        target: Some(instance(work, target, login)),
        domain: Some(domain.to_wire()),
        databases: request.databases.iter().map(selection).collect(),
        roles: request.roles,
        parallel_streams: request.parallel_streams,
        restored: Vec::new(),
    });
    job(work, assigned, domain, Some((target, login)), false)
}

/// Read a point, or restore it into a scratch server.
pub(in crate::workflows) fn verify(
    work: &Work,
    request: &VerifyRequest,
    domain: &DomainPlace,
    root: &str,
) -> Result<Job, Failure> {
    let (root, place) = (root.as_bytes().to_vec(), Some(domain.to_wire()));
    let assigned = if request.restore {
        WireWork::VerifyRestore(wire::VerifyRestore { root, domain: place, parallel_streams: 0 })
    } else {
        let VerifyRequest { full, sample_percent, .. } = *request;
        WireWork::CheckPoint(wire::CheckPoint { root, domain: place, full, sample_percent })
    };
    job(work, assigned, domain, None, false)
}

/// Copy a point into a domain of another repository.
pub(in crate::workflows) fn copy(
    work: &Work,
    request: &ReplicateRequest,
    (source, root): (&DomainPlace, &str),
    target: &DomainPlace,
) -> Result<Job, Failure> {
    let root = PointRoot::from_json(root.as_bytes()).map_err(|error| {
        failures::repository(&format!("reading the root of restore point {}", request.point), &error)
    })?;
    let stands_on = root.stands_on.map(|on| copy_id(&on, &source.repository_id, &target.repository_id));
    let assigned = WireWork::CopyPoint(wire::CopyPoint {
        point_id: request.point.to_string(),
        domain: Some(source.to_wire()),
        target: Some(target.to_wire()),
        copy_id: request.copy.to_string(),
        base_point_id: target.base_point.as_ref().map(ToString::to_string).unwrap_or_default(),
        stands_on_id: stands_on.map(|copy| copy.to_string()).unwrap_or_default(),
    });
    let (bucket, domain_prefix, immutability) = (target.bucket.clone(), prefix_of(target), target.immutability);
    let copies_to = DomainAccess { bucket, domain_prefix, immutability };
    let scope = Scope { copies_to: Some(copies_to), ..scope(work, source, None, false) };
    let mut job = job_in(work, assigned, source, &scope)?;
    job.grant.target = Some(DomainGrant { repository: target.repository.clone(), domain: target.domain.clone() });
    Ok(job)
}

/// Delete what no point of the domain needs.
pub(in crate::workflows) fn prune(
    work: &Work,
    request: &MaintenanceRequest,
    domain: &DomainPlace,
    oldest_session: Option<Timestamp>,
) -> Result<Job, Failure> {
    let assigned = WireWork::PruneDomain(wire::PruneDomain {
        domain: Some(domain.to_wire()),
        grace_seconds: work.services.settings.prune_grace.as_secs(),
        oldest_session: oldest_session.map(to_timestamp),
        dry_run: request.dry_run,
    });
    let scope = Scope { maintains: !request.dry_run, ..scope(work, domain, None, false) };
    job_in(work, assigned, domain, &scope)
}

fn job(
    work: &Work,
    assigned: WireWork,
    domain: &DomainPlace,
    database: Option<(&Source, &Login)>,
    writes: bool,
) -> Result<Job, Failure> {
    let scope = scope(work, domain, database, writes);
    let needs_database = database.is_some();
    Ok(Job { needs_database, ..job_in(work, assigned, domain, &scope)? })
}

/// What a worker may do in the domain, and with the database.
pub(super) fn scope(work: &Work, domain: &DomainPlace, database: Option<(&Source, &Login)>, writes: bool) -> Scope {
    Scope {
        partition: work.services.settings.partition.clone(),
        bucket: domain.bucket.clone(),
        domain_prefix: prefix_of(domain),
        writes,
        maintains: false,
        copies_to: None,
        immutability: domain.immutability,
        temporary: None,
        database: database.and_then(|(source, login)| access(work, source, login)),
    }
}

fn prefix_of(domain: &DomainPlace) -> String {
    Layout::new(&domain.prefix).domain(&domain.domain).root().trim_matches('/').to_owned()
}

/// A job with credentials for what the scope says.
pub(super) fn job_in(work: &Work, assigned: WireWork, domain: &DomainPlace, scope: &Scope) -> Result<Job, Failure> {
    let policy = document(scope).map_err(|error| {
        let what = "writing the policy of the worker's credentials";
        Failure::new("policy-too-long", what, error.to_string(), "shorten the repository's prefix")
    })?;
    let grant = Grant {
        account: work.place().account.clone(),
        role_arn: role_arn(work),
        policy,
        repository: domain.repository.clone(),
        domain: domain.domain.clone(),
        target: None,
    };
    Ok(Job { assignment: wire::Assignment { work: Some(assigned) }, grant, needs_database: false, tidies: false })
}

fn role_arn(work: &Work) -> String {
    let settings = &work.services.settings;
    let asked = work.request().worker().role_arn.clone().or_else(|| settings.worker.role_arn.clone());
    asked.unwrap_or_else(|| format!("arn:{}:iam::{}:role/haulier-session", settings.partition, work.place().account.id))
}

fn access(work: &Work, source: &Source, login: &Login) -> Option<DatabaseAccess> {
    match login {
        Login::Secret(arn) => {
            let region = arn.split(':').nth(3).unwrap_or(&work.place().region).to_owned();
            Some(DatabaseAccess::Secret { arn: arn.clone(), region })
        }
        Login::Iam(user) => Some(DatabaseAccess::Iam {
            region: work.place().region.clone(),
            account: work.place().account.id.clone(),
            resource_id: source.resource_id.clone(),
            user: user.clone(),
        }),
        // Replaced by its ARN when the login was checked.
        Login::MasterSecret => None,
    }
}

/// An instance as it goes over the wire.
pub(super) fn instance(work: &Work, source: &Source, login: &Login) -> wire::DatabaseInstance {
    use wire::database_login::Method;
    let method = match login {
        Login::Secret(arn) => Some(Method::SecretArn(arn.clone())),
        Login::Iam(user) => Some(Method::IamUser(user.clone())),
        Login::MasterSecret => None,
    };
    wire::DatabaseInstance {
        id: source.id.clone(),
        host: source.host.clone(),
        port: source.port.into(),
        region: work.place().region.clone(),
        engine_version: source.engine_version.clone(),
        login: Some(wire::DatabaseLogin { method }),
    }
}

/// A database to restore as it goes over the wire.
pub(super) fn selection(selection: &DatabaseSelection) -> wire::DatabaseRestore {
    wire::DatabaseRestore {
        database: selection.database.clone(),
        target_name: selection.target_name.clone(),
        on_clash: match selection.on_clash {
            OnClash::Refuse => wire::OnClash::Refuse,
            OnClash::Suffix => wire::OnClash::Suffix,
            OnClash::Replace => wire::OnClash::Replace,
        }
        .into(),
        schemas: selection.schemas.clone(),
        tables: selection.tables.clone(),
    }
}
