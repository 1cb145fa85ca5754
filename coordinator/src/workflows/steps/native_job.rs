//! What a worker is told to do with databases of SQL Server.

use haulier_domain::failure::Failure;
use haulier_domain::native_backup::choice::Choice;
use haulier_domain::session_policy::Scope;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::assignment::Work as WireWork;

use super::assignment::{Job, instance, job_in, scope, selection};
use super::native::Chosen;
use super::preflight::Source;
use super::publish::DomainPlace;
use super::temporary::TemporaryPlace;
use crate::sessions::{BackupRequest, Login, RestoreRequest};
use crate::workflows::flow::Work;

/// What a native backup or restore is made of, besides its request.
#[derive(Debug, Clone, Copy)]
pub(in crate::workflows) struct Parts<'a> {
    /// The instance.
    pub(in crate::workflows) instance: &'a Source,
    /// How to log in to it.
    pub(in crate::workflows) login: &'a Login,
    /// Where the point lies, or is to lie.
    pub(in crate::workflows) domain: &'a DomainPlace,
    /// Where the files pass.
    pub(in crate::workflows) temporary: &'a TemporaryPlace,
}

/// Have RDS back up the databases of the instance, and store the files. With the choice comes the ARN of the KMS key that log
/// backups are to be copied with, where they take one.
pub(in crate::workflows) fn backup(
    work: &Work,
    request: &BackupRequest,
    parts: Parts<'_>,
    (chosen, log_kms_key_arn): (&Chosen, Option<&str>),
    full_root: Option<&str>,
) -> Result<Job, Failure> {
    let backup_type = match chosen.choice {
        Choice::Full { .. } => wire::NativeBackupType::Full,
        Choice::Differential { .. } => wire::NativeBackupType::Differential,
        Choice::Log { .. } => wire::NativeBackupType::Log,
    };
    let assigned = WireWork::BackupSqlServer(wire::BackupSqlServer {
        point_id: work.session.point.as_ref().map(ToString::to_string).unwrap_or_default(),
        instance: Some(instance(work, parts.instance, parts.login)),
        domain: Some(parts.domain.to_wire()),
        databases: request.databases.clone(),
        temporary: Some(parts.temporary.to_wire()),
        r#type: backup_type.into(),
        files: request.native.files,
        compression_level: request.compression_level,
        base_point_id: chosen.base_point.as_ref().map(ToString::to_string).unwrap_or_default(),
        full_root: full_root.map(|root| root.as_bytes().to_vec()).unwrap_or_default(),
        submitted: Vec::new(),
        kms_key_arn: request.native.kms_key_arn.clone().unwrap_or_default(),
        log_target_arn: String::new(),
        log_kms_key_arn: log_kms_key_arn.unwrap_or_default().to_owned(),
    });
    job(work, assigned, parts, true)
}

/// Put the files where RDS reads them, and have it restore the databases. `roots` are those of the full point and of the
/// one that stands on it, if that is what is restored.
pub(in crate::workflows) fn restore(
    work: &Work,
    request: &RestoreRequest,
    parts: Parts<'_>,
    roots: &[&str],
) -> Result<Job, Failure> {
    let assigned = WireWork::RestoreSqlServer(wire::RestoreSqlServer {
        roots: roots.iter().map(|root| root.as_bytes().to_vec()).collect(),
        target: Some(instance(work, parts.instance, parts.login)),
        domain: Some(parts.domain.to_wire()),
        databases: request.databases.iter().map(selection).collect(),
        temporary: Some(parts.temporary.to_wire()),
        restored: Vec::new(),
        options: Some(request.native.into()),
    });
    job(work, assigned, parts, false)
}

fn job(work: &Work, assigned: WireWork, parts: Parts<'_>, backs_up: bool) -> Result<Job, Failure> {
    let Parts { instance, login, domain, temporary } = parts;
    let scope = Scope {
        temporary: Some(temporary.access(!backs_up)),
        ..scope(work, domain, Some((instance, login)), backs_up)
    };
    Ok(Job { needs_database: true, tidies: true, ..job_in(work, assigned, domain, &scope)? })
}
