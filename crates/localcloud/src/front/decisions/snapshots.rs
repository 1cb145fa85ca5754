//! DB snapshots.
//!
//! After "Creating a DB snapshot" and the pages of CreateDBSnapshot, DeleteDBSnapshot and
//! RestoreDBInstanceFromDBSnapshot: an identifier is taken from the moment the call is accepted; a snapshot can be
//! restored or deleted only when it is `available`, and not deleted while a restore reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Tags;
use super::databases::{DbInstance, Settings};
use crate::front::wire::AwsError;

/// Status of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotStatus {
    Creating,
    Available,
    Deleting,
    Failed,
}

impl SnapshotStatus {
    /// `Status`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        }
    }
}

/// A manual snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) status: SnapshotStatus,
    pub(crate) created_at: Timestamp,
    /// How many restores read it now.
    pub(crate) readers: usize,
    pub(crate) instance_id: String,
    pub(crate) resource_id: String,
    pub(crate) instance_created_at: Timestamp,
    pub(crate) vpc_id: String,
    pub(crate) zone: String,
    pub(crate) iam_authentication: bool,
    pub(crate) settings: Settings,
    pub(crate) option_group: String,
    pub(crate) tags: Tags,
}

impl Snapshot {
    /// `PercentProgress`: by time, and 100 only when it is done.
    pub(crate) fn percent(&self, now: Timestamp, expected: Duration) -> u32 {
        if self.status != SnapshotStatus::Creating {
            return 100;
        }
        let elapsed = u128::try_from(now.as_millisecond() - self.created_at.as_millisecond()).unwrap_or(0);
        u32::try_from((elapsed * 100 / expected.as_millis().max(1)).min(99)).unwrap_or(99)
    }
}

/// Every snapshot of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots(BTreeMap<String, Snapshot>);

impl Snapshots {
    /// Begins a snapshot of an instance. An identifier in use is refused before the instance's state is looked at:
    /// a repeated call is told of the snapshot that the first one made. Tags of the request replace those that
    /// `CopyTagsToSnapshot` would give.
    pub(crate) fn begin(
        &mut self,
        id: &str,
        instance: &mut DbInstance,
        tags: Tags,
        now: Timestamp,
    ) -> Result<Snapshot, AwsError> {
        let id = id.to_ascii_lowercase();
        if self.0.contains_key(&id) {
            let text =
                format!("Cannot create the snapshot because a snapshot with the identifier {id} already exists.");
            return Err(AwsError::new("DBSnapshotAlreadyExists", text));
        }
        check_identifier(&id)?;
        instance.begin_backup()?;
        let tags = if tags.is_empty() && instance.copy_tags_to_snapshot { instance.tags.clone() } else { tags };
        let snapshot = Snapshot {
            id: id.clone(),
            status: SnapshotStatus::Creating,
            created_at: now,
            readers: 0,
            instance_id: instance.id.clone(),
            resource_id: instance.resource_id.clone(),
            instance_created_at: instance.created_at,
            vpc_id: instance.subnet_group.vpc_id.clone(),
            zone: instance.zone.clone(),
            iam_authentication: instance.iam_authentication,
            settings: instance.settings.clone(),
            option_group: instance.option_group.clone(),
            tags,
        };
        self.0.insert(id, snapshot.clone());
        Ok(snapshot)
    }

    /// The copy is taken, or could not be.
    pub(crate) fn finish(&mut self, id: &str, succeeded: bool) {
        if let Some(snapshot) = self.0.get_mut(id) {
            snapshot.status = if succeeded { SnapshotStatus::Available } else { SnapshotStatus::Failed };
        }
    }

    /// Begins a restore from it, which holds it until [`Snapshots::release`].
    pub(crate) fn begin_restore(&mut self, id: &str) -> Result<Snapshot, AwsError> {
        let snapshot = self.get_mut(id)?;
        if snapshot.status != SnapshotStatus::Available {
            let text = format!("DBSnapshot {} is not in the available state.", snapshot.id);
            return Err(AwsError::new("InvalidDBSnapshotState", text));
        }
        snapshot.readers += 1;
        Ok(snapshot.clone())
    }

    /// A restore has read all of it.
    pub(crate) fn release(&mut self, id: &str) {
        if let Some(snapshot) = self.0.get_mut(id) {
            snapshot.readers = snapshot.readers.saturating_sub(1);
        }
    }

    /// Begins to delete it.
    pub(crate) fn begin_deletion(&mut self, id: &str) -> Result<Snapshot, AwsError> {
        let snapshot = self.get_mut(id)?;
        let usable = matches!(snapshot.status, SnapshotStatus::Available | SnapshotStatus::Failed);
        if !usable || snapshot.readers > 0 {
            let text = format!("Cannot delete the snapshot {} because it is not in the available state.", snapshot.id);
            return Err(AwsError::new("InvalidDBSnapshotState", text));
        }
        snapshot.status = SnapshotStatus::Deleting;
        Ok(snapshot.clone())
    }

    /// Forgets a deleted snapshot.
    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// A snapshot by its identifier, without regard to case.
    pub(crate) fn get(&self, id: &str) -> Result<&Snapshot, AwsError> {
        self.0.get(&id.to_ascii_lowercase()).ok_or_else(|| not_found(id))
    }

    /// A snapshot by its identifier, to change it.
    pub(crate) fn get_mut(&mut self, id: &str) -> Result<&mut Snapshot, AwsError> {
        self.0.get_mut(&id.to_ascii_lowercase()).ok_or_else(|| not_found(id))
    }

    /// Every snapshot, by identifier.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Snapshot> {
        self.0.values()
    }
}

/// Identifiers of snapshots and instances: letters, digits and single hyphens, a letter first, no hyphen last.
pub(crate) fn check_identifier(id: &str) -> Result<(), AwsError> {
    let starts = id.starts_with(|first: char| first.is_ascii_alphabetic());
    let letters = id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    if starts && letters && !id.ends_with('-') && !id.contains("--") && id.len() <= 255 {
        return Ok(());
    }
    let text = format!(
        "Invalid identifier {id}. Identifiers must begin with a letter; must contain only ASCII letters, digits, and \
         hyphens; and must not end with a hyphen or contain two consecutive hyphens."
    );
    Err(AwsError::new("InvalidParameterValue", text))
}

fn not_found(id: &str) -> AwsError {
    AwsError::new("DBSnapshotNotFound", format!("DBSnapshot {id} not found.")).with_status(404)
}

#[cfg(test)]
mod tests;
