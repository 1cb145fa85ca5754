//! Assignments of SQL Server in our own types.

use haulier_domain::id::PointId;
use haulier_domain::sqlserver::keys::{BackupType, MOST_FILES, TemporaryPlace};
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_domain::sqlserver::task::{Submitted, TaskId, TaskType};
use haulier_proto::worker::v1 as wire;
use haulier_proto::{InvalidMessage, parsed, required};
use haulier_repository::PointRoot;

use super::work::{Place, Source, base_point, filled, invalid, level, on_clash, point_root};
use crate::sqlserver::{DatabaseRestore, RestoredDatabase};

/// Have RDS back up databases, and move the files into the repository.
#[derive(Debug)]
pub(super) struct BackupNatively {
    pub(super) point: PointId,
    pub(super) source: Source,
    pub(super) place: Place,
    pub(super) databases: Vec<String>,
    pub(super) temporary: Temporary,
    pub(super) backup_type: BackupType,
    pub(super) files: Option<u32>,
    /// ARN of the KMS key that RDS encrypts the files with.
    pub(super) kms_key_arn: Option<String>,
    /// ARN of the KMS key that RDS is given for copies of log backups.
    pub(super) log_kms_key_arn: Option<String>,
    pub(super) level: Option<i32>,
    /// An earlier point that the new one is likely to resemble.
    pub(super) base: Option<PointId>,
    /// The point whose full backups a differential one, or log backups, stand on.
    pub(super) full: Option<PointRoot>,
    /// What earlier workers of the session have submitted.
    pub(super) submitted: Vec<Submitted>,
    /// ARN of where the instance copied log backups to before they have replaced it.
    pub(super) log_target: Option<String>,
}

/// Move files into the temporary bucket, and have RDS restore databases from there.
#[derive(Debug)]
pub(super) struct RestoreNatively {
    pub(super) roots: Vec<PointRoot>,
    pub(super) target: Source,
    pub(super) place: Place,
    pub(super) databases: Vec<DatabaseRestore>,
    pub(super) temporary: Temporary,
    pub(super) options: RestoreOptions,
    /// What earlier workers of the session have restored.
    pub(super) restored: Vec<RestoredDatabase>,
}

/// The session's place in the temporary bucket.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) place: TemporaryPlace,
    pub(super) region: String,
}

impl TryFrom<wire::BackupSqlServer> for BackupNatively {
    type Error = InvalidMessage;

    fn try_from(message: wire::BackupSqlServer) -> Result<Self, InvalidMessage> {
        const NAME: &str = "BackupSqlServer";
        let backup_type = match wire::NativeBackupType::try_from(message.r#type) {
            Ok(wire::NativeBackupType::Unspecified | wire::NativeBackupType::Full) => BackupType::Full,
            Ok(wire::NativeBackupType::Differential) => BackupType::Differential,
            Ok(wire::NativeBackupType::Log) => BackupType::Log,
            Err(_) => return Err(invalid(NAME, "type", "is unknown to this agent")),
        };
        if message.files > MOST_FILES {
            return Err(invalid(NAME, "files", "is not within 0 and 10"));
        }
        let full = match (backup_type, message.full_root.as_slice()) {
            (BackupType::Full, _) => None,
            (BackupType::Differential | BackupType::Log, []) => {
                return Err(invalid(NAME, "full_root", "is empty, and the backup stands on a full one"));
            }
            (BackupType::Differential | BackupType::Log, root) => Some(point_root(root, NAME)?),
        };
        Ok(Self {
            point: parsed(&message.point_id, NAME, "point_id")?,
            source: required(message.instance, NAME, "instance")?.try_into()?,
            place: required(message.domain, NAME, "domain")?.try_into()?,
            databases: message.databases,
            temporary: required(message.temporary, NAME, "temporary")?.try_into()?,
            backup_type,
            files: (message.files > 0).then_some(message.files),
            kms_key_arn: (!message.kms_key_arn.is_empty()).then_some(message.kms_key_arn),
            log_kms_key_arn: Some(message.log_kms_key_arn).filter(|arn| !arn.is_empty()),
            level: level(message.compression_level, NAME)?,
            base: base_point(&message.base_point_id, NAME)?,
            full,
            submitted: message.submitted.into_iter().map(submitted).collect::<Result<_, _>>()?,
            log_target: Some(message.log_target_arn).filter(|arn| !arn.is_empty()),
        })
    }
}

impl TryFrom<wire::RestoreSqlServer> for RestoreNatively {
    type Error = InvalidMessage;

