//! Instances of SQL Server in a scene: with an option group, and a role that trusts RDS for them.

use haulier_cloud::databases::OptionGroup;
use haulier_cloud::doubles::MemoryDatabases;
use haulier_cloud::roles::Role;
use haulier_coordinator::sessions::{BackupRequest, NativeOptions};
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::native_backup::temporary::bucket_name;

use super::cloud::DoubleAccess;
use super::{ACCOUNT, REGION, Running, backup_of};

/// DB instances of SQL Server of each scene.
pub(crate) const NATIVE: [&str; 2] = ["crm", "erp"];
/// Their option group.
pub(crate) const GROUP: &str = "backups";
/// Its role.
pub(crate) const ROLE: &str = "native-backups";

/// Adds the instances, in a group that is not ours.
pub(super) fn prepare(access: &DoubleAccess, production: &str) {
    for id in NATIVE {
        let mut instance = MemoryDatabases::sql_server(id, GROUP);
        instance.security_groups = vec![(production.to_owned(), "active".to_owned())];
        access.memory.databases().add(instance);
    }
    access.memory.databases().add_option_group(option_group(Some(&format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"))));
    trust(access, &NATIVE);
}

/// The option group: with the option and this role, or without the option.
pub(crate) fn option_group(role: Option<&str>) -> OptionGroup {
    let settings = role.map(|role| [("IAM_ROLE_ARN".to_owned(), role.to_owned())].into());
    OptionGroup {
        name: GROUP.to_owned(),
        arn: format!("arn:aws:rds:{REGION}:{ACCOUNT}:og:{GROUP}"),
        options: settings.map(|settings| ("SQLSERVER_BACKUP_RESTORE".to_owned(), settings)).into_iter().collect(),
    }
}

/// The role trusts RDS for these instances and the group.
pub(crate) fn trust(access: &DoubleAccess, instances: &[&str]) {
    let mut sources: Vec<String> =
        instances.iter().map(|id| format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:{id}")).collect();
    sources.push(option_group(None).arn);
    let statement = serde_json::json!({
        "Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceArn": sources, "aws:SourceAccount": ACCOUNT}},
    });
    let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    access.roles.put(ROLE, Role { arn: format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"), trust });
}

/// A backup with a full one every so many days.
pub(crate) fn native_backup_of(id: &str, full_every_days: u32) -> BackupRequest {
    BackupRequest { native: NativeOptions { full_every_days, ..NativeOptions::default() }, ..backup_of(id) }
}

impl Running {
    /// Starts what was asked for.
    pub(crate) fn start_backup(&self, request: BackupRequest) -> SessionId {
        let sessions = self.sessions.clone();
        self.run(async move { sessions.start_backup(request, None).await.unwrap() })
    }

    /// The point that a point stands on.
    pub(crate) fn full_point_of(&self, point: &PointId) -> Option<PointId> {
        let (sessions, point) = (self.sessions.clone(), point.clone());
        self.run(async move { sessions.point(&point).await.unwrap().full_point })
    }

    /// Name of the bucket that this installation makes.
    pub(crate) fn temporary_bucket(&self) -> String {
        bucket_name(&self.sessions.services().installation, ACCOUNT, REGION)
    }

    /// Lines of a session's log.
    pub(crate) fn log(&self, id: &SessionId) -> Vec<String> {
        let (sessions, id) = (self.sessions.clone(), id.clone());
        let lines = self.run(async move { sessions.state().log_after(&id, 0).await.unwrap() });
        lines.into_iter().map(|line| line.text).collect()
    }
}
