//! Control of the cloud itself, under `/_cloud/`: what no AWS API has.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::context::{Context, locked};
use super::decisions::databases::Status;
use super::decisions::faults::{FaultReport, FaultRule};
use super::services::rds;
use super::wire::{AwsError, Params};
use super::{listing, sandbox};
use crate::machines::Engine;

type Shared = State<Arc<Context>>;

/// The routes below `/_cloud`.
pub(crate) fn routes(context: Arc<Context>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/listing", get(list))
        .route("/instances", post(create_instance))
        .route("/instances/{id}", get(instance))
        .route("/faults", get(faults).put(put_faults).delete(delete_faults))
        .with_state(context.clone())
        .merge(sandbox::routes(context))
}

/// A refusal, as JSON.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<AwsError> for Refused {
    fn from(error: AwsError) -> Self {
        Self(StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.to_string())
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

async fn status(State(context): Shared) -> Json<Value> {
    let counts = context.read(|world| {
        json!({
            "instances": world.instances.iter().filter(|instance| instance.exists()).count(),
            "databases": world.databases.iter().count(),
            "snapshots": world.snapshots.iter().count(),
        })
    });
    Json(json!({
        "region": context.config.region,
        "account": context.credentials.account(),
        "bootstrap": *locked(&context.bootstrap),
        "counts": counts,
    }))
}

async fn list(State(context): Shared) -> Result<Json<listing::Listing>, Refused> {
    Ok(Json(listing::take(&context).await?))
}

/// A DB instance to make; what is left out is chosen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewInstance {
    id: String,
    #[serde(default)]
    engine: Option<String>,
    /// For SQL Server; without it, one with native backup is made and taken.
    #[serde(default)]
    option_group: Option<String>,
    #[serde(default)]
    engine_version: Option<String>,
    #[serde(default)]
    master_user: Option<String>,
    #[serde(default)]
    master_password: Option<String>,
    /// Put the master password into a managed secret instead.
    #[serde(default)]
    manage_master_user_password: bool,
    #[serde(default)]
    iam_authentication: bool,
    /// ARN of the key of KMS's that its storage is encrypted with; without it, it is not encrypted.
    #[serde(default)]
    kms_key_arn: Option<String>,
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    security_group_ids: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct InstanceView {
    id: String,
    arn: String,
    status: &'static str,
    engine: &'static str,
    engine_version: String,
    option_group: String,
    endpoint: String,
    port: u16,
    /// Address that the host connects to (`hostaddr`).
    address: Option<String>,
    master_user: String,
    database: Option<String>,
    master_secret_arn: Option<String>,
    security_group_ids: Vec<String>,
    /// For PostgreSQL.
    administrator_dsn: Option<String>,
    /// Folder of the stock clients of the instance's major version, on the host, for PostgreSQL.
    programs: Option<PathBuf>,
}

async fn create_instance(State(context): Shared, Json(new): Json<NewInstance>) -> Result<Json<InstanceView>, Refused> {
    let bootstrap = locked(&context.bootstrap).clone();
    let bootstrap = bootstrap.ok_or_else(|| anyhow::anyhow!("the cloud is not up yet"))?;
    let name = new.engine.as_deref().unwrap_or("postgres");
    let engine = Engine::named(name).ok_or_else(|| anyhow::anyhow!("there is no engine {name} here"))?;
    let mut params = Params::from([("Engine", name), ("DBInstanceClass", "db.t3.micro")]);
    params.set("DBInstanceIdentifier", &new.id);
    params.set("EngineVersion", new.engine_version.as_deref().unwrap_or(rds::default_version(engine)));
    match (engine, &new.option_group) {
        (_, Some(group)) => params.set("OptionGroupName", group),
        (Engine::SqlServer(_), None) => {
            params.set("OptionGroupName", native_backup_group(&context, engine, &bootstrap.native_backup_role_arn)?);
        }
        (Engine::Postgres, None) => {}
    }
    params.set("MasterUsername", new.master_user.as_deref().unwrap_or("master"));
    if new.manage_master_user_password {
        params.set("ManageMasterUserPassword", "true");
    } else {
        params.set("MasterUserPassword", new.master_password.as_deref().unwrap_or("local-cloud-password"));
    }
    if let Some(database) = &new.database {
        params.set("DBName", database);
    }
    params.set("EnableIAMDatabaseAuthentication", new.iam_authentication.to_string());
    if let Some(key) = &new.kms_key_arn {
        params.set("StorageEncrypted", "true");
        params.set("KmsKeyId", key);
    }
    params.set("DBSubnetGroupName", bootstrap.db_subnet_group);
    let groups = if new.security_group_ids.is_empty() {
        vec![bootstrap.database_security_group_id]
    } else {
        new.security_group_ids
    };
    for (index, group) in groups.iter().enumerate() {
        params.set(&format!("VpcSecurityGroupIds.VpcSecurityGroupId.{}", index + 1), group);
    }
    for (index, (key, value)) in new.tags.iter().enumerate() {
        params.set(&format!("Tags.Tag.{}.Key", index + 1), key);
        params.set(&format!("Tags.Tag.{}.Value", index + 1), value);
    }
    rds::create_database(&context, &params).await?;
    let id = new.id.to_ascii_lowercase();
    let end = context
        .wait_for(|world| match world.databases.get(&id).map(|database| database.status) {
            Ok(Status::Creating) => None,
            Ok(status) => Some(Ok(status)),
            Err(error) => Some(Err(error)),
        })
        .await?;
    if end == Status::Failed {
        return Err(anyhow::anyhow!("the server of {id} did not start; see the cloud's log").into());
    }
    view(&context, &id).await.map(Json)
}

/// The option group of SQL Server instances that name none: native backup, in force at once.
fn native_backup_group(context: &Context, engine: Engine, role: &str) -> Result<String, AwsError> {
    let major = rds::default_version(engine);
    let name = format!("haulier-{}-{}", engine.name(), major.replace('.', "-"));
    context.world(|world| {
        if world.option_groups.get(&name).is_err() {
            let tags = Params::default().tags("Tags");
            world.option_groups.create(&name, engine.name(), major, "Native backup and restore", tags)?;
            world.option_groups.set_backup_role(&name, Some(role.to_owned()))?;
            world.option_groups.settle(&name);
        }
        Ok(name)
    })
}

async fn instance(State(context): Shared, Path(id): Path<String>) -> Result<Json<InstanceView>, Refused> {
    view(&context, &id).await.map(Json)
}

async fn view(context: &Context, id: &str) -> Result<InstanceView, Refused> {
    let database = context.read(|world| world.databases.get(id).cloned())?;
    let engine = database.settings.engine;
    let programs = context.databases.programs(engine, rds::major(&database.settings.engine_version)?)?;
    Ok(InstanceView {
        engine: engine.name(),
        option_group: database.option_group.clone(),
        arn: context.arn("rds", &format!("db:{}", database.id)),
        status: database.status.name(),
        engine_version: database.settings.engine_version.clone(),
        endpoint: database.host.clone(),
        port: database.settings.port,
        address: database.address.map(|address| address.to_string()),
        master_user: database.settings.master_user.clone(),
        database: database.settings.database.clone(),
        master_secret_arn: database.master_secret.as_ref().map(|secret| secret.arn.clone()),
        security_group_ids: database.group_ids.clone(),
        programs: programs.map(|folder| folder.join("bin")),
        administrator_dsn: context.databases.administrator_dsn(&database.id).await?,
        id: database.id,
    })
}

async fn faults(State(context): Shared) -> Json<Vec<FaultReport>> {
    Json(locked(&context.faults).report())
}

async fn put_faults(
    State(context): Shared,
    Json(rules): Json<Vec<FaultRule>>,
) -> Result<Json<Vec<FaultReport>>, Refused> {
    let mut board = locked(&context.faults);
    board.replace(rules).map_err(|text| Refused(StatusCode::BAD_REQUEST, text))?;
    Ok(Json(board.report()))
}

async fn delete_faults(State(context): Shared) -> StatusCode {
    *locked(&context.faults) = super::decisions::faults::Switchboard::default();
    StatusCode::NO_CONTENT
}
