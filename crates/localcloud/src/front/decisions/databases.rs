//! DB instances: their states, and which calls each state lets through.
//!
//! After "Viewing Amazon RDS DB instance status" and the pages of the operations in the RDS API reference. What our
//! product must live with: everything takes time; while an instance is `modifying` or `backing-up` AWS refuses a
//! snapshot and a modification; `VpcSecurityGroupIds` replaces the whole list, and takes effect when `modifying` ends.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::subnet_groups::SubnetGroup;
use super::{Tags, ids};
use crate::front::wire::AwsError;
use crate::machines::Engine;

/// Status of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Creating,
    Available,
    Modifying,
    BackingUp,
    Deleting,
    Failed,
}

impl Status {
    /// `DBInstanceStatus`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::BackingUp => "backing-up",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        }
    }
}

/// A master password; never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl Password {
    /// Wraps it.
    pub(crate) fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// The text, for the server that checks it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// The secret in which RDS keeps a managed master password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MasterSecret {
    /// ARN in Secrets Manager.
    pub(crate) arn: String,
    /// Key that it is encrypted with.
    pub(crate) kms_key_id: String,
}

/// What a snapshot keeps of its instance, and a restore begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) engine: Engine,
    pub(crate) class: String,
    /// `15.14`, `16.00.4195.2.v1`.
    pub(crate) engine_version: String,
    pub(crate) master_user: String,
    pub(crate) master_password: Password,
    pub(crate) database: Option<String>,
    pub(crate) port: u16,
    pub(crate) allocated_gib: u32,
    /// Volumes that were added to it, with their sizes in GiB.
    pub(crate) additional_volumes: BTreeMap<String, u32>,
    pub(crate) storage_type: String,
    pub(crate) kms_key_id: Option<String>,
    pub(crate) backup_retention_days: u32,
    pub(crate) backup_window: String,
    pub(crate) maintenance_window: String,
}

/// A DB instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DbInstance {
    pub(crate) id: String,
    pub(crate) resource_id: String,
    pub(crate) status: Status,
    pub(crate) settings: Settings,
    pub(crate) host: String,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) created_at: Timestamp,
    pub(crate) subnet_group: SubnetGroup,
    pub(crate) zone: String,
    /// Groups in force.
    pub(crate) group_ids: Vec<String>,
    /// The list that replaces them when `modifying` ends.
    pub(crate) next_group_ids: Option<Vec<String>>,
    /// The option group in force.
    pub(crate) option_group: String,
    /// The one that replaces it when `modifying` ends.
    pub(crate) next_option_group: Option<String>,
    pub(crate) iam_authentication: bool,
    pub(crate) deletion_protection: bool,
    pub(crate) copy_tags_to_snapshot: bool,
    pub(crate) master_secret: Option<MasterSecret>,
    pub(crate) tags: Tags,
}

/// A modification that was accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Modification {
    /// The whole new list of groups.
    pub(crate) group_ids: Option<Vec<String>>,
    pub(crate) option_group: Option<String>,
    /// New master password.
    pub(crate) password: Option<Password>,
    /// `Some(true)` puts the password into a managed secret, `Some(false)` takes it out.
    pub(crate) manage_password: Option<bool>,
    pub(crate) deletion_protection: Option<bool>,
    pub(crate) backup_retention_days: Option<u32>,
    pub(crate) backup_window: Option<String>,
    pub(crate) maintenance_window: Option<String>,
    pub(crate) copy_tags_to_snapshot: Option<bool>,
    /// Volumes that are added, or another size of ones that are there.
    pub(crate) additional_volumes: BTreeMap<String, u32>,
}

/// Every DB instance of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Databases(BTreeMap<String, DbInstance>);

impl Databases {
    /// Adds a new instance; the name must be free.
    pub(crate) fn insert(&mut self, instance: DbInstance) -> Result<(), AwsError> {
        if self.0.contains_key(&instance.id) {
            return Err(AwsError::new("DBInstanceAlreadyExists", "DB instance already exists"));
        }
        self.0.insert(instance.id.clone(), instance);
        Ok(())
    }

    /// An instance by its identifier, without regard to case.
    pub(crate) fn get(&self, id: &str) -> Result<&DbInstance, AwsError> {
        self.0.get(&id.to_ascii_lowercase()).ok_or_else(|| not_found(id))
    }

    /// An instance by its identifier, to change it.
    pub(crate) fn get_mut(&mut self, id: &str) -> Result<&mut DbInstance, AwsError> {
        self.0.get_mut(&id.to_ascii_lowercase()).ok_or_else(|| not_found(id))
    }

    /// Every instance, by identifier.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &DbInstance> {
        self.0.values()
    }

    /// Forgets an instance that is deleted.
    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }
}

