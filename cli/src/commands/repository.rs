//! `repository`.

use std::io::Write;

use haulier_proto::common::v1 as common;
use haulier_proto::common::v1::RetentionMode;
use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::RepositoryOutcome;
use haulier_proto::control::v1::create_repository_request::Key;
use serde::Serialize;

use super::several::{self, Several};
use super::{Context, import, key};
use crate::args::{ObjectLock, RepositoryArguments, RepositoryCommand, Start};
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::view::{HiddenView, RepositoryView};

#[derive(Serialize)]
struct Created<'v> {
    #[serde(flatten)]
    repository: &'v RepositoryView,
    outcome: Option<&'static str>,
}

pub(super) async fn run(context: Context<'_>, command: RepositoryCommand) -> Result<Exit, CliError> {
    match command {
        RepositoryCommand::Create(arguments) => create(context, arguments).await,
        RepositoryCommand::Import(arguments) => import::run(context, arguments).await,
        RepositoryCommand::List => list(context).await,
        RepositoryCommand::Key(command) => key::run(context, command).await,
        RepositoryCommand::Undelete { name, all, dry_run } => undelete(context, name, all, dry_run).await,
        RepositoryCommand::Prune { name, dry_run, start } => prune(context, name, dry_run, start).await,
    }
}

async fn create(mut context: Context<'_>, arguments: RepositoryArguments) -> Result<Exit, CliError> {
    let doing = format!("creating the repository {}", arguments.name);
    let key =
        arguments.kms_key_arn.map(Key::KmsKeyArn).or(arguments.passphrase_secret_arn.map(Key::PassphraseSecretArn));
    let request = control::CreateRepositoryRequest {
        name: arguments.name,
        bucket: arguments.location.bucket,
        region: arguments.location.region,
        prefix: arguments.location.prefix,
        key,
        immutability: arguments.object_lock.zip(arguments.retention_days).map(|(lock, days)| {
            let mode = match lock {
                ObjectLock::Governance => RetentionMode::Governance,
                ObjectLock::Compliance => RetentionMode::Compliance,
            };
            common::Immutability { mode: mode.into(), days }
        }),
    };
    let answer = context.client.create_repository(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let outcome = answer.outcome();
    let view = RepositoryView::from(answer.repository.unwrap_or_default());
    let (outcome, remark) = match outcome {
        RepositoryOutcome::Unspecified => (None, None),
        RepositoryOutcome::Created => (Some("created"), None),
        RepositoryOutcome::Adopted => (
            Some("adopted"),
            Some(
                "adopted: a repository lay there already that this key opens, and was added as it is; `haulier repository \
                 import` lists the restore points that are in it",
            ),
        ),
        RepositoryOutcome::Unchanged => {
            (Some("unchanged"), Some("unchanged: this installation has the repository already, under this name"))
        }
    };
    if let Some(remark) = remark {
        writeln!(context.io.err, "{remark}")?;
    }
    match context.format {
        Format::Json => output::json(&mut context.io.out, &Created { repository: &view, outcome })?,
        Format::Table => output::record(&mut context.io.out, &view.record())?,
    }
    Ok(Exit::Success)
}

async fn list(mut context: Context<'_>) -> Result<Exit, CliError> {
    let answer = context.client.list_repositories(control::ListRepositoriesRequest {}).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the repositories", &status))?.into_inner();
    let views: Vec<RepositoryView> = answer.repositories.into_iter().map(RepositoryView::from).collect();
    output::list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}

async fn prune(mut context: Context<'_>, name: String, dry_run: bool, start: Start) -> Result<Exit, CliError> {
    let doing = format!("pruning the repository {name}");
    let request = control::PruneRepositoryRequest { name, dry_run, idempotency_key: start.key() };
    let answer = context.client.prune_repository(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let control::PruneRepositoryResponse { session_ids, skipped, repeated_call } = answer;
    let nothing = CliError::new(
        Exit::Refused,
        "prune-nothing",
        doing,
        "no session was started",
        "see what was skipped and why; a repository that was never written to has nothing to prune",
    );
    several::started(&mut context, Several::new(session_ids, skipped, repeated_call), start.wait, nothing).await
}

async fn undelete(mut context: Context<'_>, name: String, all: bool, dry_run: bool) -> Result<Exit, CliError> {
    let doing = format!("bringing back what is hidden in repository {name}");
    let answer = context.client.undelete_repository(control::UndeleteRepositoryRequest { name, all, dry_run }).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let views: Vec<HiddenView> = answer.objects.into_iter().map(HiddenView::from).collect();
    match (views.len(), dry_run) {
        (0, _) => writeln!(context.io.err, "nothing is hidden")?,
        (count, true) => writeln!(context.io.err, "{count} objects are hidden")?,
        (count, false) => writeln!(context.io.err, "{count} objects were hidden, and are in sight again")?,
    }
    output::list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}
