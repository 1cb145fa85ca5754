//! Assignments in our own types. Whatever is wrong with a message is found here, before anything is begun.

use haulier_domain::clash::OnClash;
use haulier_domain::id::{DomainId, PointId, RepositoryId};
use haulier_domain::immutability::Immutability;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::assignment;
use haulier_proto::worker::v1::database_login::Method;
use haulier_proto::{InvalidMessage, from_timestamp, parsed, required};
use haulier_repository::PointRoot;
use haulier_repository::check::CheckDepth;
use jiff::{SignedDuration, Timestamp};

use super::work_native::{BackupNatively, RestoreNatively};
use crate::mover::Instance;
use crate::postgres;

/// What to do.
#[derive(Debug)]
pub(super) enum Work {
    Backup(Box<Backup>),
    Restore(Box<Restore>),
    Check(Box<Check>),
    Verify(Box<Verify>),
    Prune(Box<Prune>),
    Copy(Box<Copy>),
    BackupNatively(Box<BackupNatively>),
    RestoreNatively(Box<RestoreNatively>),
}

/// Dump databases into the repository.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) point: PointId,
    pub(super) source: Source,
    pub(super) place: Place,
    pub(super) databases: Vec<String>,
    pub(super) large_table_bytes: u64,
    pub(super) split_table_bytes: u64,
    pub(super) parallel_streams: usize,
    pub(super) level: Option<i32>,
    /// An earlier point that the new one is likely to resemble.
    pub(super) base: Option<PointId>,
}

/// Restore databases from the repository.
#[derive(Debug)]
pub(super) struct Restore {
    pub(super) root: PointRoot,
    pub(super) target: Source,
    pub(super) place: Place,
    pub(super) databases: Vec<postgres::DatabaseRestore>,
    pub(super) roles: bool,
    pub(super) parallel_streams: usize,
    /// What earlier workers of the session have restored.
    pub(super) restored: Vec<postgres::RestoredPart>,
}

/// Read a restore point.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) root: PointRoot,
    pub(super) place: Place,
    pub(super) depth: CheckDepth,
}

/// Restore a point into a scratch server and compare.
#[derive(Debug)]
pub(super) struct Verify {
    pub(super) root: PointRoot,
    pub(super) place: Place,
    pub(super) parallel_streams: usize,
}

/// Delete what no point of a domain needs.
#[derive(Debug)]
pub(super) struct Prune {
    pub(super) place: Place,
    pub(super) grace: SignedDuration,
    pub(super) oldest_session: Option<Timestamp>,
    pub(super) dry_run: bool,
}

/// Copy a point into a domain of another repository.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) point: PointId,
    pub(super) source: Place,
    pub(super) target: Place,
    /// What the copy is called.
    pub(super) copy: PointId,
    /// A point of the target that the copy is likely to resemble.
    pub(super) base: Option<PointId>,
    /// The copy of the point that this one stands on.
    pub(super) foundation: Option<PointId>,
}

/// Where a repository domain is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) prefix: String,
    pub(super) repository_id: RepositoryId,
    pub(super) domain_id: DomainId,
    pub(super) immutability: Option<Immutability>,
}

/// An instance and how to log in.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) instance: Instance,
    pub(super) region: String,
    pub(super) login: LoginMethod,
}

/// How to log in.
#[derive(Debug)]
pub(super) enum LoginMethod {
    /// The ARN of a secret.
    Secret(String),
    /// A user for IAM authentication.
    Iam(String),
}

pub(super) fn invalid(message: &'static str, field: &'static str, problem: impl ToString) -> InvalidMessage {
    InvalidMessage { message, field, problem: problem.to_string() }
}

pub(super) fn filled(text: String, message: &'static str, field: &'static str) -> Result<String, InvalidMessage> {
    if text.is_empty() { Err(invalid(message, field, "is empty")) } else { Ok(text) }
}

impl TryFrom<wire::Assignment> for Work {
    type Error = InvalidMessage;

