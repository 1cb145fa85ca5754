//! [`Databases`] behind a switchboard.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::Faulty;
use crate::databases::{Databases, DbInstance, DbSnapshot, OptionGroup};
use crate::error::Result;
use crate::object_store::Tags;

#[async_trait]
impl<P: Databases + ?Sized> Databases for Faulty<P> {
    async fn instances(&self) -> Result<Vec<DbInstance>> {
        self.read("DescribeDBInstances", "", Vec::new, self.inner.instances()).await
    }

    async fn instance(&self, id: &str) -> Result<Option<DbInstance>> {
        self.read("DescribeDBInstances", id, || None, self.inner.instance(id)).await
    }

    async fn set_security_groups(&self, instance_id: &str, group_ids: &BTreeSet<String>) -> Result<()> {
        let call = self.inner.set_security_groups(instance_id, group_ids);
        self.call("ModifyDBInstance", instance_id, call).await
    }

    async fn create_snapshot(&self, instance_id: &str, snapshot_id: &str, tags: &Tags) -> Result<DbSnapshot> {
        let call = self.inner.create_snapshot(instance_id, snapshot_id, tags);
        self.call("CreateDBSnapshot", snapshot_id, call).await
    }

    async fn snapshot(&self, id: &str) -> Result<Option<DbSnapshot>> {
        self.read("DescribeDBSnapshots", id, || None, self.inner.snapshot(id)).await
    }

    async fn manual_snapshots(&self) -> Result<Vec<DbSnapshot>> {
        self.read("DescribeDBSnapshots", "", Vec::new, self.inner.manual_snapshots()).await
    }

    async fn snapshots_of(&self, instance_id: &str) -> Result<Vec<DbSnapshot>> {
        self.read("DescribeDBSnapshots", instance_id, Vec::new, self.inner.snapshots_of(instance_id)).await
    }

    async fn option_group(&self, name: &str) -> Result<Option<OptionGroup>> {
        self.read("DescribeOptionGroups", name, || None, self.inner.option_group(name)).await
    }

    async fn delete_snapshot(&self, id: &str) -> Result<()> {
        self.call("DeleteDBSnapshot", id, self.inner.delete_snapshot(id)).await
    }
}
