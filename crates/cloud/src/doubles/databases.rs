//! RDS in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::errors::{not_found, refused};
use super::world::{Database, MemoryCloud, SUBNET_IDS, Snapshot, VPC_ID, World, ZONES};
use crate::databases::{Databases, DbInstance, DbSnapshot, OptionGroup};
use crate::error::{CloudError, ErrorKind, Result};
use crate::object_store::Tags;

/// RDS in memory. Modifications and snapshots are done after a number of descriptions; meanwhile the instance is
/// `modifying` or `backing-up` and refuses the next one.
#[derive(Debug, Clone)]
pub struct MemoryDatabases {
    cloud: MemoryCloud,
}

impl MemoryDatabases {
    pub(super) fn new(cloud: MemoryCloud) -> Self {
        Self { cloud }
    }

    /// Adds or replaces an instance.
    pub fn add(&self, instance: DbInstance) {
        self.cloud.change(|world| {
            world.databases.insert(instance.id.clone(), Database { described: instance, reads_left: 0 });
        });
    }

    /// An available PostgreSQL instance in the cloud's own network, for [`MemoryDatabases::add`].
    pub fn postgres(id: &str) -> DbInstance {
        DbInstance {
            id: id.to_owned(),
            arn: format!("arn:aws:rds:eu-central-1:111122223333:db:{id}"),
            resource_id: format!("db-{}", id.to_uppercase()),
            engine: "postgres".to_owned(),
            engine_version: "15.18".to_owned(),
            status: "available".to_owned(),
            host: Some(format!("{id}.abcdefghijkl.eu-central-1.rds.amazonaws.com")),
            port: Some(5432),
            vpc_id: Some(VPC_ID.to_owned()),
            subnets: SUBNET_IDS.iter().zip(ZONES).map(|(id, zone)| ((*id).to_owned(), zone.to_owned())).collect(),
            availability_zone: Some(ZONES[0].to_owned()),
            security_groups: Vec::new(),
            master_user: "postgres".to_owned(),
            master_secret_arn: None,
            iam_authentication: false,
            allocated_gib: 20,
            additional_volumes: Vec::new(),
            backup_retention_days: 0,
            encrypted: false,
            backup_window: None,
            maintenance_window: None,
            option_groups: Vec::new(),
            cluster_id: None,
            replica_of: None,
            tags: Tags::new(),
        }
    }

    /// An available instance of SQL Server in the cloud's own network, whose option group is in sync.
    pub fn sql_server(id: &str, option_group: &str) -> DbInstance {
        DbInstance {
            engine: "sqlserver-se".to_owned(),
            engine_version: "15.00.4430.1.v1".to_owned(),
            port: Some(1433),
            master_user: "admin".to_owned(),
            option_groups: vec![(option_group.to_owned(), "in-sync".to_owned())],
            ..Self::postgres(id)
        }
    }

    /// Adds or replaces an option group.
    pub fn add_option_group(&self, group: OptionGroup) {
        self.cloud.change(|world| world.option_groups.insert(group.name.clone(), group));
    }

    /// Adds a snapshot that somebody else has taken, RDS itself for example. It is settled once it is `available`.
    pub fn add_snapshot(&self, snapshot: DbSnapshot) {
        self.cloud.change(|world| {
            let reads_left = if snapshot.status == "creating" { world.lag } else { 0 };
            world.snapshots.insert(snapshot.id.clone(), Snapshot { described: snapshot, reads_left });
        });
    }

    /// Sets an instance's status, as somebody else's hand would.
    pub fn set_status(&self, id: &str, status: &str) {
        self.cloud.change(|world| {
            if let Some(database) = world.databases.get_mut(id) {
                status.clone_into(&mut database.described.status);
                database.reads_left = 0;
            }
        });
    }
}

impl World {
    /// One description of a DB instance: time goes on for it and for the snapshots taken of it.
    fn describe_database(&mut self, id: &str) -> Option<DbInstance> {
        let database = self.databases.get_mut(id)?;
        if database.reads_left > 0 {
            database.reads_left -= 1;
            if database.reads_left == 0 {
                database.described.status = "available".to_owned();
                database.described.security_groups.retain(|(_, status)| status != "removing");
                for (_, status) in &mut database.described.security_groups {
                    *status = "active".to_owned();
                }
                for snapshot in self.snapshots.values_mut().filter(|one| one.described.instance_id == id) {
                    snapshot.settle();
                }
            }
        }
        Some(self.databases.get(id)?.described.clone())
    }