impl DbInstance {
    /// The server answers: `creating` is over.
    pub(crate) fn came_up(&mut self, address: Ipv4Addr) {
        self.address = Some(address);
        self.settle();
    }

    /// What was under way is over; new groups are in force.
    pub(crate) fn settle(&mut self) {
        if matches!(self.status, Status::Creating | Status::Modifying | Status::BackingUp) {
            self.status = Status::Available;
        }
        if let Some(next) = self.next_group_ids.take() {
            self.group_ids = next;
        }
        if let Some(next) = self.next_option_group.take() {
            self.option_group = next;
        }
    }

    /// Begins a snapshot: only from `available`.
    pub(crate) fn begin_backup(&mut self) -> Result<(), AwsError> {
        if self.status != Status::Available {
            let text = format!(
                "Cannot create a snapshot because the database instance {} is not currently in the available state.",
                self.id
            );
            return Err(AwsError::new("InvalidDBInstanceState", text));
        }
        self.status = Status::BackingUp;
        Ok(())
    }

    /// Begins a modification: only from `available`. The answer of ModifyDBInstance still says `available`; the next
    /// description says `modifying`.
    pub(crate) fn begin_modification(&mut self, change: &Modification) -> Result<(), AwsError> {
        if self.status != Status::Available {
            return Err(AwsError::new("InvalidDBInstanceState", "Database instance is not in available state."));
        }
        if change.password.is_some() && self.master_secret.is_some() && change.manage_password != Some(false) {
            let text = "You can't specify MasterUserPassword for an instance with a managed master user password.";
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        if change.manage_password == Some(false) && self.master_secret.is_some() && change.password.is_none() {
            let text = "Specify MasterUserPassword when you turn off ManageMasterUserPassword.";
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        self.next_group_ids.clone_from(&change.group_ids);
        self.next_option_group.clone_from(&change.option_group);
        if let Some(password) = &change.password {
            self.settings.master_password = password.clone();
        }
        let settings = &mut self.settings;
        settings.additional_volumes.extend(change.additional_volumes.clone());
        settings.backup_retention_days = change.backup_retention_days.unwrap_or(settings.backup_retention_days);
        settings.backup_window = change.backup_window.clone().unwrap_or_else(|| settings.backup_window.clone());
        settings.maintenance_window =
            change.maintenance_window.clone().unwrap_or_else(|| settings.maintenance_window.clone());
        self.deletion_protection = change.deletion_protection.unwrap_or(self.deletion_protection);
        self.copy_tags_to_snapshot = change.copy_tags_to_snapshot.unwrap_or(self.copy_tags_to_snapshot);
        self.status = Status::Modifying;
        Ok(())
    }

    /// Begins to delete it.
    pub(crate) fn begin_deletion(&mut self) -> Result<(), AwsError> {
        let refused = match self.status {
            Status::Deleting => Some(format!("Instance {} is already being deleted.", self.id)),
            Status::Creating | Status::Modifying | Status::BackingUp => {
                Some(format!("Instance {} is currently {} - it must be available.", self.id, self.status.name()))
            }
            Status::Available | Status::Failed => None,
        };
        if let Some(text) = refused {
            return Err(AwsError::new("InvalidDBInstanceState", text));
        }
        if self.deletion_protection {
            let text = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        self.status = Status::Deleting;
        Ok(())
    }

    /// Whether a group is joined to it, now or after the modification under way.
    pub(crate) fn holds_group(&self, group_id: &str) -> bool {
        let holds = |ids: &[String]| ids.iter().any(|id| id == group_id);
        holds(&self.group_ids) || self.next_group_ids.as_deref().is_some_and(holds)
    }

    /// Groups with the status that RDS shows: `adding` and `removing` while a new list is on its way.
    pub(crate) fn memberships(&self) -> Vec<(&str, &'static str)> {
        let Some(next) = &self.next_group_ids else {
            return self.group_ids.iter().map(|id| (id.as_str(), "active")).collect();
        };
        let leaving = self.group_ids.iter().filter(|id| !next.contains(id)).map(|id| (id.as_str(), "removing"));
        let staying =
            next.iter().map(|id| (id.as_str(), if self.group_ids.contains(id) { "active" } else { "adding" }));
        staying.chain(leaving).collect()
    }
}

/// A host name as RDS makes them; `zone_hash` is one per account and Region.
pub(crate) fn host_name(id: &str, zone_hash: &str, region: &str) -> String {
    format!("{id}.{zone_hash}.{region}.rds.amazonaws.com")
}

/// A fresh `DbiResourceId`.
pub(crate) fn resource_id() -> String {
    ids::new_resource("db")
}

fn not_found(id: &str) -> AwsError {
    AwsError::new("DBInstanceNotFound", format!("DBInstance {id} not found.")).with_status(404)
}

#[cfg(test)]
pub(crate) mod tests;
