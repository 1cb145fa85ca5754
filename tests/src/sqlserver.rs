//! Instances of SQL Server in the local cloud: made with native backup, filled with pages, changed, compared.
//!
//! No code is shared with the product, and none of its SQL: databases are made and looked at through the cloud's own control.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::percent_encoded;
use crate::cloud::Cloud;
use crate::wait;

/// Bytes of a page.
pub const PAGE: u64 = 8192;

/// How long a change of an instance may take.
const CHANGE: Duration = Duration::from_secs(60);
/// Version of RDS's API.
const RDS: (&str, &str) = ("Version", "2014-10-31");
/// What the instances run.
const ENGINE: &str = "sqlserver-se";

/// The role that RDS assumes for native backups of an instance, as policy documents.
#[derive(Debug, Clone)]
pub struct NativeRole {
    /// Whom it trusts.
    pub trust: String,
    /// What it may do.
    pub permissions: String,
}

/// A native task, as the instance's own queue has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NativeTask {
    /// Its number.
    pub id: u32,
    /// `BACKUP_DB`.
    pub r#type: String,
    /// The database that it is for.
    pub database: String,
    /// Where it writes or reads; empty for the end of a restore.
    pub arn: String,
    /// `IN_PROGRESS`.
    pub lifecycle: String,
    /// `task_info`.
    pub info: String,
}

/// Name of the option group and of the role that [`Cloud::create_sqlserver`] makes for an instance.
pub fn option_group_of(instance: &str) -> String {
    format!("native-{instance}")
}

impl Cloud {
    /// Creates a DB instance of SQL Server, Standard Edition, with an option group and a role of its own for native backups. Its
    /// backup and maintenance windows are far from now: a session waits for the end of one.
    ///
    /// # Errors
    /// Where a part cannot be made.
    pub fn create_sqlserver(&self, id: &str, master_password: &str, role: &NativeRole) -> Result<()> {
        self.make_sqlserver(id, master_password, role, None)
    }

    /// Creates one as [`Cloud::create_sqlserver`] does, whose storage is encrypted with a key of KMS's. The role may use a key for
    /// copies of log backups only where its policy says so.
    ///
    /// # Errors
    /// Where a part cannot be made.
    pub fn create_encrypted_sqlserver(
        &self,
        id: &str,
        master_password: &str,
        role: &NativeRole,
        kms_key_arn: &str,
    ) -> Result<()> {
        self.make_sqlserver(id, master_password, role, Some(kms_key_arn))
    }

    fn make_sqlserver(
        &self,
        id: &str,
        master_password: &str,
        role: &NativeRole,
        kms_key_arn: Option<&str>,
    ) -> Result<()> {
        let name = option_group_of(id);
        let role_arn = self.create_role(&name, &role.trust)?;
        self.put_role_policy(&name, "native-backups", &role.permissions)?;
        let group = [
            ("Action", "CreateOptionGroup"),
            RDS,
            ("OptionGroupName", &name),
            ("EngineName", ENGINE),
            ("MajorEngineVersion", "16.00"),
            ("OptionGroupDescription", "Native backups"),
        ];
        self.query("rds", &group)?;
        let option = [
            ("Action", "ModifyOptionGroup"),
            RDS,
            ("OptionGroupName", &name),
            ("ApplyImmediately", "true"),
            ("OptionsToInclude.OptionConfiguration.1.OptionName", "SQLSERVER_BACKUP_RESTORE"),
            ("OptionsToInclude.OptionConfiguration.1.OptionSettings.OptionSetting.1.Name", "IAM_ROLE_ARN"),
            ("OptionsToInclude.OptionConfiguration.1.OptionSettings.OptionSetting.1.Value", &role_arn),
        ];
        self.query("rds", &option)?;
        let instance = json!({
            "id": id,
            "engine": ENGINE,
            "option_group": name,
            "master_user": "master",
            "master_password": master_password,
            "kms_key_arn": kms_key_arn,
        });
        self.control("POST", "/instances", Some(&instance))?;
        let (backup, maintenance) = quiet_windows(SystemTime::now());
        let windows = [
            ("Action", "ModifyDBInstance"),
            RDS,
            ("DBInstanceIdentifier", id),
            ("PreferredBackupWindow", &backup),
            ("PreferredMaintenanceWindow", &maintenance),
            ("ApplyImmediately", "true"),
        ];
        self.query("rds", &windows)?;
        self.available(id)
    }

    /// Adds the volumes H: and I: to an instance.
    ///
    /// # Errors
    /// Where RDS refuses it.
    pub fn add_volumes(&self, id: &str) -> Result<()> {
        let volumes = [
            ("Action", "ModifyDBInstance"),
            RDS,
            ("DBInstanceIdentifier", id),
            ("AdditionalStorageVolumes.member.1.VolumeName", "rdsdbdata2"),
            ("AdditionalStorageVolumes.member.2.VolumeName", "rdsdbdata3"),
            ("ApplyImmediately", "true"),
        ];
        self.query("rds", &volumes)?;
        self.available(id)
    }

    /// Waits until an instance is available.
    ///
    /// # Errors
    /// Where it does not become so in time.
    pub fn available(&self, id: &str) -> Result<()> {
        wait::until(CHANGE, &format!("{id} to be available"), || {
            Ok(self.control("GET", &format!("/instances/{id}"), None)?["status"] == "available")
        })
    }