    /// One description of a snapshot: time goes on for its instance.
    fn describe_snapshot(&mut self, id: &str) -> Option<DbSnapshot> {
        let snapshot = self.snapshots.get_mut(id)?;
        if snapshot.reads_left > 0 {
            snapshot.reads_left -= 1;
            snapshot.described.percent = 50;
            if snapshot.reads_left == 0 {
                snapshot.settle();
                let instance_id = snapshot.described.instance_id.clone();
                if let Some(database) = self.databases.get_mut(&instance_id)
                    && database.described.status == "backing-up"
                {
                    database.described.status = "available".to_owned();
                    database.reads_left = 0;
                }
            }
        }
        Some(self.snapshots.get(id)?.described.clone())
    }

    /// The instance, if it may be changed now.
    fn available(&mut self, operation: &'static str, id: &str) -> Result<&mut Database, CloudError> {
        let database = self.databases.get_mut(id).ok_or_else(|| not_found(operation, id, "DBInstanceNotFound"))?;
        if database.described.status == "available" {
            return Ok(database);
        }
        let message = format!("the instance is not available: {}", database.described.status);
        Err(refused(operation, id, ErrorKind::Conflict, "InvalidDBInstanceState", &message))
    }
}

impl Snapshot {
    fn settle(&mut self) {
        self.reads_left = 0;
        if self.described.status == "creating" {
            self.described.status = "available".to_owned();
            self.described.percent = 100;
        }
    }
}

#[async_trait]
impl Databases for MemoryDatabases {
    async fn instances(&self) -> Result<Vec<DbInstance>> {
        let mut world = self.cloud.lock();
        let ids: Vec<String> = world.databases.keys().cloned().collect();
        Ok(ids.iter().filter_map(|id| world.describe_database(id)).collect())
    }

    async fn instance(&self, id: &str) -> Result<Option<DbInstance>> {
        Ok(self.cloud.lock().describe_database(id))
    }

    async fn set_security_groups(&self, instance_id: &str, group_ids: &BTreeSet<String>) -> Result<()> {
        self.cloud.change(|world| {
            if let Some(unknown) = group_ids.iter().find(|id| !world.groups.contains_key(*id)) {
                return Err(not_found("ModifyDBInstance", unknown, "InvalidVPCNetworkStateFault"));
            }
            let lag = world.lag;
            let database = world.available("ModifyDBInstance", instance_id)?;
            let groups = &mut database.described.security_groups;
            if groups.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>() == *group_ids {
                return Ok(());
            }
            for (id, status) in groups.iter_mut().filter(|(id, _)| !group_ids.contains(id)) {
                tracing::debug!(group = %id, "leaves the instance");
                *status = "removing".to_owned();
            }
            for id in group_ids {
                if !groups.iter().any(|(known, _)| known == id) {
                    groups.push((id.clone(), "adding".to_owned()));
                }
            }
            if lag == 0 {
                groups.retain(|(_, status)| status != "removing");
                groups.iter_mut().for_each(|(_, status)| *status = "active".to_owned());
            } else {
                database.described.status = "modifying".to_owned();
                database.reads_left = lag;
            }
            Ok(())
        })
    }

