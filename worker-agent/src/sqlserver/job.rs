//! What to do, and what came of it.

use haulier_domain::clash::OnClash;
use haulier_domain::failure::Failure;
use haulier_domain::id::PointId;
use haulier_domain::left_behind::Asked;
use haulier_domain::manifest::StreamReference;
use haulier_domain::point::PointSummary;
use haulier_domain::sqlserver::keys::{BackupType, TemporaryPlace};
use haulier_domain::sqlserver::manifest::Manifest;
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_domain::sqlserver::task::Submitted;
use serde::{Deserialize, Serialize};

/// Back up databases of one instance.
#[derive(Debug, Clone)]
pub struct BackupJob {
    /// Identifier of the instance, for texts.
    pub instance: String,
    /// Databases by name; empty means every user database that is online.
    pub databases: Vec<String>,
    /// Where RDS writes.
    pub place: TemporaryPlace,
    /// What is asked for.
    pub backup_type: BackupType,
    /// ARN of the KMS key that RDS encrypts the files with; `None`: it encrypts them with none.
    pub kms_key_arn: Option<String>,
    /// ARN of the KMS key that RDS is given for copies of log backups; `None`: the instance's storage is not encrypted.
    pub log_kms_key_arn: Option<String>,
    /// Files to each database; `None` means by its size.
    pub files: Option<u32>,
    /// The point whose full backups a differential one, or log backups, stand on.
    pub full: Option<FullPoint>,
    /// Manifest of the point that the new one is likely to resemble: what of its log backups the new one has too is taken over.
    pub before: Option<StreamReference>,
    /// Tasks that earlier workers have submitted.
    pub submitted: Vec<Submitted>,
    /// ARN of where the instance copied log backups to before earlier workers have replaced it.
    pub log_target: Option<String>,
}

/// A point to stand on or to restore from.
#[derive(Debug, Clone)]
pub struct FullPoint {
    /// Its id.
    pub point: PointId,
    /// Its manifest's stream.
    pub manifest: StreamReference,
}

/// What a backup made. Nothing of it is published yet.
#[derive(Debug, Clone)]
pub struct BackupOutcome {
    /// The manifest's stream: what a restore begins with.
    pub manifest_stream: StreamReference,
    /// The manifest.
    pub manifest: Manifest,
    /// The point at a glance.
    pub summary: PointSummary,
    /// What an operator should know all the same.
    pub warnings: Vec<String>,
    /// Among those: where the instance's place for log backups could not be put back.
    pub log_target_left: Option<Failure>,
}

/// Restore databases of one point into one instance.
#[derive(Debug, Clone)]
pub struct RestoreJob {
    /// Names the work: a repeated restore under the same key goes on with what an interrupted one has begun.
    pub key: String,
    /// Identifier of the target, for texts.
    pub instance: String,
    /// Where RDS reads.
    pub place: TemporaryPlace,
    /// The points to apply: the full one, then the one that stands on it if that is what is restored.
    pub points: Vec<FullPoint>,
    /// What to restore.
    pub databases: Vec<DatabaseRestore>,
    /// How to restore each of them.
    pub options: RestoreOptions,
    /// What earlier workers have restored under the same key, as they told it.
    pub restored: Vec<RestoredDatabase>,
    /// Whether an earlier worker may have begun under the same key.
    pub repeated: bool,
}

/// One database to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRestore {
    /// Name in the point.
    pub database: String,
    /// Name on the target.
    pub target_name: String,
    /// What to do where the name is taken.
    pub on_clash: OnClash,
}

impl DatabaseRestore {
    /// What it may leave on the target.
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            database: self.database.clone(),
            name: self.target_name.clone(),
            replaces: self.on_clash == OnClash::Replace,
        }
    }

    /// Whether this is what was restored.
    pub(crate) fn is_done_by(&self, restored: &RestoredDatabase) -> bool {
        (&restored.database, &restored.target_name) == (&self.database, &self.target_name)
    }
}

/// A database that is complete and stays, whatever becomes of the rest, as the report has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoredDatabase {
    /// Name in the point.
    pub database: String,
    /// Name it was asked to get, before any suffix.
    pub target_name: String,
    /// Name it has.
    pub restored_as: String,
    /// Bytes of the native backups that it was restored from.
    pub bytes: u64,
}

/// What a restore made.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreOutcome {
    /// The databases, in the job's order.
    pub databases: Vec<RestoredDatabase>,
    /// What an operator should know all the same.
    pub warnings: Vec<String>,
    /// Bytes of native backups that passed through the temporary bucket.
    pub bytes: u64,
}
