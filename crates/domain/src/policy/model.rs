//! The data of a policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schedule::ScheduleText;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// What to protect, where to, when, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Name, unique in the installation.
    pub name: String,
    /// A resource that several policies name belongs to the one with the highest number.
    pub priority: u32,
    /// Accounts to look for resources in; empty means the coordinator's own.
    pub accounts: Vec<Account>,
    /// Regions to look in.
    pub regions: Vec<String>,
    /// Resources.
    pub resources: Selection,
    /// Repository to write to, by name.
    pub repository: String,
    /// How to have a worker, where the installation's own settings do not fit.
    pub worker: WorkerDefaults,
    /// Worker configurations by account, Region and Availability Zone; without one the network is chosen by rule.
    pub configurations: Vec<WorkerConfiguration>,
    /// Databases of each instance.
    pub databases: Databases,
    /// How to log in.
    pub credentials: Login,
    /// Whether each session takes an RDS snapshot first.
    pub snapshot: bool,
    /// When it runs.
    pub schedule: ScheduleText,
    /// Workers at once.
    pub concurrency: u32,
    /// How a backup reads and stores.
    pub transfer: Transfer,
    /// What holds for instances of SQL Server alone.
    pub sqlserver: SqlServer,
}

/// How a backup reads and stores: what is `None` is left to the coordinator and its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Transfer {
    /// Data streams read at once; otherwise one for each of the worker's cores.
    pub parallel_streams: Option<u32>,
    /// Tables of at least this many bytes get a data stream of their own; otherwise from 16 MiB.
    pub large_table_bytes: Option<u64>,
    /// Tables of at least this many bytes are read over several connections; otherwise from 1 GiB.
    pub split_table_bytes: Option<u64>,
    /// Zstandard level; otherwise the repository's.
    pub compression_level: Option<i32>,
}

/// How databases of SQL Server are backed up natively: what is `None` is left to the product.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SqlServer {
    /// Files to each database; otherwise by its size.
    pub files: Option<u32>,
    /// ARNs of KMS keys that RDS encrypts the files with, one for each Region; otherwise it encrypts them with none.
    #[serde(default)]
    pub kms_key: Vec<String>,
    /// ARNs of KMS keys that RDS copies log backups with, one for each Region, of instances with encrypted storage, which have no
    /// log backups without; otherwise those of `kms_key`.
    #[serde(default)]
    pub log_kms_key: Vec<String>,
    /// Days from one full backup to the next, with differential ones between; otherwise every backup is full.
    pub full_every_days: Option<u32>,
    /// Log backups in place of differential ones.
    pub log_backups: bool,
    /// Buckets that the operator has prepared; otherwise one that the coordinator makes and removes.
    pub temporary_buckets: Vec<TemporaryBucket>,
}

/// A bucket that native backups of an account and Region pass through. It is never made and never removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TemporaryBucket {
    /// Account of the instances it is for; `None` means each of the policy's.
    pub account: Option<String>,
    /// Region of the instances it is for, and its own.
    pub region: String,
    /// Name.
    pub bucket: String,
    /// What stands before the keys, no leading and no trailing slash.
    pub prefix: Option<String>,
}

/// An account and how to get into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits; known without being written where there is a role.
    pub id: Option<String>,
    /// Role that the coordinator assumes; `None` means its own credentials.
    pub role_arn: Option<String>,
    /// External id that the role's trust policy asks for.
    pub external_id: Option<String>,
}

impl Account {
    /// The account's number where the policy tells it.
    pub fn number(&self) -> Option<String> {
        let from_role = || self.role_arn.as_deref()?.parse::<super::Arn>().ok().map(|arn| arn.account);
        self.id.clone().or_else(from_role)
    }
}

/// A database instance, as far as selecting needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Account: twelve digits.
    pub account: String,
    /// Region.
    pub region: String,
    /// `DBInstanceIdentifier`.
    pub id: String,
    /// Tags.
    pub tags: Tags,
}

/// Which resources.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// What is in, if any of these says so.
    pub include: Vec<Selector>,
    /// What is out if any of these says so, whatever includes it.
    pub exclude: Vec<Selector>,
}

/// One way to name resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Everything in the accounts and Regions.
    All,
    /// These identifiers.
    Ids(Vec<String>),
    /// Whatever has all of these tags, each with one of its values.
    Tags(BTreeMap<String, Vec<String>>),
}

/// How to have a worker: what is `None` comes from the next wider setting, at last from the installation's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerDefaults {
    /// Role whose session-scoped credentials the worker gets.
    pub role_arn: Option<String>,
    /// Instance profile, by name.
    pub instance_profile: Option<String>,
    /// EC2 instance types in order of preference; empty says nothing.
    pub instance_types: Vec<String>,
    /// Machine image; otherwise the newest that carries the installation's tag.
    pub image_id: Option<String>,
    /// Tags for the worker, besides Haulier's own.
    pub tags: Tags,
}

/// A worker's place and shape in one account, Region and Availability Zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerConfiguration {
    /// Account it is for; `None` means each of the policy's.
    pub account: Option<String>,
    /// Region it is for.
    pub region: String,
    /// Availability Zone of the databases it is for; `None` means each of the Region's.
    pub availability_zone: Option<String>,
    /// Subnet of the worker; `None` means by rule.
    pub subnet_id: Option<String>,
    /// Groups that let the worker reach the coordinator and AWS; empty means the one the coordinator keeps per VPC.
    pub security_groups: Vec<String>,
    /// The groups above reach the database already: no pair is made, and the instance is left as it is.
    pub permanent_pair: bool,
    /// Shape.
    pub worker: WorkerDefaults,
}

/// Databases of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Databases {
    /// Every one that may be connected to, except templates and `rdsadmin`.
    All,
    /// These.
    Listed(Vec<String>),
}

/// How a worker logs in. References, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// A Secrets Manager secret with `username` and `password` in JSON.
    Secret {
        /// Its ARN.
        arn: String,
    },
    /// The secret that RDS keeps for the instance's master user.
    RdsManaged,
    /// An IAM database token.
    Iam {
        /// Database user.
        user: String,
    },
}
