//! ModifyDBInstance and DeleteDBInstance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::create::checked_password;
use super::{only, render, secrets, snapshots};
use crate::front::context::{Context, now};
use crate::front::decisions::Tags;
use crate::front::decisions::databases::{DbInstance, Modification};
use crate::front::wire::{Answer, AwsError, Params};

const MODIFY_PARAMETERS: &[&str] = &[
    "DBInstanceIdentifier",
    "VpcSecurityGroupIds",
    "ApplyImmediately",
    "MasterUserPassword",
    "ManageMasterUserPassword",
    "MasterUserSecretKmsKeyId",
    "DeletionProtection",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "CopyTagsToSnapshot",
    "AllowMajorVersionUpgrade",
    "OptionGroupName",
    "AdditionalStorageVolumes",
];
/// Wait between attempts to remove a server that does not go.
const RETRY: Duration = Duration::from_secs(1);

/// ModifyDBInstance. The answer shows the instance as it was, as AWS's does; `modifying` is seen by the next reader.
pub(super) async fn modify(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, MODIFY_PARAMETERS)?;
    let id = params.required("DBInstanceIdentifier")?;
    let mut change = Modification {
        group_ids: None,
        option_group: None,
        password: params.get("MasterUserPassword").map(checked_password).transpose()?,
        manage_password: params.parsed("ManageMasterUserPassword")?,
        deletion_protection: params.parsed("DeletionProtection")?,
        backup_retention_days: params.parsed("BackupRetentionPeriod")?,
        backup_window: params.get("PreferredBackupWindow").map(str::to_owned),
        maintenance_window: params.get("PreferredMaintenanceWindow").map(str::to_owned),
        copy_tags_to_snapshot: params.parsed("CopyTagsToSnapshot")?,
        additional_volumes: additional_volumes(params)?,
    };
    let groups = params.list("VpcSecurityGroupIds");
    let (before, after) = context.world(|world| {
        let before = world.databases.get(id)?.clone();
        if !groups.is_empty() {
            change.group_ids = Some(world.database_groups_for(&before.subnet_group.vpc_id, groups)?);
        }
        if let Some(asked) = params.get("OptionGroupName") {
            let (engine, version) = (before.settings.engine, &before.settings.engine_version);
            change.option_group = Some(world.option_groups.group_for(Some(asked), engine, version)?);
        }
        let becomes_managed = change.manage_password == Some(true) && before.master_secret.is_none();
        if becomes_managed && change.password.is_none() {
            change.password = Some(secrets::new_password());
        }
        let database = world.databases.get_mut(id)?;
        database.begin_modification(&change)?;
        Ok::<_, AwsError>((before, database.clone()))
    })?;
    let kms_key_id = params.get("MasterUserSecretKmsKeyId").map(str::to_owned);
    carry_out(context, before.clone(), after.clone(), change, kms_key_id);
    // The reader who comes first after the answer may see `modifying`; the answer itself says what was.
    let shown = DbInstance { status: before.status, ..after };
    Ok(Answer::query("rds", "ModifyDBInstance", |xml| {
        xml.node("DBInstance", |xml| render::instance(xml, context, &shown));
    }))
}

/// Volumes of SQL Server, which are added with their sizes; none is removed.
fn additional_volumes(params: &Params) -> Result<BTreeMap<String, u32>, AwsError> {
    let mut volumes = BTreeMap::new();
    for volume in params.members("AdditionalStorageVolumes") {
        only(&volume, &["VolumeName", "AllocatedStorage", "StorageType"])?;
        let name = volume.required("VolumeName")?;
        if !["rdsdbdata2", "rdsdbdata3", "rdsdbdata4"].contains(&name) {
            let text = format!("Invalid volume name: {name}");
            return Err(AwsError::new("InvalidParameterValue", text));
        }
        volumes.insert(name.to_owned(), volume.parsed("AllocatedStorage")?.unwrap_or(20));
    }
    Ok(volumes)
}

fn carry_out(context: &Arc<Context>, before: DbInstance, after: DbInstance, change: Modification, kms: Option<String>) {
    let context = Arc::clone(context);
    context.clone().tasks.spawn(async move {
        let least = tokio::time::sleep(context.config.delays.database_modifying);
        let mut secret = before.master_secret.clone();
        if let Some(password) = &change.password
            && let Err(error) = context.databases.set_master_password(&after.id, password.reveal()).await
        {
            tracing::error!(database = after.id, error = format!("{error:#}"), "cannot set a master password");
        }
        if change.manage_password == Some(true) && secret.is_none() {
            let settings = &after.settings;
            let made = secrets::create(
                &context,
                &after.resource_id,
                &settings.master_user,
                &settings.master_password,
                kms.as_deref(),
            );
            match made.await {
                Ok(made) => secret = Some(made),
                Err(error) => tracing::error!(database = after.id, %error, "cannot make a managed master secret"),
            }
        }
        if change.manage_password == Some(false)
            && let Some(old) = secret.take()
        {
            secrets::delete(&context, &old).await;
        }
        least.await;
        // New groups first count, then the instance says `available`.
        context.world(|world| {
            if let Ok(database) = world.databases.get_mut(&after.id) {
                if let Some(next) = database.next_group_ids.clone() {
                    database.group_ids = next;
                }
                database.master_secret = secret;
            }
        });
        let _ = context.apply_firewall().await;
        context.world(|world| {
            if let Ok(database) = world.databases.get_mut(&after.id) {
                database.settle();
            }
        });
    });
}

/// DeleteDBInstance, with a final snapshot if one is asked for.
pub(super) fn delete(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(
        params,
        &["DBInstanceIdentifier", "SkipFinalSnapshot", "FinalDBSnapshotIdentifier", "DeleteAutomatedBackups"],
    )?;
    let id = params.required("DBInstanceIdentifier")?;
    let last = params.get("FinalDBSnapshotIdentifier");
    let skip = params.get("SkipFinalSnapshot") == Some("true");
    match (skip, last) {
        (false, None) => {
            let text = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        (true, Some(_)) => {
            let text = "FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is true.";
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        _ => {}
    }
    let (instance, snapshot_id) = context.world(|world| {
        let database = world.databases.get_mut(id)?;
        let mut trial = database.clone();
        trial.begin_deletion()?;
        let snapshot_id = match last {
            Some(last) => Some(world.snapshots.begin(last, database, Tags::new(), now())?.id),
            None => None,
        };
        *database = trial.clone();
        Ok::<_, AwsError>((trial, snapshot_id))
    })?;
    remove(context, instance.clone(), snapshot_id);
    Ok(Answer::query("rds", "DeleteDBInstance", |xml| {
        xml.node("DBInstance", |xml| render::instance(xml, context, &instance));
    }))
}

fn remove(context: &Arc<Context>, instance: DbInstance, snapshot_id: Option<String>) {
    let context = Arc::clone(context);
    context.clone().tasks.spawn(async move {
        let least = tokio::time::sleep(context.config.delays.database_deleting);
        if let Some(snapshot_id) = snapshot_id {
            snapshots::copy(&context, &instance.id, &snapshot_id).await;
        }
        while let Err(error) = context.databases.delete(&instance.id).await {
            tracing::error!(database = instance.id, error = format!("{error:#}"), "a DB instance does not go");
            if context.stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        if let Some(secret) = &instance.master_secret {
            secrets::delete(&context, secret).await;
        }
        least.await;
        context.world(|world| world.databases.remove(&instance.id));
        let _ = context.apply_firewall().await;
    });
}
