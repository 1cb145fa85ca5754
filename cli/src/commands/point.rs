//! `point`.

use std::io::Write;

use haulier_proto::control::v1 as control;
use serde::Serialize;

use super::offline::{self, OfflineCommand};
use super::{Call, Context};
use crate::Io;
use crate::args::{PointCommand, Start};
use crate::exit::{CliError, Exit};
use crate::follow::{self, Started};
use crate::output::{self, Format};
use crate::view::PointView;

pub(super) async fn run(call: Call<'_>, command: PointCommand) -> Result<Exit, CliError> {
    match command {
        PointCommand::List { resource, repository, place } => match place.place() {
            Some(place) => offline::run(OfflineCommand::List { place, resource }, call.format, call.io).await,
            None => list(call.connect().await?, resource, repository).await,
        },
        PointCommand::Show { id, place } => match place.place() {
            Some(place) => offline::run(OfflineCommand::Show { place, id }, call.format, call.io).await,
            None => show(call.connect().await?, &id).await,
        },
        PointCommand::Export(arguments) => offline::run(OfflineCommand::Export(arguments), call.format, call.io).await,
        PointCommand::Verify { id, restore: true, start, .. } => verify(call.connect().await?, id, start).await,
        PointCommand::Verify { id, full, sample, start, .. } => {
            let sample_percent = sample.unwrap_or_default();
            let request = control::CheckPointRequest { id, full, sample_percent, idempotency_key: start.key() };
            check(call.connect().await?, request, start).await
        }
        PointCommand::Copy { id, to_repository, start } => copy(call.connect().await?, id, to_repository, start).await,
    }
}

async fn list(
    mut context: Context<'_>,
    resource: Option<String>,
    repository: Option<String>,
) -> Result<Exit, CliError> {
    let request = control::ListPointsRequest {
        resource: resource.unwrap_or_default(),
        repository: repository.unwrap_or_default(),
    };
    let answer = context.client.list_points(request).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the restore points", &status))?.into_inner();
    let views: Vec<PointView> = answer.points.into_iter().map(PointView::from).collect();
    output::list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}

async fn get(context: &mut Context<'_>, id: &str) -> Result<PointView, CliError> {
    let answer = context.client.get_point(control::GetPointRequest { id: id.to_owned() }).await;
    let answer = answer.map_err(|status| CliError::from_status(&format!("showing restore point {id}"), &status))?;
    Ok(PointView::from(answer.into_inner().point.unwrap_or_default()))
}

async fn show(mut context: Context<'_>, id: &str) -> Result<Exit, CliError> {
    let view = get(&mut context, id).await?;
    print(context.io, context.format, &view)?;
    Ok(Exit::Success)
}

/// Prints one point.
pub(super) fn print(io: &mut Io, format: Format, view: &PointView) -> std::io::Result<()> {
    if format == Format::Json {
        return output::json(&mut io.out, view);
    }
    output::record(&mut io.out, &view.record())?;
    writeln!(io.out)?;
    output::table(&mut io.out, &view.databases)?;
    if let Some(proof) = &view.latest_proof {
        writeln!(io.out)?;
        output::table(&mut io.out, &proof.databases)?;
        if !proof.exceptions.is_empty() {
            writeln!(io.out)?;
            output::table(&mut io.out, &proof.exceptions)?;
        }
    }
    Ok(())
}

async fn check(mut context: Context<'_>, request: control::CheckPointRequest, start: Start) -> Result<Exit, CliError> {
    let doing = format!("checking restore point {}", request.id);
    let answer = context.client.check_point(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let control::CheckPointResponse { session_id, repeated_call } = answer;
    let started = Started { session_id, repeated_call, ..Started::default() };
    follow::started(&mut context, started, start.wait).await
}

async fn verify(mut context: Context<'_>, id: String, start: Start) -> Result<Exit, CliError> {
    let doing = format!("verifying restore point {id}");
    let request = control::VerifyPointRequest { id, idempotency_key: start.key() };
    let answer = context.client.verify_point(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let control::VerifyPointResponse { session_id, repeated_call } = answer;
    let started = Started { session_id, repeated_call, ..Started::default() };
    follow::started(&mut context, started, start.wait).await
}

/// A copy that was there before.
#[derive(Serialize)]
struct AlreadyCopied {
    session_id: Option<String>,
    repeated_call: bool,
    copy_id: String,
    already_copied: bool,
}

async fn copy(mut context: Context<'_>, id: String, repository: String, start: Start) -> Result<Exit, CliError> {
    let doing = format!("copying restore point {id} to repository {repository}");
    let remark = format!("restore point {id} has been copied to {repository} already: nothing was started");
    let request = control::CopyPointRequest { id, repository, idempotency_key: start.key() };
    let answer = context.client.copy_point(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let control::CopyPointResponse { session_id, copy_id, already_copied, repeated_call } = answer;
    if already_copied {
        writeln!(context.io.err, "{}, see {}", output::printable(&remark), output::printable(&copy_id))?;
        let there = AlreadyCopied { session_id: None, repeated_call, copy_id, already_copied };
        match context.format {
            Format::Json => output::json(&mut context.io.out, &there)?,
            Format::Table => writeln!(context.io.out, "{}", there.copy_id)?,
        }
        return Ok(Exit::Success);
    }
    let copy = Some(copy_id);
    let started = Started { session_id, repeated_call, copy_id: copy, ..Started::default() };
    follow::started(&mut context, started, start.wait).await
}
