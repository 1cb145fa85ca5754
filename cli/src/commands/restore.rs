//! `restore database`.

use std::io::Write;

use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_proto::control::v1 as control;
use haulier_proto::worker::v1 as worker;
use haulier_proto::worker::v1::database_login::Method;

use super::Context;
use crate::args::restore::{OnClash, Renamed, RestoreArguments};
use crate::exit::{CliError, Exit};
use crate::follow::{self, Started};
use crate::output::printable;
use crate::view::TargetView;

pub(super) async fn run(mut context: Context<'_>, arguments: RestoreArguments) -> Result<Exit, CliError> {
    let doing = format!("restoring from {}", arguments.point);
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
    let request = request(&arguments);
    if arguments.on_clash == OnClash::Replace && !arguments.yes {
        return Err(unconfirmed(&mut context, request, &doing).await);
    }
    let answer = context.client.restore_database(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let databases: Vec<TargetView> = answer.databases.into_iter().map(TargetView::from).collect();
    for database in &databases {
        let line = printable(&database.line());
        writeln!(context.io.err, "restoring to instance {}: {line}", answer.target_instance)?;
    }
    let started = Started {
        session_id: answer.session_id,
        repeated_call: answer.repeated_call,
        target_instance: Some(answer.target_instance),
        databases: Some(databases),
        ..Started::default()
    };
    follow::started(&mut context, started, arguments.start.wait).await
}

/// What was named, as it was named: what an empty list stands for, the coordinator decides.
fn request(arguments: &RestoreArguments) -> control::RestoreDatabaseRequest {
    let on_clash = arguments.on_clash.wire();
    let restore = |renamed: &Renamed| worker::DatabaseRestore {
        database: renamed.source.clone(),
        target_name: renamed.target.clone().unwrap_or_default(),
        on_clash,
        schemas: arguments.schemas.clone(),
        tables: arguments.tables.clone(),
    };
    let secret = arguments.secret_arn.clone().map(Method::SecretArn);
    let method = secret.or(arguments.iam_user.clone().map(Method::IamUser));
    let native = RestoreOptions {
        keep_cdc: arguments.keep_cdc,
        data_file_volume: arguments.data_file_volume,
        log_file_volume: arguments.log_file_volume,
        until: arguments.until,
    };
    control::RestoreDatabaseRequest {
        point_id: arguments.point.clone(),
        target_instance: arguments.target_instance.clone().unwrap_or_default(),
        databases: arguments.databases.iter().map(restore).collect(),
        without_roles: arguments.without_roles,
        login: method.map(|method| worker::DatabaseLogin { method: Some(method) }),
        idempotency_key: arguments.start.key(),
        on_clash,
        native: (native != RestoreOptions::default()).then(|| native.into()),
    }
}

/// Names what would be dropped, or says why nothing would come of it in any case.
async fn unconfirmed(context: &mut Context<'_>, restore: control::RestoreDatabaseRequest, doing: &str) -> CliError {
    let answer = context.client.plan_restore(control::PlanRestoreRequest { restore: Some(restore) }).await;
    let plan = match answer {
        Ok(plan) => plan.into_inner(),
        Err(status) => return CliError::from_status(doing, &status),
    };
    let names: Vec<String> = plan.databases.iter().map(|database| format!("{:?}", database.target)).collect();
    let (instance, names) = (plan.target_instance, names.join(", "));
    CliError::new(
        Exit::Refused,
        "confirmation-missing",
        doing,
        format!("it would drop on instance {instance}, with everything in them: {names}"),
        "add --yes if these databases are to go, or take --on-clash suffix",
    )
}
