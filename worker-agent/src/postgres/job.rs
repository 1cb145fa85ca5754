//! What to do, and what came of it.

use std::path::PathBuf;

use haulier_domain::point::PointSummary;
use haulier_domain::postgres::manifest::{Manifest, StreamReference};
use haulier_domain::proof::{DatabaseProof, Exception};
use serde::{Deserialize, Serialize};

/// Dump databases of one instance.
#[derive(Debug, Clone)]
pub struct BackupJob {
    /// Source.
    pub instance: Instance,
    /// Databases by name; empty means every one that may be connected to, except templates and `rdsadmin`.
    pub databases: Vec<String>,
    /// Tables of at least this many bytes get a data stream of their own; 0 means the default.
    pub large_table_bytes: u64,
    /// Tables of at least this many bytes are read over several connections by ctid ranges; 0 means the default.
    pub split_table_bytes: u64,
    /// Data streams read at once; 0 means one per core.
    pub parallel_streams: usize,
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
}

/// Restore databases of one point into one instance.
#[derive(Debug, Clone)]
pub struct RestoreJob {
    /// Names the work: a repeated restore under the same key finds and removes what an interrupted one left.
    pub key: String,
    /// Target.
    pub target: Instance,
    /// The manifest's stream.
    pub manifest: StreamReference,
    /// What to restore.
    pub databases: Vec<DatabaseRestore>,
    /// Create roles and memberships that the target lacks.
    pub roles: bool,
    /// Data streams written at once; 0 means one per core.
    pub parallel_streams: usize,
    /// What earlier workers have restored under the same key, as they told it.
    pub restored: Vec<RestoredPart>,
    /// Whether an earlier worker may have begun under the same key.
    pub repeated: bool,
}

/// One database to restore.
#[derive(Debug, Clone)]
pub struct DatabaseRestore {
    /// Name in the point.
    pub database: String,
    /// Name on the target; empty means the same name.
    pub target_name: String,
    /// What to do where the name is taken.
    pub on_clash: OnClash,
    /// Only these schemas; empty means all.
    pub schemas: Vec<String>,
    /// Only these tables, as `schema.table` in SQL quoting; empty means all.
    pub tables: Vec<String>,
}

pub use crate::mover::Instance;
pub use haulier_domain::clash::OnClash;

/// Restore a whole point into a scratch server of its own, and compare.
#[derive(Debug, Clone)]
pub struct VerifyJob {
    /// Names the work.
    pub key: String,
    /// The manifest's stream.
    pub manifest: StreamReference,
    /// Folder on this machine's disk, in which the scratch server's own is made.
    pub scratch_dir: PathBuf,
    /// Data streams written, and tables read back, at once; 0 means one per core.
    pub parallel_streams: usize,
}

/// What a comparison without a difference found.
#[derive(Debug, Clone)]
pub struct VerifyOutcome {
    /// Version of the scratch server, as it prints itself.
    pub server_version: String,
    /// The databases, in the point's order.
    pub databases: Vec<DatabaseProof>,
    /// What was not restored, and so not compared.
    pub exceptions: Vec<Exception>,
}

/// What a restore made.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreOutcome {
    /// The databases, in the job's order.
    pub databases: Vec<RestoredDatabase>,
    /// Roles that were created.
    pub roles_created: Vec<String>,
    /// Created roles that may log in and have no password.
    pub roles_without_password: Vec<String>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
    /// What an operator should know all the same.
    pub warnings: Vec<String>,
    /// Bytes written to the target.
    pub bytes: u64,
}

/// A part of a restore that is complete and stays, whatever becomes of the rest, with its share of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoredPart {
    /// The roles and their memberships.
    Roles(RolesShare),
    /// A database.
    Database(DatabaseShare),
}

/// What a report has to say of roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RolesShare {
    /// Roles that were created.
    pub created: Vec<String>,
    /// Created roles that may log in and have no password.
    pub without_password: Vec<String>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// What a report has to say of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseShare {
    /// Name it was asked to get, before any suffix.
    pub target_name: String,
    /// The database.
    pub restored: RestoredDatabase,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
    /// Bytes written to the target.
    pub bytes: u64,
}

/// One restored database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoredDatabase {
    /// Name in the point.
    pub database: String,
    /// Name it has on the target.
    pub restored_as: String,
    /// Tables whose row count was compared with the one recorded.
    pub counted_tables: u64,
    /// Rows of those tables.
    pub counted_rows: u64,
}

/// Something left out of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Skipped {
    /// Where: a database, or `roles`.
    pub place: String,
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}
