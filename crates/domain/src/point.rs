//! What the coordinator shows of a restore point without reading a byte of its data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A restore point at a glance. Kept beside its root, in the clear for whoever may read the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PointSummary {
    /// Databases in it, by name.
    pub databases: Vec<DatabaseSummary>,
    /// What an operator must know about this point: no consistency across databases, roles without a password.
    pub remarks: Vec<String>,
    /// Version of the server as it prints itself: `15.18`.
    pub server_version: String,
    /// Bytes read from the source, all databases together, those included that were taken over from an earlier point.
    pub bytes_read: u64,
    /// Roles described in it.
    pub roles: u64,
}

/// One database of a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseSummary {
    /// Its name.
    pub name: String,
    /// The moment, on the server's clock, whose state it holds.
    pub consistent_at: Timestamp,
    /// First moment whose state can be restored, where there are log backups of it: every whole second from there to
    /// `consistent_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_from: Option<Timestamp>,
    /// Bytes read for it, or taken over from an earlier point.
    pub bytes: u64,
    /// Tables with data of their own, partitions counted one by one.
    pub tables: u64,
    /// Bytes it takes on its server, indexes included; absent where this was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_bytes: Option<u64>,
}
