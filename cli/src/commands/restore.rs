//! `restore database`.

use haulier_proto::control::v1 as control;
use haulier_proto::worker::v1 as worker;
use haulier_proto::worker::v1::database_login::Method;

use super::{Context, point};
use crate::args::restore::{OnClash, Renamed, RestoreArguments};
use crate::exit::{CliError, Exit};
use crate::follow;
use crate::view::PointView;

pub(super) async fn run(mut context: Context<'_>, arguments: RestoreArguments) -> Result<Exit, CliError> {
    let doing = format!("restoring from {}", arguments.point);
    let wanted = wanted(&mut context, &arguments, &doing).await?;
    let method = arguments.secret_arn.map(Method::SecretArn).or(arguments.iam_user.map(Method::IamUser));
    let request = control::RestoreDatabaseRequest {
        point_id: arguments.point,
        target_instance: arguments.target_instance.unwrap_or_default(),
        databases: wanted,
        without_roles: arguments.without_roles,
        login: method.map(|method| worker::DatabaseLogin { method: Some(method) }),
        idempotency_key: arguments.start.key(),
    };
    let answer = context.client.restore_database(request).await;
    let session_id = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner().session_id;
    follow::started(&mut context, session_id, arguments.start.wait).await
}

/// What to restore. Nothing is spelled out where everything is wanted in the usual way.
async fn wanted(
    context: &mut Context<'_>,
    arguments: &RestoreArguments,
    doing: &str,
) -> Result<Vec<worker::DatabaseRestore>, CliError> {
    let partial = !arguments.schemas.is_empty() || !arguments.tables.is_empty();
    if partial && arguments.databases.len() != 1 {
        return Err(CliError::new(
            Exit::Usage,
            "restore-one-database",
            doing,
            "--schema and --table belong to one database",
            "name exactly one --database",
        ));
    }
    let mut databases = arguments.databases.clone();
    if arguments.on_clash != OnClash::Refuse {
        let view = point::get(context, &arguments.point).await?;
        if databases.is_empty() {
            let own_name = |name: &str| Renamed { source: name.to_owned(), target: None };
            // As the coordinator reads an empty list: every instance has `postgres`.
            let all = view.databases.iter().filter(|database| database.name != "postgres");
            databases = all.map(|database| own_name(&database.name)).collect();
        }
        if arguments.on_clash == OnClash::Replace && !arguments.yes {
            return Err(unconfirmed(arguments, &databases, &view, doing));
        }
    }
    let restore = |renamed: Renamed| worker::DatabaseRestore {
        database: renamed.source,
        target_name: renamed.target.unwrap_or_default(),
        on_clash: arguments.on_clash.wire(),
        schemas: arguments.schemas.clone(),
        tables: arguments.tables.clone(),
    };
    Ok(databases.into_iter().map(restore).collect())
}

/// Names what would be dropped.
fn unconfirmed(arguments: &RestoreArguments, databases: &[Renamed], view: &PointView, doing: &str) -> CliError {
    let instance = arguments.target_instance.as_deref().unwrap_or(&view.resource);
    let names: Vec<String> =
        databases.iter().map(|renamed| format!("{:?}", renamed.target.as_ref().unwrap_or(&renamed.source))).collect();
    CliError::new(
        Exit::Refused,
        "confirmation-missing",
        doing,
        format!("it would drop on instance {instance}, with everything in them: {}", names.join(", ")),
        "add --yes if these databases are to go, or take --on-clash suffix",
    )
}
