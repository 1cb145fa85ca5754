//! What a session is asked to do, with everything it needs to know from its policy.
//!
//! A request is stored with its session and never changed: a policy that is edited while a session runs does not reach
//! into it. It holds references to secrets, never their values.

use std::collections::BTreeMap;

use haulier_domain::id::{DomainId, PointId};
use haulier_domain::sqlserver::options::RestoreOptions;
use serde::{Deserialize, Serialize};

/// An AWS account and how the coordinator gets into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Role to assume there; without one the coordinator's own credentials are used.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// External id that the role's trust asks for.
    #[serde(default)]
    pub external_id: Option<String>,
}

/// One account and Region: what a client of AWS is made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The account.
    pub account: Account,
    /// The Region.
    pub region: String,
}

/// A DB instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstanceRef {
    /// Where it is.
    pub place: Place,
    /// `DBInstanceIdentifier`.
    pub id: String,
}

impl InstanceRef {
    /// The key of its lock: one session at a time touches an instance.
    pub fn lock_key(&self) -> String {
        format!("{}/{}/{}", self.place.account.id, self.place.region, self.id)
    }
}

/// How a session logs in to a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// A Secrets Manager secret with `username` and `password`.
    Secret(String),
    /// The secret that RDS manages for the master user.
    MasterSecret,
    /// An IAM token for this user.
    Iam(String),
}

/// The worker configuration that applies, by Region and Availability Zone; what is not said is chosen by rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerConfiguration {
    /// Image; otherwise the newest one tagged `haulier:component=worker`.
    pub image_id: Option<String>,
    /// Instance types in order of preference; empty means the coordinator's.
    pub instance_types: Vec<String>,
    /// Size of the root volume in GiB.
    pub root_volume_gib: Option<u32>,
    /// Instance profile; it needs no permissions.
    pub instance_profile: Option<String>,
    /// Role whose sessions the worker's credentials are.
    pub role_arn: Option<String>,
    /// Networks the operator has prepared in the Region.
    pub networks: Vec<WorkerNetwork>,
    /// Tags of worker instances, besides ours.
    pub tags: BTreeMap<String, String>,
}

/// A prepared network for workers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerNetwork {
    /// Zone of the databases it is for; `None` means each of the Region's.
    pub availability_zone: Option<String>,
    /// Subnet.
    pub subnet_id: Option<String>,
    /// Base groups: what a worker needs besides the database (443 to the coordinator, S3, STS, Secrets Manager).
    pub security_group_ids: Vec<String>,
    /// The groups above reach the database already: make no pair and leave the instance as it is.
    pub permanent_pair: bool,
}

/// A bucket that somebody has prepared for native backups of SQL Server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedBucket {
    /// Name.
    pub bucket: String,
    /// What stands before the keys, no slash at either end; may be empty.
    #[serde(default)]
    pub prefix: String,
}

/// How databases of SQL Server are backed up natively. Other engines take no notice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NativeOptions {
    /// Files to each database; 0 means by its size.
    pub files: u32,
    /// ARN of the KMS key that RDS encrypts the files with; `None`: it encrypts them with none.
    pub kms_key_arn: Option<String>,
    /// ARN of the KMS key that RDS copies log backups with where the instance's storage is encrypted; `None`: that of the files.
    pub log_kms_key_arn: Option<String>,
    /// Days from one full backup to the next, with differential ones between; 0 means that every backup is full.
    pub full_every_days: u32,
    /// Log backups between them, in place of differential ones.
    pub log_backups: bool,
    /// The bucket to pass through; `None` means one that is made and removed.
    pub bucket: Option<PreparedBucket>,
}

/// A backup of one DB instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// Policy it belongs to; none for sessions by hand.
    pub policy: Option<String>,
    /// What to back up.
    pub instance: InstanceRef,
    /// Repository by name.
    pub repository: String,
    /// How to log in.
    pub login: Login,
    /// Databases by name; empty means all.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Take a DB snapshot too, kept with the restore point.
    pub snapshot: bool,
    /// How the worker is made.
    #[serde(default)]
    pub worker: WorkerConfiguration,
    /// Sessions of this policy that may run at once; 0 means any number.
    #[serde(default)]
    pub concurrency: u32,
    /// Data streams read at once; 0 means one per core.
    #[serde(default)]
    pub parallel_streams: u32,
    /// Zstandard level; 0 means the repository's default.
    #[serde(default)]
    pub compression_level: i32,
    /// Tables of at least this many bytes get a stream of their own; 0 means the product's default.
    #[serde(default)]
    pub large_table_bytes: u64,
    /// Tables of at least this many bytes are read by ctid ranges; 0 means the product's default.
    #[serde(default)]
    pub split_table_bytes: u64,
    /// How databases of SQL Server are backed up.
    #[serde(default)]
    pub native: NativeOptions,
}

/// One database to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSelection {
    /// Name in the point.
    pub database: String,
    /// Name on the target; empty means the same.
    #[serde(default)]
    pub target_name: String,
    /// What to do where the name is taken.
    #[serde(default)]
    pub on_clash: OnClash,
    /// Only these schemas; empty means all.
    #[serde(default)]
    pub schemas: Vec<String>,
    /// Only these tables; empty means all.
    #[serde(default)]
    pub tables: Vec<String>,
}