    fn try_from(message: wire::Assignment) -> Result<Self, InvalidMessage> {
        Ok(match required(message.work, "Assignment", "work")? {
            assignment::Work::BackupPostgres(backup) => Self::Backup(Box::new(backup.try_into()?)),
            assignment::Work::RestorePostgres(restore) => Self::Restore(Box::new(restore.try_into()?)),
            assignment::Work::CheckPoint(check) => Self::Check(Box::new(check.try_into()?)),
            assignment::Work::PruneDomain(prune) => Self::Prune(Box::new(prune.try_into()?)),
            assignment::Work::VerifyRestore(verify) => Self::Verify(Box::new(verify.try_into()?)),
            assignment::Work::CopyPoint(copy) => Self::Copy(Box::new(copy.try_into()?)),
            assignment::Work::BackupSqlServer(backup) => Self::BackupNatively(Box::new(backup.try_into()?)),
            assignment::Work::RestoreSqlServer(restore) => Self::RestoreNatively(Box::new(restore.try_into()?)),
        })
    }
}

impl TryFrom<wire::PruneDomain> for Prune {
    type Error = InvalidMessage;

    fn try_from(message: wire::PruneDomain) -> Result<Self, InvalidMessage> {
        const NAME: &str = "PruneDomain";
        Ok(Self {
            place: required(message.domain, NAME, "domain")?.try_into()?,
            grace: i64::try_from(message.grace_seconds)
                .map(SignedDuration::from_secs)
                .map_err(|_| invalid(NAME, "grace_seconds", "is no length of time"))?,
            // A bound that cannot be read must not be taken for none.
            oldest_session: match message.oldest_session {
                None => None,
                Some(at) => Some(from_timestamp(&at).ok_or_else(|| invalid(NAME, "oldest_session", "is no time"))?),
            },
            dry_run: message.dry_run,
        })
    }
}

impl TryFrom<wire::BackupPostgres> for Backup {
    type Error = InvalidMessage;

    fn try_from(message: wire::BackupPostgres) -> Result<Self, InvalidMessage> {
        const NAME: &str = "BackupPostgres";
        Ok(Self {
            point: parsed(&message.point_id, NAME, "point_id")?,
            source: required(message.instance, NAME, "instance")?.try_into()?,
            place: required(message.domain, NAME, "domain")?.try_into()?,
            databases: message.databases,
            large_table_bytes: message.large_table_bytes,
            split_table_bytes: message.split_table_bytes,
            parallel_streams: message.parallel_streams as usize,
            level: level(message.compression_level, NAME)?,
            base: base_point(&message.base_point_id, NAME)?,
        })
    }
}

/// A Zstandard level; `None` for the repository's default.
pub(super) fn level(level: i32, message: &'static str) -> Result<Option<i32>, InvalidMessage> {
    match level {
        0 => Ok(None),
        1..=19 => Ok(Some(level)),
        _ => Err(invalid(message, "compression_level", "is not within 0 and 19")),
    }
}

impl TryFrom<wire::CopyPoint> for Copy {
    type Error = InvalidMessage;

    fn try_from(message: wire::CopyPoint) -> Result<Self, InvalidMessage> {
        const NAME: &str = "CopyPoint";
        Ok(Self {
            point: parsed(&message.point_id, NAME, "point_id")?,
            source: required(message.domain, NAME, "domain")?.try_into()?,
            target: required(message.target, NAME, "target")?.try_into()?,
            copy: parsed(&message.copy_id, NAME, "copy_id")?,
            base: base_point(&message.base_point_id, NAME)?,
            foundation: match message.stands_on_id.as_str() {
                "" => None,
                id => Some(parsed(id, NAME, "stands_on_id")?),
            },
        })
    }
}

pub(super) fn base_point(id: &str, message: &'static str) -> Result<Option<PointId>, InvalidMessage> {
    if id.is_empty() { Ok(None) } else { parsed(id, message, "base_point_id").map(Some) }
}

impl TryFrom<wire::RestorePostgres> for Restore {
    type Error = InvalidMessage;