    /// Takes a DB snapshot of an instance, as somebody else would, and waits until it is there.
    ///
    /// # Errors
    /// Where RDS refuses it.
    pub fn create_snapshot(&self, instance: &str, snapshot: &str) -> Result<()> {
        let call = [
            ("Action", "CreateDBSnapshot"),
            RDS,
            ("DBInstanceIdentifier", instance),
            ("DBSnapshotIdentifier", snapshot),
        ];
        self.query("rds", &call)?;
        self.available(instance)
    }

    /// Makes a database of so many pages, which follow from a seed.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn make_pages(&self, instance: &str, database: &str, seed: u64, pages: u64) -> Result<()> {
        let new = json!({ "made": { "seed": seed, "pages": pages } });
        self.control("POST", &path(instance, database), Some(&new)).map(drop)
    }

    /// Makes a database of backups by another server, files on the host: a full one, and perhaps a differential one.
    ///
    /// # Errors
    /// Where there is one of that name, or the differential backup is not the full one's.
    pub fn load_backup(&self, instance: &str, database: &str, full: &[&Path], differential: &[&Path]) -> Result<()> {
        let new = json!({ "images": { "full": full, "differential": differential } });
        self.control("POST", &path(instance, database), Some(&new)).map(drop)
    }

    /// Writes a backup of a database of pages to files on the host, as another server would have written it. A differential one is
    /// on top of the last full one that was written so.
    ///
    /// # Errors
    /// Where there is no such database, or no full one.
    pub fn write_backup(&self, instance: &str, database: &str, differential: bool, files: &[&Path]) -> Result<()> {
        let images = json!({ "differential": differential, "files": files });
        self.control("POST", &format!("{}/images", path(instance, database)), Some(&images)).map(drop)
    }

    /// SHA-256 of each file that a database was restored from or made of, those of a differential backup last.
    ///
    /// # Errors
    /// Where there is no such database.
    pub fn files_under(&self, instance: &str, database: &str) -> Result<Vec<String>> {
        let hashes = self.control("GET", &format!("{}/images", path(instance, database)), None)?;
        serde_json::from_value(hashes).context("reading hashes")
    }

    /// Removes a database, as somebody else would.
    ///
    /// # Errors
    /// Where there is none.
    pub fn drop_database(&self, instance: &str, database: &str) -> Result<()> {
        self.control("DELETE", &path(instance, database), None).map(drop)
    }

    /// The databases of an instance, those in the state RESTORING marked so.
    ///
    /// # Errors
    /// Where there is no such instance.
    pub fn native_databases(&self, instance: &str) -> Result<Vec<String>> {
        let there = self.control("GET", &format!("/instances/{instance}/databases"), None)?;
        let shown = |database: &Value| {
            let state = if database["restoring"] == true { " (restoring)" } else { "" };
            format!("{}{state}", database["name"].as_str().unwrap_or_default())
        };
        Ok(there.as_array().context("databases are a list")?.iter().map(shown).collect())
    }

    /// Every native task of an instance, oldest first.
    ///
    /// # Errors
    /// Where there is no such instance.
    pub fn native_tasks(&self, instance: &str) -> Result<Vec<NativeTask>> {
        let tasks = self.control("GET", &format!("/instances/{instance}/tasks"), None)?;
        serde_json::from_value(tasks).context("reading tasks")
    }

    /// Changes so many of a database's pages, which follow from a seed.
    ///
    /// # Errors
    /// Where there is no such database.
    pub fn change_pages(&self, instance: &str, database: &str, count: u64, seed: u64) -> Result<()> {
        let change = json!({ "count": count, "seed": seed });
        self.control("POST", &format!("{}/pages", path(instance, database)), Some(&change)).map(drop)
    }

    /// SHA-256 of all pages of a database, in their order.
    ///
    /// # Errors
    /// Where there is no such database, or it cannot be used.
    pub fn pages_of(&self, instance: &str, database: &str) -> Result<String> {
        let look = self.look_at(instance, database)?;
        look["fingerprint"].as_str().map(str::to_owned).context("a database has no fingerprint")
    }

    /// A database as it is: its `fingerprint`, its `data_volume` and `log_volume`, whether it `captures_changes`.
    ///
    /// # Errors
    /// Where there is no such database, or it cannot be used.
    pub fn look_at(&self, instance: &str, database: &str) -> Result<Value> {
        self.control("GET", &path(instance, database), None)
    }
}

fn path(instance: &str, database: &str) -> String {
    format!("/instances/{instance}/databases/{}", percent_encoded(database))
}

/// A backup window that begins in about twelve hours, and a maintenance window in three days.
fn quiet_windows(now: SystemTime) -> (String, String) {
    let hours = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 3600) + 12;
    // The first of January 1970 was a Thursday.
    let days = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let day = usize::try_from((hours / 24 + 3) % 7).map_or("sun", |day| days[day]);
    let (backup, maintenance) = (hours % 24, (hours + 2) % 24);
    (format!("{backup:02}:00-{backup:02}:30"), format!("{day}:{maintenance:02}:00-{day}:{maintenance:02}:30"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_far_from_now() {
        // 27 November 2026, a Friday, 19:20 UTC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_807_200);
        assert_eq!(quiet_windows(now), ("07:00-07:30".to_owned(), "tue:09:00-tue:09:30".to_owned()));
    }
}