    fn try_from(message: wire::RestoreSqlServer) -> Result<Self, InvalidMessage> {
        const NAME: &str = "RestoreSqlServer";
        if message.roots.is_empty() {
            return Err(invalid(NAME, "roots", "is empty"));
        }
        Ok(Self {
            roots: message.roots.iter().map(|root| point_root(root, NAME)).collect::<Result<_, _>>()?,
            target: required(message.target, NAME, "target")?.try_into()?,
            place: required(message.domain, NAME, "domain")?.try_into()?,
            databases: message.databases.into_iter().map(database_restore).collect::<Result<_, _>>()?,
            temporary: required(message.temporary, NAME, "temporary")?.try_into()?,
            options: message.options.unwrap_or_default().try_into()?,
            restored: message.restored.iter().map(restored).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<wire::TemporaryLocation> for Temporary {
    type Error = InvalidMessage;

    fn try_from(message: wire::TemporaryLocation) -> Result<Self, InvalidMessage> {
        const NAME: &str = "TemporaryLocation";
        let bucket = filled(message.bucket, NAME, "bucket")?;
        let region = filled(message.region, NAME, "region")?;
        // Everything below it is the session's own, and is removed: never a whole bucket.
        let prefix = filled(message.prefix, NAME, "prefix")?;
        if prefix.starts_with('/') || prefix.ends_with('/') {
            return Err(invalid(NAME, "prefix", "has a slash at an end"));
        }
        Ok(Self { place: TemporaryPlace::new(&region, bucket, prefix), region })
    }
}

/// A task that cannot be read must not be taken for one that is not there: it would be asked for again.
fn submitted(message: wire::TaskSubmitted) -> Result<Submitted, InvalidMessage> {
    let id = message.task_id.parse().map(TaskId).map_err(|_| invalid("TaskSubmitted", "task_id", "is no number"))?;
    let kind = TaskType::of(&message.kind);
    Ok(Submitted { kind, id, database: message.database, object_arn: message.object_arn })
}

/// A part that cannot be read must not be taken for one that is not there: it would be restored again.
fn restored(message: &wire::PartRestored) -> Result<RestoredDatabase, InvalidMessage> {
    serde_json::from_slice(&message.report)
        .map_err(|error| invalid("PartRestored", "report", format!("is not of this agent's version: {error}")))
}

fn database_restore(message: wire::DatabaseRestore) -> Result<DatabaseRestore, InvalidMessage> {
    const NAME: &str = "DatabaseRestore";
    if !message.schemas.is_empty() || !message.tables.is_empty() {
        return Err(invalid(NAME, "schemas", "names parts, and a native backup is restored whole"));
    }
    let on_clash = on_clash(&message)?;
    let database = filled(message.database, NAME, "database")?;
    let target_name = if message.target_name.is_empty() { database.clone() } else { message.target_name };
    Ok(DatabaseRestore { database, target_name, on_clash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> wire::BackupSqlServer {
        wire::BackupSqlServer {
            point_id: "pnt-1".into(),
            instance: Some(wire::DatabaseInstance {
                id: "orders".into(),
                host: "orders.example".into(),
                port: 1433,
                region: "eu-central-1".into(),
                engine_version: "15.00.4430.1.v1".into(),
                login: Some(wire::DatabaseLogin {
                    method: Some(wire::database_login::Method::SecretArn("arn:secret".into())),
                }),
            }),
            domain: Some(wire::DomainLocation {
                bucket: "bucket".into(),
                region: "eu-central-1".into(),
                prefix: "prefix".into(),
                repository_id: "rep-1".into(),
                domain_id: "dom-1".into(),
                immutability: None,
            }),
            temporary: Some(wire::TemporaryLocation {
                bucket: "temp".into(),
                region: "eu-central-1".into(),
                prefix: "ses-1".into(),
            }),
            submitted: vec![wire::TaskSubmitted {
                kind: "BACKUP_DB".into(),
                task_id: "5".into(),
                database: "shop".into(),
                object_arn: "arn:aws:s3:::temp/ses-1/x".into(),
            }],
            ..Default::default()
        }
    }

    #[test]
    fn a_backup_is_read() {
        let read = BackupNatively::try_from(backup()).unwrap();
        assert_eq!((read.backup_type, read.files, read.full), (BackupType::Full, None, None));
        assert_eq!((read.submitted[0].id, &read.submitted[0].kind), (TaskId(5), &TaskType::BackupDb));
        assert_eq!(read.temporary.place, TemporaryPlace::new("eu-central-1", "temp", "ses-1"));
        assert_eq!((read.kms_key_arn, read.log_kms_key_arn), (None, None));
        let keys = wire::BackupSqlServer { kms_key_arn: "all".into(), log_kms_key_arn: "logs".into(), ..backup() };
        let read = BackupNatively::try_from(keys).unwrap();
        assert_eq!((read.kms_key_arn.as_deref(), read.log_kms_key_arn.as_deref()), (Some("all"), Some("logs")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        type Break = fn(&mut wire::BackupSqlServer);
        let cases: [(&str, Break); 9] = [
            ("point_id", |backup| backup.point_id.clear()),
            ("temporary", |backup| backup.temporary = None),
            ("prefix", |backup| backup.temporary.as_mut().unwrap().prefix.clear()),
            ("prefix", |backup| backup.temporary.as_mut().unwrap().prefix = "x/".into()),
            ("files", |backup| backup.files = 11),
            ("type", |backup| backup.r#type = 9),
            ("full_root", |backup| backup.r#type = wire::NativeBackupType::Differential.into()),
            ("full_root", |backup| backup.r#type = wire::NativeBackupType::Log.into()),
            ("task_id", |backup| backup.submitted[0].task_id = "Task Id: 5".into()),
        ];
        for (field, breaks) in cases {
            let mut backup = backup();
            breaks(&mut backup);
            assert_eq!(BackupNatively::try_from(backup).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_native_backup_is_restored_whole_and_under_some_name() {
        let message = wire::DatabaseRestore { database: "shop".into(), ..Default::default() };
        assert_eq!(database_restore(message.clone()).unwrap().target_name, "shop");
        let part = wire::DatabaseRestore { tables: vec!["dbo.items".into()], ..message };
        assert_eq!(database_restore(part).unwrap_err().field, "schemas");
        assert_eq!(RestoreNatively::try_from(wire::RestoreSqlServer::default()).unwrap_err().field, "roots");
    }
}