    async fn create_snapshot(&self, instance_id: &str, snapshot_id: &str, tags: &Tags) -> Result<DbSnapshot> {
        const OPERATION: &str = "CreateDBSnapshot";
        self.cloud.change(|world| {
            if world.snapshots.contains_key(snapshot_id) {
                let kind = ErrorKind::AlreadyExists;
                return Err(refused(OPERATION, snapshot_id, kind, "DBSnapshotAlreadyExists", "the name is taken"));
            }
            if world.snapshots.len() >= world.snapshot_quota {
                let (kind, code) = (ErrorKind::Exhausted, "SnapshotQuotaExceeded");
                return Err(refused(OPERATION, snapshot_id, kind, code, "there are too many snapshots"));
            }
            let lag = world.lag;
            let database = world.available(OPERATION, instance_id)?;
            if lag > 0 {
                database.described.status = "backing-up".to_owned();
                database.reads_left = lag;
            }
            let described = DbSnapshot {
                id: snapshot_id.to_owned(),
                arn: format!("arn:aws:rds:eu-central-1:111122223333:snapshot:{snapshot_id}"),
                instance_id: instance_id.to_owned(),
                status: "creating".to_owned(),
                percent: 0,
                created_at: Some(Timestamp::now()),
                tags: tags.clone(),
            };
            let mut snapshot = Snapshot { described, reads_left: lag };
            if lag == 0 {
                snapshot.settle();
            }
            let answer = snapshot.described.clone();
            world.snapshots.insert(snapshot_id.to_owned(), snapshot);
            Ok(answer)
        })
    }

    async fn snapshot(&self, id: &str) -> Result<Option<DbSnapshot>> {
        Ok(self.cloud.lock().describe_snapshot(id))
    }

    async fn manual_snapshots(&self) -> Result<Vec<DbSnapshot>> {
        let mut world = self.cloud.lock();
        let ids: Vec<String> = world.snapshots.keys().cloned().collect();
        Ok(ids.iter().filter_map(|id| world.describe_snapshot(id)).collect())
    }

    async fn snapshots_of(&self, instance_id: &str) -> Result<Vec<DbSnapshot>> {
        let mut snapshots = self.manual_snapshots().await?;
        snapshots.retain(|snapshot| snapshot.instance_id == instance_id);
        Ok(snapshots)
    }

    async fn option_group(&self, name: &str) -> Result<Option<OptionGroup>> {
        Ok(self.cloud.lock().option_groups.get(name).cloned())
    }

    async fn delete_snapshot(&self, id: &str) -> Result<()> {
        self.cloud.change(|world| {
            let creating = world.snapshots.get(id).is_some_and(|snapshot| snapshot.described.status == "creating");
            if creating {
                let (kind, code) = (ErrorKind::Conflict, "InvalidDBSnapshotState");
                return Err(refused("DeleteDBSnapshot", id, kind, code, "the snapshot is being created"));
            }
            world.snapshots.remove(id);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Compute as _;
    use crate::doubles::conformance::{self, DatabasesFixture};

    #[tokio::test(start_paused = true)]
    async fn conforms_and_leaves_nothing() {
        let cloud = MemoryCloud::new();
        let (databases, compute) = (cloud.databases(), cloud.compute());
        let group = compute.create_security_group(VPC_ID, "extra", "extra", &Tags::new()).await.unwrap();
        databases.add(MemoryDatabases::postgres("orders"));
        databases.add_option_group(OptionGroup {
            name: "backups".into(),
            arn: "arn:aws:rds:eu-central-1:111122223333:og:backups".into(),
            options: Default::default(),
        });
        let before = cloud.listing();
        let fixture = DatabasesFixture {
            instance_id: "orders".into(),
            spare_group_id: group.clone(),
            option_group: Some("backups".into()),
            prefix: "conformance".into(),
        };
        conformance::databases(&*databases, &fixture).await;
        assert_eq!(cloud.leftovers(&before), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_group_of_a_db_instance_cannot_be_deleted() {
        let cloud = MemoryCloud::new();
        let (databases, compute) = (cloud.databases(), cloud.compute());
        let group = compute.create_security_group(VPC_ID, "extra", "extra", &Tags::new()).await.unwrap();
        databases.add(MemoryDatabases::postgres("orders"));
        databases.set_security_groups("orders", &[group.clone()].into()).await.unwrap();
        let refusal = compute.delete_security_group(&group).await.unwrap_err();
        assert_eq!(refusal.code.as_deref(), Some("DependencyViolation"));
    }

    #[tokio::test]
    async fn the_snapshot_quota_is_a_refusal_of_its_own() {
        let cloud = MemoryCloud::new();
        cloud.set_snapshot_quota(0);
        let databases = cloud.databases();
        databases.add(MemoryDatabases::postgres("orders"));
        let refusal = databases.create_snapshot("orders", "one", &Tags::new()).await.unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Exhausted);
    }
}
