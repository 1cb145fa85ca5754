//! RDS's XML.

use super::versions;
use crate::front::context::{Context, iso, now};
use crate::front::decisions::Tags;
use crate::front::decisions::databases::{DbInstance, Status};
use crate::front::decisions::option_groups::OptionGroups;
use crate::front::decisions::snapshots::Snapshot;
use crate::front::decisions::subnet_groups::SubnetGroup;
use crate::front::wire::Xml;
use crate::machines::Engine;

/// The inside of `DBInstance`.
pub(super) fn instance(xml: &mut Xml, context: &Context, instance: &DbInstance) {
    let groups = context.read(|world| world.option_groups.clone());
    instance_in(xml, context, &groups, instance);
}

/// The same where the option groups are at hand.
pub(super) fn instance_in(xml: &mut Xml, context: &Context, groups: &OptionGroups, instance: &DbInstance) {
    let settings = &instance.settings;
    let family = versions::family(settings.engine, &settings.engine_version);
    let memberships = groups.memberships(&instance.option_group, instance.next_option_group.as_deref());
    xml.text("DBInstanceIdentifier", &instance.id)
        .text("DBInstanceClass", &settings.class)
        .text("Engine", settings.engine.name())
        .text("EngineVersion", &settings.engine_version)
        .text("DBInstanceStatus", instance.status.name())
        .text("MasterUsername", &settings.master_user)
        .optional("DBName", settings.database.as_ref());
    if instance.status != Status::Creating && instance.address.is_some() {
        xml.node("Endpoint", |xml| {
            xml.text("Address", &instance.host).text("Port", settings.port).text("HostedZoneId", "Z1RLNUO7B9Q6NB");
        });
    }
    xml.text("AllocatedStorage", settings.allocated_gib)
        .text("InstanceCreateTime", iso(instance.created_at))
        .text("PreferredBackupWindow", &settings.backup_window)
        .text("BackupRetentionPeriod", settings.backup_retention_days)
        .text("PreferredMaintenanceWindow", &settings.maintenance_window)
        .list("VpcSecurityGroups", "VpcSecurityGroupMembership", instance.memberships(), |xml, (id, status)| {
            xml.text("VpcSecurityGroupId", id).text("Status", status);
        })
        .list("DBParameterGroups", "DBParameterGroup", [family], |xml, family| {
            xml.text("DBParameterGroupName", format!("default.{family}")).text("ParameterApplyStatus", "in-sync");
        })
        .list("OptionGroupMemberships", "OptionGroupMembership", memberships, |xml, (name, status)| {
            xml.text("OptionGroupName", name).text("Status", status);
        })
        .text("AvailabilityZone", &instance.zone)
        .node("DBSubnetGroup", |xml| subnet_group(xml, context, &instance.subnet_group))
        .node("PendingModifiedValues", |_| {})
        .text("MultiAZ", false)
        .text("AutoMinorVersionUpgrade", true)
        .text("LicenseModel", license(settings.engine))
        .text("PubliclyAccessible", false)
        .text("StorageType", &settings.storage_type)
        .text("DbInstancePort", 0)
        .text("StorageEncrypted", settings.kms_key_id.is_some())
        .optional("KmsKeyId", settings.kms_key_id.as_ref())
        .text("DbiResourceId", &instance.resource_id)
        .text("CACertificateIdentifier", "rds-ca-rsa2048-g1")
        .text("CopyTagsToSnapshot", instance.copy_tags_to_snapshot)
        .text("DBInstanceArn", instance_arn(context, &instance.id))
        .text("IAMDatabaseAuthenticationEnabled", instance.iam_authentication)
        .text("DeletionProtection", instance.deletion_protection)
        .text("NetworkType", "IPV4");
    xml.list("AdditionalStorageVolumes", "member", &settings.additional_volumes, |xml, (name, gib)| {
        xml.text("VolumeName", name).text("StorageVolumeStatus", "In-use").text("AllocatedStorage", gib);
    });
    if let Some(secret) = &instance.master_secret {
        xml.node("MasterUserSecret", |xml| {
            xml.text("SecretArn", &secret.arn).text("SecretStatus", "active").text("KmsKeyId", &secret.kms_key_id);
        });
    }
    tag_list(xml, &instance.tags);
}

/// The inside of `DBSnapshot`.
pub(super) fn snapshot(xml: &mut Xml, context: &Context, snapshot: &Snapshot) {
    snapshot_as(xml, context, snapshot, snapshot.status.name());
}

/// The same with another status.
pub(super) fn snapshot_as(xml: &mut Xml, context: &Context, snapshot: &Snapshot, status: &str) {
    let settings = &snapshot.settings;
    xml.text("DBSnapshotIdentifier", &snapshot.id)
        .text("DBInstanceIdentifier", &snapshot.instance_id)
        .text("SnapshotCreateTime", iso(snapshot.created_at))
        .text("OriginalSnapshotCreateTime", iso(snapshot.created_at))
        .text("Engine", settings.engine.name())
        .text("EngineVersion", &settings.engine_version)
        .text("AllocatedStorage", settings.allocated_gib)
        .text("Status", status)
        .text("Port", settings.port)
        .text("AvailabilityZone", &snapshot.zone)
        .text("VpcId", &snapshot.vpc_id)
        .text("InstanceCreateTime", iso(snapshot.instance_created_at))
        .text("MasterUsername", &settings.master_user)
        .text("LicenseModel", license(settings.engine))
        .text("SnapshotType", "manual")
        .text("OptionGroupName", &snapshot.option_group)
        .text("PercentProgress", snapshot.percent(now(), context.config.delays.database_backing_up))
        .text("StorageType", &settings.storage_type)
        .text("Encrypted", settings.kms_key_id.is_some())
        .optional("KmsKeyId", settings.kms_key_id.as_ref())
        .text("DBSnapshotArn", snapshot_arn(context, &snapshot.id))
        .text("IAMDatabaseAuthenticationEnabled", snapshot.iam_authentication)
        .text("DbiResourceId", &snapshot.resource_id);
    tag_list(xml, &snapshot.tags);
}

/// The inside of `DBSubnetGroup`.
pub(super) fn subnet_group(xml: &mut Xml, context: &Context, group: &SubnetGroup) {
    xml.text("DBSubnetGroupName", &group.name)
        .text("DBSubnetGroupDescription", &group.description)
        .text("VpcId", &group.vpc_id)
        .text("SubnetGroupStatus", "Complete")
        .list("Subnets", "Subnet", &group.subnets, |xml, subnet| {
            xml.text("SubnetIdentifier", &subnet.id)
                .node("SubnetAvailabilityZone", |xml| {
                    xml.text("Name", &subnet.zone);
                })
                .node("SubnetOutpost", |_| {})
                .text("SubnetStatus", "Active");
        })
        .text("DBSubnetGroupArn", context.arn("rds", &format!("subgrp:{}", group.name)));
}

fn license(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgresql-license",
        Engine::SqlServer(_) => "license-included",
    }
}

/// `TagList`.
pub(super) fn tag_list(xml: &mut Xml, tags: &Tags) {
    xml.list("TagList", "Tag", tags, |xml, (key, value)| {
        xml.text("Key", key).text("Value", value);
    });
}

/// ARN of a DB instance.
pub(super) fn instance_arn(context: &Context, id: &str) -> String {
    context.arn("rds", &format!("db:{id}"))
}

/// ARN of a snapshot.
pub(super) fn snapshot_arn(context: &Context, id: &str) -> String {
    context.arn("rds", &format!("snapshot:{id}"))
}
