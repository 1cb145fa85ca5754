//! New DB instances: empty ones, and copies of a snapshot.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{only, render, secrets, versions};
use crate::front::context::{Context, now};
use crate::front::decisions::databases::{self, DbInstance, MasterSecret, Password, Settings, Status};
use crate::front::decisions::snapshots::{Snapshot, check_identifier};
use crate::front::decisions::subnet_groups::SubnetGroup;
use crate::front::decisions::{Tags, world::World};
use crate::front::wire::{Answer, AwsError, Params};
use crate::machines::{DbSpec, Engine};

const CREATE_PARAMETERS: &[&str] = &[
    "DBInstanceIdentifier",
    "DBInstanceClass",
    "Engine",
    "EngineVersion",
    "MasterUsername",
    "MasterUserPassword",
    "ManageMasterUserPassword",
    "MasterUserSecretKmsKeyId",
    "DBName",
    "Port",
    "AllocatedStorage",
    "StorageType",
    "StorageEncrypted",
    "KmsKeyId",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "DBSubnetGroupName",
    "AvailabilityZone",
    "MultiAZ",
    "PubliclyAccessible",
    "VpcSecurityGroupIds",
    "EnableIAMDatabaseAuthentication",
    "DeletionProtection",
    "CopyTagsToSnapshot",
    "AutoMinorVersionUpgrade",
    "Tags",
    "EngineLifecycleSupport",
    "OptionGroupName",
    "LicenseModel",
];
const RESTORE_PARAMETERS: &[&str] = &[
    "DBInstanceIdentifier",
    "DBSnapshotIdentifier",
    "DBInstanceClass",
    "Port",
    "AvailabilityZone",
    "DBSubnetGroupName",
    "MultiAZ",
    "PubliclyAccessible",
    "VpcSecurityGroupIds",
    "EnableIAMDatabaseAuthentication",
    "DeletionProtection",
    "CopyTagsToSnapshot",
    "AutoMinorVersionUpgrade",
    "BackupRetentionPeriod",
    "StorageType",
    "AllocatedStorage",
    "Tags",
    "EngineLifecycleSupport",
    "Engine",
    "OptionGroupName",
    "LicenseModel",
];

/// Where a new instance's data comes from.
enum Origin {
    Empty,
    Snapshot(String),
}

/// CreateDBInstance.
pub(crate) async fn create(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, CREATE_PARAMETERS)?;
    let id = identifier(params)?;
    let engine = Engine::named(params.required("Engine")?).ok_or_else(|| {
        AwsError::new("InvalidParameterValue", "The local cloud has the engines postgres and sqlserver-* alone")
    })?;
    check_engine(engine, params)?;
    let resource_id = databases::resource_id();
    let managed = params.get("ManageMasterUserPassword") == Some("true");
    let settings = settings(engine, params, managed)?;
    check_at_hand(context, &settings)?;
    // Checked before a secret is made for it; the insert below decides.
    context.read(|world| if world.databases.get(&id).is_ok() { Err(taken()) } else { Ok(()) })?;
    let master_secret = if managed {
        let kms = params.get("MasterUserSecretKmsKeyId");
        Some(secrets::create(context, &resource_id, &settings.master_user, &settings.master_password, kms).await?)
    } else {
        None
    };
    let instance = context.world(|world| {
        let (subnet_group, zone) = place(world, params)?;
        let group_ids = world.database_groups_for(&subnet_group.vpc_id, params.list("VpcSecurityGroupIds"))?;
        let version = &settings.engine_version;
        let option_group = world.option_groups.group_for(params.get("OptionGroupName"), engine, version)?;
        let instance = DbInstance {
            host: databases::host_name(&id, &context.zone_hash, &context.config.region),
            iam_authentication: flag(params, "EnableIAMDatabaseAuthentication"),
            option_group,
            ..blank(params, &id, resource_id, settings, subnet_group, zone, group_ids, params.tags("Tags"))
        };
        let instance = DbInstance { master_secret: master_secret.clone(), ..instance };
        world.databases.insert(instance.clone())?;
        Ok(instance)
    });
    let instance = match (instance, master_secret) {
        (Err(error), Some(secret)) => {
            secrets::delete(context, &secret).await;
            return Err(error);
        }
        (instance, _) => instance?,
    };
    bring_up(context, instance.clone(), Origin::Empty);
    Ok(Answer::query("rds", "CreateDBInstance", |xml| {
        xml.node("DBInstance", |xml| render::instance(xml, context, &instance));
    }))
}

