//! `session`.

use haulier_proto::control::v1 as control;

use super::Context;
use crate::args::{SessionCommand, State};
use crate::exit::{CliError, Exit};
use crate::follow;
use crate::output::{self, Format};
use crate::view::SessionView;

pub(super) async fn run(mut context: Context<'_>, command: SessionCommand) -> Result<Exit, CliError> {
    match command {
        SessionCommand::List { policy, resource, states, limit } => {
            let request = control::ListSessionsRequest {
                policy: policy.unwrap_or_default(),
                resource: resource.unwrap_or_default(),
                states: states.into_iter().map(|state| wire(state).into()).collect(),
                limit,
            };
            let answer = context.client.list_sessions(request).await;
            let answer = answer.map_err(|status| CliError::from_status("listing the sessions", &status))?.into_inner();
            let views: Vec<SessionView> = answer.sessions.into_iter().map(SessionView::from).collect();
            output::list(&mut context.io.out, context.format, &views)?;
            Ok(Exit::Success)
        }
        SessionCommand::Show { id } => {
            let view = get(&mut context, &id).await?;
            show(&mut context, &view)?;
            Ok(Exit::Success)
        }
        SessionCommand::Tail { id, after } => follow::tail(context, &id, after).await,
        SessionCommand::Cancel { id, reason, wait } => cancel(context, id, reason, wait).await,
    }
}

async fn cancel(mut context: Context<'_>, id: String, reason: String, wait: bool) -> Result<Exit, CliError> {
    let doing = format!("cancelling session {id}");
    let request = control::CancelSessionRequest { id: id.clone(), reason };
    let answer = context.client.cancel_session(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let mut view = SessionView::from(answer.session.unwrap_or_default());
    if wait {
        view = follow::wait(&mut context, &[id]).await?.into_iter().next().unwrap_or(view);
    }
    show(&mut context, &view)?;
    match view.exit().filter(|_| wait) {
        // What was asked for here is the cancellation itself.
        None | Some(Exit::SessionCancelled) => Ok(Exit::Success),
        Some(Exit::SessionFailed) => Ok(Exit::SessionFailed),
        Some(_) => Err(CliError::new(
            Exit::Refused,
            "session-ended-before",
            doing,
            format!("it ended by itself: {}", view.state),
            "nothing is left to cancel",
        )),
    }
}

pub(super) async fn get(context: &mut Context<'_>, id: &str) -> Result<SessionView, CliError> {
    let answer = context.client.get_session(control::GetSessionRequest { id: id.to_owned() }).await;
    let answer = answer.map_err(|status| CliError::from_status(&format!("showing session {id}"), &status))?;
    Ok(SessionView::from(answer.into_inner().session.unwrap_or_default()))
}

fn show(context: &mut Context<'_>, view: &SessionView) -> Result<(), CliError> {
    match context.format {
        Format::Json => output::json(&mut context.io.out, view)?,
        Format::Table => output::record(&mut context.io.out, &view.record())?,
    }
    Ok(())
}

fn wire(state: State) -> control::SessionState {
    match state {
        State::Queued => control::SessionState::Queued,
        State::Running => control::SessionState::Running,
        State::TearingDown => control::SessionState::TearingDown,
        State::Succeeded => control::SessionState::Succeeded,
        State::Warning => control::SessionState::Warning,
        State::Failed => control::SessionState::Failed,
        State::Cancelled => control::SessionState::Cancelled,
    }
}
