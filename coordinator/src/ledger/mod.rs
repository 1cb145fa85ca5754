//! The ledger: the durable list of every cloud resource a session has asked for.
//!
//! A row is committed *before* the call that makes its resource, under a name (or client token) that follows from session,
//! epoch and role alone. So whatever crashes when, either the row is there and says what to look for, or nothing was made.
//! Its states:
//!
//! ```text
//! intended ──answer──▶ created ──part of a point, or shared──▶ kept
//!     └──────teardown──────┴──confirmed absent──▶ removed
//! ```
//!
//! [`teardown`] removes what is `intended` or `created`, from these rows alone.

pub mod teardown;

use haulier_domain::id::{Epoch, InstallationId, SessionId};
use haulier_domain::session::UnknownWord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Key of the tag with the installation's id.
pub const TAG_INSTALLATION: &str = "haulier:installation";
/// Key of the tag with the session's id.
pub const TAG_SESSION: &str = "haulier:session";
/// Key of the tag with the epoch.
pub const TAG_EPOCH: &str = "haulier:epoch";
/// Key of the tag that says who answers for the resource: always `haulier`.
pub const TAG_OWNER: &str = "haulier:owner";
/// Key of the tag on resources that outlive their session; its value says as what.
pub const TAG_KEPT: &str = "haulier:kept";
/// Key of the tag that shows as a resource's name: the name of its ledger row.
pub const TAG_NAME: &str = "Name";
/// Key of the sealed tag of a snapshot.
pub const TAG_SEALED: &str = "haulier:sealed";

/// Kind of the rows of temporary buckets.
pub(crate) const KIND_TEMPORARY_BUCKET: &str = "temporary-bucket";

/// Name of the row of a session's place in a temporary bucket.
pub fn bucket_use(bucket: &str, prefix: &str) -> String {
    format!("{bucket}/{prefix}")
}

/// What a row stands for, with what its removal needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Resource {
    /// A worker's EC2 instance. The row's name is its client token.
    Ec2Instance,
    /// A security group.
    SecurityGroup {
        /// VPC it is in.
        vpc_id: String,
    },
    /// A group of ours in the list of a DB instance.
    SecurityGroupMembership {
        /// The DB instance.
        instance_id: String,
        /// The group.
        group_id: String,
    },
    /// A DB snapshot. The row's name is its identifier.
    DbSnapshot,
    /// A session's place in a temporary bucket. The row's name is [`bucket_use`]; the bucket goes with the last row of it.
    TemporaryBucket {
        /// The bucket.
        bucket: String,
        /// What stands before the session's keys, no slash at either end. Empty in a row of the reaper's: the whole bucket,
        /// which nobody has a place in.
        prefix: String,
        /// Somebody has prepared the bucket: it stays.
        prepared: bool,
        /// ARN of the instance whose log backups RDS itself puts there, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logs_of: Option<String>,
    },
}

impl Resource {
    /// The kind as operators and the state see it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ec2Instance => "ec2-instance",
            Self::SecurityGroup { .. } => "security-group",
            Self::SecurityGroupMembership { .. } => "security-group-membership",
            Self::DbSnapshot => "db-snapshot",
            Self::TemporaryBucket { .. } => KIND_TEMPORARY_BUCKET,
        }
    }

    /// Removal goes by this order: nothing is deleted that a later one still uses.
    pub fn teardown_rank(&self) -> u8 {
        match self {
            Self::Ec2Instance => 0,
            Self::SecurityGroupMembership { .. } => 1,
            Self::SecurityGroup { .. } => 2,
            Self::DbSnapshot | Self::TemporaryBucket { .. } => 3,
        }
    }
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// Committed; whether the resource exists is not known.
    Intended,
    /// It exists.
    Created,
    /// It exists and outlives its session.
    Kept,
    /// Its absence is confirmed.
    Removed,
}

impl RowState {
    /// The state as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Created => "created",
            Self::Kept => "kept",
            Self::Removed => "removed",
        }
    }
}