/// RestoreDBInstanceFromDBSnapshot. What the request leaves out is AWS's default and not the source's: the default
/// group, no IAM authentication, no deletion protection, the default subnet group; class, port, storage, retention and
/// tags are the snapshot's.
pub(super) async fn restore(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, RESTORE_PARAMETERS)?;
    let id = identifier(params)?;
    let snapshot_id = params.required("DBSnapshotIdentifier")?;
    let snapshot_id = snapshot_id.rsplit(':').next().unwrap_or(snapshot_id).to_ascii_lowercase();
    let instance = context.world(|world| {
        if world.databases.get(&id).is_ok() {
            return Err(taken());
        }
        let (subnet_group, zone) = place(world, params)?;
        let group_ids = world.database_groups_for(&subnet_group.vpc_id, params.list("VpcSecurityGroupIds"))?;
        let snapshot = world.snapshots.get(&snapshot_id)?.clone();
        let settings = restored_settings(params, &snapshot)?;
        check_engine(settings.engine, params)?;
        let (engine, version) = (settings.engine, &settings.engine_version);
        let option_group = world.option_groups.group_for(params.get("OptionGroupName"), engine, version)?;
        let tags = if params.has_list("Tags") { params.tags("Tags") } else { snapshot.tags };
        let instance = DbInstance {
            host: databases::host_name(&id, &context.zone_hash, &context.config.region),
            iam_authentication: flag(params, "EnableIAMDatabaseAuthentication"),
            option_group,
            ..blank(params, &id, databases::resource_id(), settings, subnet_group, zone, group_ids, tags)
        };
        world.snapshots.begin_restore(&snapshot_id)?;
        world.databases.insert(instance.clone())?;
        Ok(instance)
    })?;
    bring_up(context, instance.clone(), Origin::Snapshot(snapshot_id));
    Ok(Answer::query("rds", "RestoreDBInstanceFromDBSnapshot", |xml| {
        xml.node("DBInstance", |xml| render::instance(xml, context, &instance));
    }))
}

#[expect(clippy::too_many_arguments, reason = "the fields of one record, each decided elsewhere")]
fn blank(
    params: &Params,
    id: &str,
    resource_id: String,
    settings: Settings,
    subnet_group: SubnetGroup,
    zone: String,
    group_ids: Vec<String>,
    tags: Tags,
) -> DbInstance {
    DbInstance {
        id: id.to_owned(),
        resource_id,
        status: Status::Creating,
        settings,
        host: String::new(),
        address: None,
        created_at: now(),
        subnet_group,
        zone,
        group_ids,
        next_group_ids: None,
        option_group: String::new(),
        next_option_group: None,
        iam_authentication: false,
        deletion_protection: flag(params, "DeletionProtection"),
        copy_tags_to_snapshot: flag(params, "CopyTagsToSnapshot"),
        master_secret: None::<MasterSecret>,
        tags,
    }
}