impl DatabaseSelection {
    /// Name that it is to get, before any suffix.
    pub fn name_on_target(&self) -> &str {
        if self.target_name.is_empty() { &self.database } else { &self.target_name }
    }
}

/// What to do where a database of the target's name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnClash {
    /// Refuse.
    #[default]
    Refuse,
    /// Take the next free name.
    Suffix,
    /// Drop the existing database first.
    Replace,
}

/// A restore of databases out of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// Policy of the point, for the log.
    pub policy: Option<String>,
    /// The point.
    pub point: PointId,
    /// Where to.
    pub target: InstanceRef,
    /// How to log in there.
    pub login: Login,
    /// What to restore; empty means every database under its own name.
    #[serde(default)]
    pub databases: Vec<DatabaseSelection>,
    /// Restore roles and grants that the target lacks.
    pub roles: bool,
    /// How the worker is made.
    #[serde(default)]
    pub worker: WorkerConfiguration,
    /// Data streams written at once; 0 means one per core.
    #[serde(default)]
    pub parallel_streams: u32,
    /// For databases of SQL Server, the bucket to pass through; `None` means one that is made and removed.
    #[serde(default)]
    pub bucket: Option<PreparedBucket>,
    /// For databases of SQL Server, how to restore them.
    #[serde(default)]
    pub native: RestoreOptions,
}

/// A check of a point. Its worker runs in the network of the point's instance and touches no database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// Policy of the point, for the log.
    pub policy: Option<String>,
    /// The point.
    pub point: PointId,
    /// Instance in whose network the worker runs.
    pub near: InstanceRef,
    /// Read every byte.
    pub full: bool,
    /// Read every byte of so many packs in a hundred.
    #[serde(default)]
    pub sample_percent: u32,
    /// Restore it into a scratch server on the worker instead, and compare.
    #[serde(default)]
    pub restore: bool,
    /// How the worker is made.
    #[serde(default)]
    pub worker: WorkerConfiguration,
}

/// A prune of a repository's domain. Its worker runs in the network of an instance and touches no database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceRequest {
    /// Repository by name.
    pub repository: String,
    /// Its domain.
    pub domain: DomainId,
    /// Instance in whose network the worker runs: the domain's own, where it still exists.
    pub near: InstanceRef,
    /// Only find out what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// How the worker is made.
    #[serde(default)]
    pub worker: WorkerConfiguration,
}

/// A copy of a point in another repository. Its worker runs in the network of an instance and touches no database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicateRequest {
    /// Policy of the point, for the log.
    pub policy: Option<String>,
    /// The point.
    pub point: PointId,
    /// Repository it is copied to, by name.
    pub repository: String,
    /// What the copy is called.
    pub copy: PointId,
    /// Instance in whose network the worker runs: the point's own, where it still exists.
    pub near: InstanceRef,
    /// How the worker is made.
    #[serde(default)]
    pub worker: WorkerConfiguration,
}

/// Any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Request {
    /// A backup.
    Backup(BackupRequest),
    /// A restore.
    DatabaseRestore(RestoreRequest),
    /// A check.
    Verify(VerifyRequest),
    /// A prune.
    Maintenance(MaintenanceRequest),
    /// A copy.
    Replicate(ReplicateRequest),
}

impl Request {
    /// The instance it reads, writes or runs next to.
    pub fn instance(&self) -> &InstanceRef {
        match self {
            Self::Backup(request) => &request.instance,
            Self::DatabaseRestore(request) => &request.target,
            Self::Verify(request) => &request.near,
            Self::Maintenance(request) => &request.near,
            Self::Replicate(request) => &request.near,
        }
    }

    /// The instance whose groups and snapshots it touches: sessions on one of these take turns.
    pub fn touches(&self) -> Option<&InstanceRef> {
        match self {
            Self::Backup(request) => Some(&request.instance),
            Self::DatabaseRestore(request) => Some(&request.target),
            Self::Verify(_) | Self::Maintenance(_) | Self::Replicate(_) => None,
        }
    }

    /// What no other session may hold meanwhile: the instance it touches, the domain it deletes from, or the copy it makes. A
    /// prune that deletes nothing waits for none.
    pub fn lock_key(&self) -> Option<String> {
        match self {
            Self::Maintenance(request) if !request.dry_run => {
                Some(format!("domain {}/{}", request.repository, request.domain))
            }
            Self::Replicate(request) => Some(format!("copy {}", request.copy)),
            other => other.touches().map(InstanceRef::lock_key),
        }
    }

    /// Its policy.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Backup(request) => request.policy.as_deref(),
            Self::DatabaseRestore(request) => request.policy.as_deref(),
            Self::Verify(request) => request.policy.as_deref(),
            Self::Maintenance(_) => None,
            Self::Replicate(request) => request.policy.as_deref(),
        }
    }

    /// Sessions of its policy that may run at once; 0 means any number.
    pub fn concurrency(&self) -> u32 {
        match self {
            Self::Backup(request) => request.concurrency,
            Self::DatabaseRestore(_) | Self::Verify(_) | Self::Maintenance(_) | Self::Replicate(_) => 0,
        }
    }

    /// How its worker is made.
    pub fn worker(&self) -> &WorkerConfiguration {
        match self {
            Self::Backup(request) => &request.worker,
            Self::DatabaseRestore(request) => &request.worker,
            Self::Verify(request) => &request.worker,
            Self::Maintenance(request) => &request.worker,
            Self::Replicate(request) => &request.worker,
        }
    }
}