    fn try_from(message: wire::RestorePostgres) -> Result<Self, InvalidMessage> {
        const NAME: &str = "RestorePostgres";
        Ok(Self {
            root: point_root(&message.root, NAME)?,
            target: required(message.target, NAME, "target")?.try_into()?,
            place: required(message.domain, NAME, "domain")?.try_into()?,
            databases: message.databases.into_iter().map(database_restore).collect::<Result<_, _>>()?,
            roles: message.roles,
            parallel_streams: message.parallel_streams as usize,
            restored: message.restored.iter().map(restored_part).collect::<Result<_, _>>()?,
        })
    }
}

/// A part that cannot be read must not be taken for one that is not there: it would be restored again.
fn restored_part(message: &wire::PartRestored) -> Result<postgres::RestoredPart, InvalidMessage> {
    serde_json::from_slice(&message.report)
        .map_err(|error| invalid("PartRestored", "report", format!("is not of this agent's version: {error}")))
}

impl TryFrom<wire::CheckPoint> for Check {
    type Error = InvalidMessage;

    fn try_from(message: wire::CheckPoint) -> Result<Self, InvalidMessage> {
        const NAME: &str = "CheckPoint";
        Ok(Self {
            root: point_root(&message.root, NAME)?,
            place: required(message.domain, NAME, "domain")?.try_into()?,
            depth: match (message.full, message.sample_percent) {
                (true, _) => CheckDepth::Full,
                (false, 0) => CheckDepth::Structure,
                (false, percent) if percent <= 100 => CheckDepth::Sampled { percent },
                _ => return Err(invalid(NAME, "sample_percent", "is not within 0 and 100")),
            },
        })
    }
}

impl TryFrom<wire::VerifyRestore> for Verify {
    type Error = InvalidMessage;

    fn try_from(message: wire::VerifyRestore) -> Result<Self, InvalidMessage> {
        Ok(Self {
            root: point_root(&message.root, "VerifyRestore")?,
            place: required(message.domain, "VerifyRestore", "domain")?.try_into()?,
            parallel_streams: message.parallel_streams as usize,
        })
    }
}

impl TryFrom<wire::DomainLocation> for Place {
    type Error = InvalidMessage;

    fn try_from(message: wire::DomainLocation) -> Result<Self, InvalidMessage> {
        const NAME: &str = "DomainLocation";
        Ok(Self {
            bucket: filled(message.bucket, NAME, "bucket")?,
            region: filled(message.region, NAME, "region")?,
            prefix: message.prefix,
            repository_id: parsed(&message.repository_id, NAME, "repository_id")?,
            domain_id: parsed(&message.domain_id, NAME, "domain_id")?,
            immutability: message.immutability.map(Immutability::try_from).transpose()?,
        })
    }
}

impl TryFrom<wire::DatabaseInstance> for Source {
    type Error = InvalidMessage;

    fn try_from(message: wire::DatabaseInstance) -> Result<Self, InvalidMessage> {
        const NAME: &str = "DatabaseInstance";
        let port = u16::try_from(message.port).ok().filter(|port| *port > 0);
        let login = required(message.login, NAME, "login")?;
        Ok(Self {
            instance: Instance {
                id: filled(message.id, NAME, "id")?,
                host: filled(message.host, NAME, "host")?,
                address: None,
                port: port.ok_or_else(|| invalid(NAME, "port", "is not a TCP port"))?,
            },
            region: filled(message.region, NAME, "region")?,
            login: match required(login.method, "DatabaseLogin", "method")? {
                Method::SecretArn(arn) => LoginMethod::Secret(filled(arn, "DatabaseLogin", "secret_arn")?),
                Method::IamUser(user) => LoginMethod::Iam(filled(user, "DatabaseLogin", "iam_user")?),
            },
        })
    }
}

pub(super) fn point_root(json: &[u8], message: &'static str) -> Result<PointRoot, InvalidMessage> {
    PointRoot::from_json(json).map_err(|error| invalid(message, "root", format!("cannot be used: {error}")))
}