/// Makes it real in the background: `creating` until the server answers, at least as long as configured.
fn bring_up(context: &Arc<Context>, instance: DbInstance, origin: Origin) {
    let context = Arc::clone(context);
    context.clone().tasks.spawn(async move {
        let least = tokio::time::sleep(context.config.delays.database_creating);
        let outcome = start(&context, &instance, &origin).await;
        if let Origin::Snapshot(snapshot_id) = &origin {
            context.world(|world| world.snapshots.release(snapshot_id));
        }
        least.await;
        // In force before the instance says that it is available.
        let _ = context.apply_firewall().await;
        context.world(|world| {
            let Ok(database) = world.databases.get_mut(&instance.id) else { return };
            match outcome {
                Ok(address) => database.came_up(address),
                Err(error) => {
                    tracing::error!(
                        database = instance.id,
                        error = format!("{error:#}"),
                        "a DB instance does not start"
                    );
                    database.status = Status::Failed;
                }
            }
        });
    });
}

async fn start(context: &Context, instance: &DbInstance, origin: &Origin) -> anyhow::Result<Ipv4Addr> {
    if let Err(error) = context.apply_firewall().await {
        anyhow::bail!("the security groups of {} are not in force: {error}", instance.id);
    }
    let settings = &instance.settings;
    let spec = DbSpec {
        id: instance.id.clone(),
        resource_id: instance.resource_id.clone(),
        engine: settings.engine,
        major: versions::major(&settings.engine_version)?,
        master_user: settings.master_user.clone(),
        master_password: settings.master_password.reveal().to_owned(),
        database: settings.database.clone(),
        host_name: instance.host.clone(),
        port: settings.port,
        iam_authentication: instance.iam_authentication,
    };
    match origin {
        Origin::Empty => context.databases.create(&spec).await,
        Origin::Snapshot(snapshot_id) => context.databases.restore(snapshot_id, &spec).await,
    }
}

/// A version that AWS has and this host has not is refused as one that AWS has not, with the reason.
fn check_at_hand(context: &Context, settings: &Settings) -> Result<(), AwsError> {
    let version = &settings.engine_version;
    versions::major(version).and_then(|major| context.databases.programs(settings.engine, major)).map(drop).map_err(
        |error| {
            let text = format!("Cannot find version {version} for {}: {error:#}", settings.engine.name());
            AwsError::new("InvalidParameterCombination", text)
        },
    )
}

/// What an engine cannot have.
fn check_engine(engine: Engine, params: &Params) -> Result<(), AwsError> {
    if engine == Engine::Postgres {
        return Ok(());
    }
    let name = engine.name();
    if params.get("DBName").is_some_and(|name| !name.is_empty()) {
        return Err(AwsError::new("InvalidParameterValue", format!("DBName must be null for engine: {name}")));
    }
    if flag(params, "EnableIAMDatabaseAuthentication") {
        let text = format!("IAM Database Authentication is not supported for engine: {name}");
        return Err(AwsError::new("InvalidParameterCombination", text));
    }
    if params.get("LicenseModel").is_some_and(|model| model != "license-included") {
        let text = format!("Invalid license model for engine {name}. Valid license models are: license-included.");
        return Err(AwsError::new("InvalidParameterCombination", text));
    }
    Ok(())
}

