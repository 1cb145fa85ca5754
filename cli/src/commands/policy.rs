//! `policy`.

use std::io::{Read, Write};
use std::path::Path;

use haulier_proto::control::v1 as control;
use serde::Serialize;

use super::Context;
use super::several::{self, Several};
use crate::args::{PolicyCommand, Start};
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::view::{FaultView, PolicyView};

#[derive(Serialize)]
struct Validated {
    valid: bool,
    faults: Vec<FaultView>,
}

#[derive(Serialize)]
struct Applied {
    name: String,
    created: bool,
    faults: Vec<FaultView>,
}

#[derive(Serialize)]
struct Deleted {
    name: String,
    deleted: bool,
}

pub(super) async fn run(context: Context<'_>, command: PolicyCommand) -> Result<Exit, CliError> {
    match command {
        PolicyCommand::Validate { file } => validate(context, &file).await,
        PolicyCommand::Apply { file } => apply(context, &file).await,
        PolicyCommand::List => list(context).await,
        PolicyCommand::Show { name } => show(context, name).await,
        PolicyCommand::Run { name, start } => start_now(context, name, start).await,
        PolicyCommand::Delete { name } => delete(context, name).await,
    }
}

async fn validate(mut context: Context<'_>, file: &Path) -> Result<Exit, CliError> {
    let doing = format!("validating {}", file.display());
    let request = control::ValidatePolicyRequest { document: document(file, &doing)? };
    let answer = context.client.validate_policy(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let faults: Vec<FaultView> = answer.faults.into_iter().map(FaultView::from).collect();
    let exit = if faults.is_empty() { Exit::Success } else { Exit::Refused };
    match context.format {
        Format::Json => output::json(&mut context.io.out, &Validated { valid: faults.is_empty(), faults })?,
        Format::Table if faults.is_empty() => writeln!(context.io.out, "{}: valid", file.display())?,
        Format::Table => tell(&mut context, file, &faults)?,
    }
    Ok(exit)
}

async fn apply(mut context: Context<'_>, file: &Path) -> Result<Exit, CliError> {
    let doing = format!("applying {}", file.display());
    let request = control::ApplyPolicyRequest { document: document(file, &doing)? };
    let answer = context.client.apply_policy(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let faults: Vec<FaultView> = answer.faults.into_iter().map(FaultView::from).collect();
    let exit = if faults.is_empty() { Exit::Success } else { Exit::Refused };
    let (name, created) = (answer.name, answer.created);
    match context.format {
        Format::Json => output::json(&mut context.io.out, &Applied { name, created, faults })?,
        Format::Table if faults.is_empty() => {
            writeln!(context.io.out, "policy {name} {}", if created { "created" } else { "updated" })?;
        }
        Format::Table => tell(&mut context, file, &faults)?,
    }
    Ok(exit)
}

fn tell(context: &mut Context<'_>, file: &Path, faults: &[FaultView]) -> Result<(), CliError> {
    for fault in faults {
        writeln!(context.io.err, "{}", fault.lines(&file.display().to_string()))?;
    }
    let count = faults.len();
    writeln!(context.io.err, "error: {count} fault{} found; nothing was stored", if count == 1 { "" } else { "s" })?;
    Ok(())
}

async fn list(mut context: Context<'_>) -> Result<Exit, CliError> {
    let answer = context.client.list_policies(control::ListPoliciesRequest {}).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the policies", &status))?.into_inner();
    let views: Vec<PolicyView> = answer.policies.into_iter().map(PolicyView::from).collect();
    output::list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}

async fn show(mut context: Context<'_>, name: String) -> Result<Exit, CliError> {
    let doing = format!("showing policy {name}");
    let answer = context.client.get_policy(control::GetPolicyRequest { name }).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let view = PolicyView::from(answer.policy.unwrap_or_default());
    match context.format {
        Format::Json => output::json(&mut context.io.out, &view)?,
        // The document alone, so that it can be redirected into a file, edited and applied again.
        Format::Table => write!(context.io.out, "{}", view.document)?,
    }
    Ok(Exit::Success)
}

async fn start_now(mut context: Context<'_>, name: String, start: Start) -> Result<Exit, CliError> {
    let doing = format!("running policy {name}");
    let request = control::RunPolicyRequest { name, idempotency_key: start.key() };
    let answer = context.client.run_policy(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let control::RunPolicyResponse { session_ids, skipped, repeated_call } = answer;
    let nothing = CliError::new(
        Exit::Refused,
        "policy-names-nothing",
        doing,
        "no session was started",
        "see what was skipped and why, and compare `haulier resource list` with the policy",
    );
    several::started(&mut context, Several::new(session_ids, skipped, repeated_call), start.wait, nothing).await
}

async fn delete(mut context: Context<'_>, name: String) -> Result<Exit, CliError> {
    let doing = format!("deleting policy {name}");
    let answer = context.client.delete_policy(control::DeletePolicyRequest { name: name.clone() }).await;
    answer.map_err(|status| CliError::from_status(&doing, &status))?;
    match context.format {
        Format::Json => output::json(&mut context.io.out, &Deleted { name, deleted: true })?,
        Format::Table => writeln!(context.io.out, "policy {name} deleted; its restore points stay")?,
    }
    Ok(Exit::Success)
}

fn document(file: &Path, doing: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| {
        CliError::new(Exit::Usage, "file-unreadable", doing, error.to_string(), "check the path and its permissions")
    })?;
    Ok(text)
}