impl std::str::FromStr for RowState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "intended" => Ok(Self::Intended),
            "created" => Ok(Self::Created),
            "kept" => Ok(Self::Kept),
            "removed" => Ok(Self::Removed),
            _ => Err(UnknownWord { text: text.to_owned(), kind: "ledger state" }),
        }
    }
}

/// A row before its resource.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Session that asks.
    pub session: SessionId,
    /// Its epoch; 0 for what belongs to the session as a whole.
    pub epoch: Epoch,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Deterministic name or client token.
    pub name: String,
    /// What it is.
    pub resource: Resource,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of the row.
    pub id: i64,
    /// Session that asked.
    pub session: SessionId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Deterministic name or client token.
    pub name: String,
    /// What it is.
    pub resource: Resource,
    /// The id that the cloud gave it.
    pub resource_id: Option<String>,
    /// Where it stands.
    pub state: RowState,
    /// When the row was written.
    pub intended_at: Timestamp,
    /// When the resource was known to exist.
    pub created_at: Option<Timestamp>,
    /// When its absence was confirmed.
    pub removed_at: Option<Timestamp>,
    /// Failed attempts at removing it.
    pub attempts: u64,
    /// Why the last of them failed.
    pub last_error: Option<String>,
}

/// Names and tags of what one session makes.
#[derive(Debug, Clone)]
pub struct Naming {
    installation: InstallationId,
    session: SessionId,
}

impl Naming {
    /// For one session of this installation.
    pub fn new(installation: &InstallationId, session: &SessionId) -> Self {
        Self { installation: installation.clone(), session: session.clone() }
    }

    /// `haulier-<short session>-<epoch>-<role>`, for what one worker needs. `role` tells apart what one epoch makes.
    pub fn of_epoch(&self, epoch: Epoch, role: &str) -> String {
        format!("haulier-{}-{epoch}-{role}", short(self.session.as_str()))
    }

    /// `haulier-<short session>-<role>`, for what belongs to the session as a whole.
    pub fn of_session(&self, role: &str) -> String {
        format!("haulier-{}-{role}", short(self.session.as_str()))
    }

    /// Tags of a resource that the session makes under this name.
    pub fn tags(&self, epoch: Epoch, name: &str) -> haulier_cloud::object_store::Tags {
        [
            (TAG_NAME, name.to_owned()),
            (TAG_INSTALLATION, self.installation.to_string()),
            (TAG_SESSION, self.session.to_string()),
            (TAG_EPOCH, epoch.to_string()),
            (TAG_OWNER, "haulier".to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// The last twelve characters of an id: the random part of a version 7 UUID.
pub fn short(id: &str) -> &str {
    let cut = id.len().saturating_sub(12);
    id.get(cut..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn names_follow_from_session_and_epoch_and_fit_into_a_client_token() {
        let session = SessionId::from_uuid(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        let naming = Naming::new(&InstallationId::from_uuid(Uuid::nil()), &session);
        assert_eq!(naming.of_epoch(Epoch(2), "worker"), "haulier-456789abcdef-2-worker");
        assert!(naming.of_epoch(Epoch(u64::MAX), "worker-12").len() <= 64);
        assert_eq!(naming.tags(Epoch(2), "x")[TAG_SESSION], session.to_string());
    }

    #[test]
    fn what_uses_something_goes_before_it() {
        let membership =
            Resource::SecurityGroupMembership { instance_id: "orders".into(), group_id: "sg-1".into() }.teardown_rank();
        let group = Resource::SecurityGroup { vpc_id: "vpc-1".into() }.teardown_rank();
        assert!(Resource::Ec2Instance.teardown_rank() < group);
        assert!(membership < group);
        let bucket =
            Resource::TemporaryBucket { bucket: "b".into(), prefix: "p".into(), prepared: false, logs_of: None };
        assert!(Resource::Ec2Instance.teardown_rank() < bucket.teardown_rank(), "a worker may put files there");
    }
}