fn settings(engine: Engine, params: &Params, managed: bool) -> Result<Settings, AwsError> {
    let master_password = match (params.get("MasterUserPassword"), managed) {
        (Some(_), true) => {
            let text = "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.";
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        (Some(password), false) => checked_password(password)?,
        (None, true) => secrets::new_password(),
        (None, false) => {
            let text = "The parameter MasterUserPassword must be provided and must not be blank.";
            return Err(AwsError::new("InvalidParameterValue", text));
        }
    };
    let encrypted = flag(params, "StorageEncrypted");
    if !encrypted && params.get("KmsKeyId").is_some() {
        let text =
            format!("You must enable StorageEncrypted when you specify KmsKeyId for DB engine {}", engine.name());
        return Err(AwsError::new("InvalidParameterCombination", text));
    }
    Ok(Settings {
        engine,
        class: params.required("DBInstanceClass")?.to_owned(),
        engine_version: versions::whole(engine, params.get("EngineVersion").unwrap_or(versions::default(engine)))?,
        master_user: params.required("MasterUsername")?.to_owned(),
        master_password,
        database: params.get("DBName").filter(|name| !name.is_empty()).map(str::to_owned),
        port: params.parsed("Port")?.unwrap_or(engine.port()),
        allocated_gib: params.parsed("AllocatedStorage")?.unwrap_or(20),
        additional_volumes: BTreeMap::new(),
        storage_type: params.get("StorageType").unwrap_or("gp3").to_owned(),
        kms_key_id: params.get("KmsKeyId").or(encrypted.then_some("alias/aws/rds")).map(str::to_owned),
        backup_retention_days: params.parsed("BackupRetentionPeriod")?.unwrap_or(1),
        backup_window: params.get("PreferredBackupWindow").unwrap_or("03:00-03:30").to_owned(),
        maintenance_window: params.get("PreferredMaintenanceWindow").unwrap_or("sun:04:00-sun:04:30").to_owned(),
    })
}

fn restored_settings(params: &Params, snapshot: &Snapshot) -> Result<Settings, AwsError> {
    let source = snapshot.settings.clone();
    Ok(Settings {
        class: params.get("DBInstanceClass").map_or(source.class, str::to_owned),
        port: params.parsed("Port")?.unwrap_or(source.port),
        allocated_gib: params.parsed("AllocatedStorage")?.unwrap_or(source.allocated_gib),
        storage_type: params.get("StorageType").map_or(source.storage_type, str::to_owned),
        backup_retention_days: params.parsed("BackupRetentionPeriod")?.unwrap_or(source.backup_retention_days),
        ..source
    })
}

/// Passwords that RDS takes for PostgreSQL: 8 to 128 printable characters without `/`, `'`, `"`, `@` and space.
pub(super) fn checked_password(password: &str) -> Result<Password, AwsError> {
    let allowed = |letter: char| letter.is_ascii_graphic() && !"/'\"@".contains(letter);
    if (8..=128).contains(&password.len()) && password.chars().all(allowed) {
        return Ok(Password::new(password));
    }
    let text = "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used, 8 to 128 of them.";
    Err(AwsError::new("InvalidParameterValue", text))
}

fn place(world: &World, params: &Params) -> Result<(SubnetGroup, String), AwsError> {
    let group = world.subnet_groups.get(params.get("DBSubnetGroupName").unwrap_or("default"))?.clone();
    let zone = match params.get("AvailabilityZone") {
        Some(zone) if group.subnets.iter().any(|subnet| subnet.zone == zone) => zone.to_owned(),
        Some(zone) => {
            let text = format!("The DB subnet group {} has no subnet in {zone}.", group.name);
            return Err(AwsError::new("InvalidVPCNetworkStateFault", text));
        }
        None => group.subnets.first().map(|subnet| subnet.zone.clone()).unwrap_or_default(),
    };
    Ok((group, zone))
}

fn identifier(params: &Params) -> Result<String, AwsError> {
    let id = params.required("DBInstanceIdentifier")?.to_ascii_lowercase();
    check_identifier(&id)?;
    if id.len() > 63 {
        return Err(AwsError::new("InvalidParameterValue", "A DB instance identifier has at most 63 characters."));
    }
    Ok(id)
}

fn taken() -> AwsError {
    AwsError::new("DBInstanceAlreadyExists", "DB instance already exists")
}

fn flag(params: &Params, name: &str) -> bool {
    params.get(name) == Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        for (password, valid) in
            [("correct-horse", true), ("short", false), ("with space", false), ("with@sign", false)]
        {
            assert_eq!(checked_password(password).is_ok(), valid, "{password}");
        }
    }

    #[test]
    fn parameters_that_nothing_reads_are_refused() {
        let params = Params::parse("Action=CreateDBInstance&Tags.Tag.1.Key=a&Iops=3000");
        assert_eq!(only(&params, CREATE_PARAMETERS).unwrap_err().code, "InvalidParameterValue");
        only(&params.without(&["Iops"]), CREATE_PARAMETERS).unwrap();
    }
}
