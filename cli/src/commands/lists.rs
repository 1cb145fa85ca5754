//! Commands that only list.

use std::io::Write;

use haulier_domain::failure::Failure;
use haulier_proto::control::v1 as control;

use super::Context;
use crate::args::{LedgerCommand, ResourceCommand, WorkerCommand};
use crate::exit::{CliError, Exit};
use crate::output::{Format, list};
use crate::view::{LedgerView, ResourceView, WorkerView};

pub(super) async fn resources(mut context: Context<'_>, command: ResourceCommand) -> Result<Exit, CliError> {
    let ResourceCommand::List = command;
    let answer = context.client.list_resources(control::ListResourcesRequest {}).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the resources", &status))?.into_inner();
    let views: Vec<ResourceView> = answer.resources.into_iter().map(ResourceView::from).collect();
    list(&mut context.io.out, context.format, &views)?;
    context.io.out.flush()?;
    let mut exit = Exit::Success;
    for missed in answer.missed {
        exit = Exit::Incomplete;
        let failure = missed.failure.map(Failure::from).unwrap_or_else(|| {
            let what = format!("listing the DB instances of account {} in {}", missed.account, missed.region);
            Failure::new("coordinator-error", what, "no reason was given", "look into the coordinator's log")
        });
        CliError { exit, failure }.write(&mut context.io.err, context.format)?;
    }
    if exit == Exit::Incomplete && context.format == Format::Table {
        writeln!(context.io.err, "what these accounts and Regions hold is missing from the list")?;
    }
    Ok(exit)
}

pub(super) async fn workers(mut context: Context<'_>, command: WorkerCommand) -> Result<Exit, CliError> {
    let WorkerCommand::List { all } = command;
    let answer = context.client.list_workers(control::ListWorkersRequest { all }).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the workers", &status))?.into_inner();
    let views: Vec<WorkerView> = answer.workers.into_iter().map(WorkerView::from).collect();
    list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}

pub(super) async fn ledger(mut context: Context<'_>, command: LedgerCommand) -> Result<Exit, CliError> {
    let LedgerCommand::List { session, open } = command;
    let request = control::ListLedgerRequest { session_id: session.unwrap_or_default(), open };
    let answer = context.client.list_ledger(request).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the ledger", &status))?.into_inner();
    let views: Vec<LedgerView> = answer.entries.into_iter().map(LedgerView::from).collect();
    list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}