/// What to do on a clash of names.
pub(super) fn on_clash(message: &wire::DatabaseRestore) -> Result<OnClash, InvalidMessage> {
    match wire::OnClash::try_from(message.on_clash) {
        Ok(wire::OnClash::Unspecified | wire::OnClash::Refuse) => Ok(OnClash::Refuse),
        Ok(wire::OnClash::Suffix) => Ok(OnClash::Suffix),
        Ok(wire::OnClash::Replace) => Ok(OnClash::Replace),
        // An unknown value may be something dangerous that this agent would do wrongly.
        Err(_) => Err(invalid("DatabaseRestore", "on_clash", "is unknown to this agent")),
    }
}

fn database_restore(message: wire::DatabaseRestore) -> Result<postgres::DatabaseRestore, InvalidMessage> {
    const NAME: &str = "DatabaseRestore";
    let on_clash = on_clash(&message)?;
    Ok(postgres::DatabaseRestore {
        database: filled(message.database, NAME, "database")?,
        target_name: message.target_name,
        on_clash,
        schemas: message.schemas,
        tables: message.tables,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> wire::BackupPostgres {
        wire::BackupPostgres {
            point_id: "pnt-1".into(),
            instance: Some(wire::DatabaseInstance {
                id: "orders".into(),
                host: "orders.example".into(),
                port: 5432,
                region: "eu-central-1".into(),
                engine_version: "15.18".into(),
                login: Some(wire::DatabaseLogin { method: Some(Method::SecretArn("arn:secret".into())) }),
            }),
            domain: Some(wire::DomainLocation {
                bucket: "bucket".into(),
                region: "eu-central-1".into(),
                prefix: "prefix".into(),
                repository_id: "rep-1".into(),
                domain_id: "dom-1".into(),
                immutability: None,
            }),
            ..Default::default()
        }
    }

    fn assignment(backup: wire::BackupPostgres) -> wire::Assignment {
        wire::Assignment { work: Some(assignment::Work::BackupPostgres(backup)) }
    }

    #[test]
    fn a_backup_is_read() {
        let Ok(Work::Backup(read)) = Work::try_from(assignment(backup())) else { panic!("no backup") };
        assert_eq!((read.point.as_str(), read.source.instance.port, read.level), ("pnt-1", 5432, None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        type Break = fn(&mut wire::BackupPostgres);
        let cases: [(&str, Break); 9] = [
            ("point_id", |backup| backup.point_id = "ses-1".into()),
            ("instance", |backup| backup.instance = None),
            ("domain", |backup| backup.domain = None),
            ("port", |backup| backup.instance.as_mut().unwrap().port = 65_536),
            ("host", |backup| backup.instance.as_mut().unwrap().host.clear()),
            ("login", |backup| backup.instance.as_mut().unwrap().login = None),
            ("bucket", |backup| backup.domain.as_mut().unwrap().bucket.clear()),
            ("mode", |backup| backup.domain.as_mut().unwrap().immutability = Some(Default::default())),
            ("compression_level", |backup| backup.compression_level = 20),
        ];
        for (field, breaks) in cases {
            let mut backup = backup();
            breaks(&mut backup);
            assert_eq!(Work::try_from(assignment(backup)).unwrap_err().field, field);
        }
        assert_eq!(Work::try_from(wire::Assignment { work: None }).unwrap_err().field, "work");
    }

    #[test]
    fn a_root_that_needs_what_this_agent_lacks_is_refused_by_name() {
        let root = br#"{"version":1,"point":"pnt-1","required_features":["deltas","telepathy"]}"#.to_vec();
        for error in [
            Check::try_from(wire::CheckPoint { root: root.clone(), ..Default::default() }).unwrap_err(),
            Verify::try_from(wire::VerifyRestore { root: root.clone(), ..Default::default() }).unwrap_err(),
            Restore::try_from(wire::RestorePostgres { root, ..Default::default() }).unwrap_err(),
        ] {
            assert!(error.field == "root" && error.problem.contains("needs telepathy, which"), "{error}");
        }
    }

    #[test]
    fn an_unknown_way_to_clash_is_refused() {
        let message = |on_clash| wire::DatabaseRestore { database: "a".into(), on_clash, ..Default::default() };
        assert_eq!(database_restore(message(0)).unwrap().on_clash, OnClash::Refuse);
        assert_eq!(database_restore(message(99)).unwrap_err().field, "on_clash");
    }
}
