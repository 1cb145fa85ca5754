//! RDS.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance as SdkInstance, DbSnapshot as SdkSnapshot, OptionGroup as SdkOptionGroup, Tag};

use super::error::{failed, incomplete};
use crate::databases::{Databases, DbInstance, DbSnapshot, OptionGroup};
use crate::error::Result;
use crate::object_store::Tags;

/// RDS through the SDK.
#[derive(Debug)]
pub(super) struct Rds {
    client: Client,
}

impl Rds {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

#[async_trait]
impl Databases for Rds {
    async fn instances(&self) -> Result<Vec<DbInstance>> {
        let mut pages = self.client.describe_db_instances().into_paginator().items().send();
        let mut instances = Vec::new();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| failed("DescribeDBInstances", "all DB instances", error))?;
            instances.extend(instance(&found));
        }
        Ok(instances)
    }

    async fn instance(&self, id: &str) -> Result<Option<DbInstance>> {
        let answer = self.client.describe_db_instances().db_instance_identifier(id).send().await;
        match answer.map_err(|error| failed("DescribeDBInstances", id, error)) {
            Ok(answer) => Ok(answer.db_instances().iter().find_map(instance)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn set_security_groups(&self, instance_id: &str, group_ids: &BTreeSet<String>) -> Result<()> {
        self.client
            .modify_db_instance()
            .db_instance_identifier(instance_id)
            .set_vpc_security_group_ids(Some(group_ids.iter().cloned().collect()))
            .apply_immediately(true)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("ModifyDBInstance", instance_id, error))
    }

    async fn create_snapshot(&self, instance_id: &str, snapshot_id: &str, tags: &Tags) -> Result<DbSnapshot> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let answer = self
            .client
            .create_db_snapshot()
            .db_instance_identifier(instance_id)
            .db_snapshot_identifier(snapshot_id)
            .set_tags(Some(tags))
            .send()
            .await
            .map_err(|error| failed("CreateDBSnapshot", snapshot_id, error))?;
        let created = answer.db_snapshot().and_then(snapshot);
        created.ok_or_else(|| incomplete("CreateDBSnapshot", snapshot_id, "snapshot"))
    }

    async fn snapshot(&self, id: &str) -> Result<Option<DbSnapshot>> {
        let answer = self.client.describe_db_snapshots().db_snapshot_identifier(id).send().await;
        match answer.map_err(|error| failed("DescribeDBSnapshots", id, error)) {
            Ok(answer) => Ok(answer.db_snapshots().iter().find_map(snapshot)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn manual_snapshots(&self) -> Result<Vec<DbSnapshot>> {
        let mut pages = self.client.describe_db_snapshots().snapshot_type("manual").into_paginator().items().send();
        let mut snapshots = Vec::new();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| failed("DescribeDBSnapshots", "manual snapshots", error))?;
            snapshots.extend(snapshot(&found));
        }
        Ok(snapshots)
    }

    async fn snapshots_of(&self, instance_id: &str) -> Result<Vec<DbSnapshot>> {
        let call = self.client.describe_db_snapshots().db_instance_identifier(instance_id);
        let mut pages = call.into_paginator().items().send();
        let mut snapshots = Vec::new();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| failed("DescribeDBSnapshots", instance_id, error))?;
            snapshots.extend(snapshot(&found));
        }
        Ok(snapshots)
    }

    async fn option_group(&self, name: &str) -> Result<Option<OptionGroup>> {
        let answer = self.client.describe_option_groups().option_group_name(name).send().await;
        match answer.map_err(|error| failed("DescribeOptionGroups", name, error)) {
            Ok(answer) => Ok(answer.option_groups_list().iter().find_map(option_group)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete_snapshot(&self, id: &str) -> Result<()> {
        let answer = self.client.delete_db_snapshot().db_snapshot_identifier(id).send().await;
        match answer.map(drop).map_err(|error| failed("DeleteDBSnapshot", id, error)) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer,
        }
    }
}

fn text(value: Option<&str>) -> Option<String> {
    value.map(str::to_owned)
}

fn tags(tags: &[Tag]) -> Tags {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

fn instance(found: &SdkInstance) -> Option<DbInstance> {
    let endpoint = found.endpoint();
    let subnet_group = found.db_subnet_group();
    Some(DbInstance {
        id: text(found.db_instance_identifier())?,
        arn: text(found.db_instance_arn())?,
        resource_id: text(found.dbi_resource_id())?,
        engine: text(found.engine())?,
        engine_version: text(found.engine_version()).unwrap_or_default(),
        status: text(found.db_instance_status()).unwrap_or_default(),
        host: endpoint.and_then(|endpoint| text(endpoint.address())),
        port: endpoint.and_then(|endpoint| endpoint.port()).and_then(|port| u16::try_from(port).ok()),
        vpc_id: subnet_group.and_then(|group| text(group.vpc_id())),
        subnets: subnet_group
            .map(|group| group.subnets())
            .unwrap_or_default()
            .iter()
            .filter_map(|subnet| {
                let zone = subnet.subnet_availability_zone().and_then(|zone| zone.name()).unwrap_or_default();
                Some((text(subnet.subnet_identifier())?, zone.to_owned()))
            })
            .collect(),
        availability_zone: text(found.availability_zone()),
        security_groups: found
            .vpc_security_groups()
            .iter()
            .filter_map(|group| Some((text(group.vpc_security_group_id())?, text(group.status()).unwrap_or_default())))
            .collect(),
        master_user: text(found.master_username()).unwrap_or_default(),
        master_secret_arn: found.master_user_secret().and_then(|secret| text(secret.secret_arn())),
        iam_authentication: found.iam_database_authentication_enabled().unwrap_or_default(),
        allocated_gib: u32::try_from(found.allocated_storage().unwrap_or_default()).unwrap_or(0),
        additional_volumes: found
            .additional_storage_volumes()
            .iter()
            .filter_map(|volume| text(volume.volume_name()))
            .collect(),
        encrypted: found.storage_encrypted().unwrap_or_default(),
        backup_retention_days: u32::try_from(found.backup_retention_period().unwrap_or_default()).unwrap_or(0),
        backup_window: text(found.preferred_backup_window()),
        maintenance_window: text(found.preferred_maintenance_window()),
        option_groups: found
            .option_group_memberships()
            .iter()
            .filter_map(|group| Some((text(group.option_group_name())?, text(group.status()).unwrap_or_default())))
            .collect(),
        cluster_id: text(found.db_cluster_identifier()),
        replica_of: text(found.read_replica_source_db_instance_identifier()),
        tags: tags(found.tag_list()),
    })
}

fn snapshot(found: &SdkSnapshot) -> Option<DbSnapshot> {
    Some(DbSnapshot {
        id: text(found.db_snapshot_identifier())?,
        arn: text(found.db_snapshot_arn())?,
        instance_id: text(found.db_instance_identifier()).unwrap_or_default(),
        status: text(found.status()).unwrap_or_default(),
        percent: u32::try_from(found.percent_progress().unwrap_or_default()).unwrap_or(0),
        created_at: found.snapshot_create_time().and_then(|at| jiff::Timestamp::from_second(at.secs()).ok()),
        tags: tags(found.tag_list()),
    })
}

fn option_group(found: &SdkOptionGroup) -> Option<OptionGroup> {
    let settings = |option: &aws_sdk_rds::types::Option| -> BTreeMap<String, String> {
        let settings = option.option_settings().iter();
        settings.filter_map(|setting| Some((text(setting.name())?, text(setting.value())?))).collect()
    };
    let options = found.options().iter();
    Some(OptionGroup {
        name: text(found.option_group_name())?,
        arn: text(found.option_group_arn()).unwrap_or_default(),
        options: options.filter_map(|option| Some((text(option.option_name())?, settings(option)))).collect(),
    })
}
