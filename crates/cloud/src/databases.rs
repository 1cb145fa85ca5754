//! The port to RDS in one account and Region.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Result;
use crate::object_store::Tags;

/// A DB instance as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbInstance {
    /// `DBInstanceIdentifier`.
    pub id: String,
    /// `DBInstanceArn`.
    pub arn: String,
    /// `DbiResourceId`: stays when the identifier changes.
    pub resource_id: String,
    /// `postgres`, `sqlserver-se`.
    pub engine: String,
    /// `15.18`.
    pub engine_version: String,
    /// `DBInstanceStatus` as RDS spells it: `available`, `backing-up`.
    pub status: String,
    /// `Endpoint.Address`; absent while it is being created.
    pub host: Option<String>,
    /// `Endpoint.Port`.
    pub port: Option<u16>,
    /// VPC of its subnet group.
    pub vpc_id: Option<String>,
    /// Subnets of its subnet group, with their Availability Zones.
    pub subnets: Vec<(String, String)>,
    /// Availability Zone it runs in.
    pub availability_zone: Option<String>,
    /// `VpcSecurityGroups`: id and status (`active`, `adding`, `removing`).
    pub security_groups: Vec<(String, String)>,
    /// `MasterUsername`.
    pub master_user: String,
    /// ARN of the secret that RDS manages for the master user.
    pub master_secret_arn: Option<String>,
    /// Whether IAM database authentication is on.
    pub iam_authentication: bool,
    /// `AllocatedStorage` in GiB.
    pub allocated_gib: u32,
    /// Names of its additional storage volumes: `rdsdbdata2`.
    pub additional_volumes: Vec<String>,
    /// `BackupRetentionPeriod` in days; 0 means that RDS takes no automated backups.
    pub backup_retention_days: u32,
    /// `StorageEncrypted`.
    pub encrypted: bool,
    /// `PreferredBackupWindow`, UTC: `03:10-03:40`.
    pub backup_window: Option<String>,
    /// `PreferredMaintenanceWindow`, UTC: `sun:04:00-sun:04:30`.
    pub maintenance_window: Option<String>,
    /// Names of its option groups with their status.
    pub option_groups: Vec<(String, String)>,
    /// `DBClusterIdentifier` where it is a member of a cluster.
    pub cluster_id: Option<String>,
    /// Identifier of the instance it is a read replica of.
    pub replica_of: Option<String>,
    /// `TagList`.
    pub tags: Tags,
}

/// A DB snapshot as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbSnapshot {
    /// `DBSnapshotIdentifier`.
    pub id: String,
    /// `DBSnapshotArn`.
    pub arn: String,
    /// Instance it was taken of.
    pub instance_id: String,
    /// `creating`, `available`, `failed`.
    pub status: String,
    /// 0 to 100.
    pub percent: u32,
    /// `SnapshotCreateTime`.
    pub created_at: Option<Timestamp>,
    /// `TagList`.
    pub tags: Tags,
}

/// An option group as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionGroup {
    /// `OptionGroupName`.
    pub name: String,
    /// `OptionGroupArn`.
    pub arn: String,
    /// Settings by name, of each option by name: `SQLSERVER_BACKUP_RESTORE`, `IAM_ROLE_ARN`.
    pub options: BTreeMap<String, BTreeMap<String, String>>,
}

/// RDS in one account and Region. Listings are complete: every page is read.
#[async_trait]
pub trait Databases: Send + Sync + std::fmt::Debug {
    /// `DescribeDBInstances`, all of them.
    async fn instances(&self) -> Result<Vec<DbInstance>>;
    /// `DescribeDBInstances` of one; `None` where there is none.
    async fn instance(&self, id: &str) -> Result<Option<DbInstance>>;
    /// `ModifyDBInstance` with `VpcSecurityGroupIds`: replaces the whole list; takes effect as soon as possible, without
    /// downtime, whatever `ApplyImmediately` says (RDS User Guide, "Settings for DB instances").
    ///
    /// # Errors
    /// `Conflict` (`InvalidDBInstanceState`) while the instance is not `available`.
    async fn set_security_groups(&self, instance_id: &str, group_ids: &BTreeSet<String>) -> Result<()>;
    /// `CreateDBSnapshot`, with tags. There is no client token: the identifier is the token.
    ///
    /// # Errors
    /// `AlreadyExists` where the identifier is taken; `Conflict` while the instance is not `available`; `Exhausted` at
    /// the snapshot quota.
    async fn create_snapshot(&self, instance_id: &str, snapshot_id: &str, tags: &Tags) -> Result<DbSnapshot>;
    /// `DescribeDBSnapshots` of one; `None` where there is none.
    async fn snapshot(&self, id: &str) -> Result<Option<DbSnapshot>>;
    /// `DescribeDBSnapshots` of type `manual`, all of them.
    async fn manual_snapshots(&self) -> Result<Vec<DbSnapshot>>;
    /// `DescribeDBSnapshots` of one instance, manual and automated ones.
    async fn snapshots_of(&self, instance_id: &str) -> Result<Vec<DbSnapshot>>;
    /// `DescribeOptionGroups` of one; `None` where there is none.
    async fn option_group(&self, name: &str) -> Result<Option<OptionGroup>>;
    /// `DeleteDBSnapshot`. Succeeds where it is gone.
    async fn delete_snapshot(&self, id: &str) -> Result<()>;
}
