//! Follows sessions: their history, then what happens, until they have ended.
//!
//! The stream may be cut at any time; it is taken up again after the last line that was seen. A coordinator that is
//! restarted goes on with its sessions, so a command that waits for one goes on waiting.

mod screen;
mod stream;

use futures::StreamExt;
use futures::stream::{LocalBoxStream, select_all};
use serde::Serialize;

use crate::commands::Context;
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::view::{LogView, ProgressView, SessionView, TargetView};
use screen::{Screen, Side};
use stream::{Happening, happenings};

/// A session that a command has started.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Started {
    pub(crate) session_id: String,
    /// Whether it is that of an earlier call with the same key.
    pub(crate) repeated_call: bool,
    /// Instance that a restore goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_instance: Option<String>,
    /// Databases of a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) databases: Option<Vec<TargetView>>,
    /// Restore point that a copy makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<SessionView>,
}

/// One line of `session tail --output json`.
#[derive(Serialize)]
struct TailLine<'a> {
    event: &'static str,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a SessionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a LogView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<&'a ProgressView>,
}

/// Prints the id of a session that was started, or waits for its end and prints the session.
pub(crate) async fn started(context: &mut Context<'_>, mut started: Started, wait_for: bool) -> Result<Exit, CliError> {
    let ids = [started.session_id.clone()];
    if started.repeated_call {
        tell_repeated(context, &ids)?;
    }
    if wait_for {
        tell_waiting(context, &ids)?;
        started.session = wait(context, &ids).await?.pop();
    }
    let exit = started.session.as_ref().and_then(SessionView::exit).unwrap_or(Exit::Success);
    match (context.format, &started.session) {
        (Format::Json, _) => output::json(&mut context.io.out, &started)?,
        (Format::Table, Some(session)) => output::record(&mut context.io.out, &session.record())?,
        (Format::Table, None) => writeln!(context.io.out, "{}", started.session_id)?,
    }
    Ok(exit)
}

/// Says that nothing new was started.
pub(crate) fn tell_repeated(context: &mut Context<'_>, ids: &[String]) -> Result<(), CliError> {
    let ids = ids.join(", ");
    writeln!(
        context.io.err,
        "the idempotency key was used before with this request: nothing new was started, see {ids}"
    )?;
    Ok(())
}

/// Says what is waited for, before anything else: whoever loses his terminal goes on with `session tail`.
pub(crate) fn tell_waiting(context: &mut Context<'_>, ids: &[String]) -> Result<(), CliError> {
    for id in ids {
        writeln!(context.io.err, "waiting for session {id}")?;
    }
    Ok(context.io.err.flush()?)
}

/// Waits for the end of the sessions and returns them as they ended, in the given order. What happens meanwhile goes to
/// stderr.
pub(crate) async fn wait(context: &mut Context<'_>, ids: &[String]) -> Result<Vec<SessionView>, CliError> {
    let mut screen = Screen::new(Side::Err, context.io.err_is_terminal, ids.len() > 1);
    let streams: Vec<LocalBoxStream<'_, _>> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| happenings(context.client.clone(), id, 0).map(move |item| (index, item)).boxed_local())
        .collect();
    let mut last: Vec<Option<SessionView>> = vec![None; ids.len()];
    let mut all = select_all(streams);
    while let Some((index, happening)) = all.next().await {
        let happening = happening?;
        screen.show(context.io, &ids[index], &happening)?;
        if let Happening::Session(session) = happening {
            last[index] = Some(*session);
        }
    }
    drop(all);
    Ok(last.into_iter().flatten().collect())
}

/// Prints a session's log and progress until it has ended.
pub(crate) async fn tail(context: Context<'_>, id: &str, after: u64) -> Result<Exit, CliError> {
    let Context { client, format, io } = context;
    let mut screen = Screen::new(Side::Out, io.err_is_terminal && io.out_is_terminal, false);
    let mut events = std::pin::pin!(happenings(client, id, after));
    let mut exit = Exit::Success;
    while let Some(happening) = events.next().await {
        let happening = happening?;
        match format {
            Format::Table => screen.show(io, id, &happening)?,
            Format::Json => {
                if let Some(line) = line(&happening) {
                    output::json_line(&mut io.out, &line)?;
                }
            }
        }
        if let Happening::Session(session) = &happening {
            exit = session.exit().unwrap_or(Exit::Success);
        }
    }
    Ok(exit)
}

/// The exit code for several sessions: the gravest.
pub(crate) fn worst(sessions: &[SessionView]) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::SessionFailed => 2,
        Exit::SessionCancelled => 1,
        _ => 0,
    };
    sessions.iter().filter_map(SessionView::exit).max_by_key(rank).unwrap_or(Exit::Success)
}

fn line(happening: &Happening) -> Option<TailLine<'_>> {
    let empty = TailLine { event: "session", sequence: 0, session: None, log: None, progress: None };
    match happening {
        Happening::Session(session) => Some(TailLine { session: Some(session), ..empty }),
        Happening::Log(sequence, log) => Some(TailLine { event: "log", sequence: *sequence, log: Some(log), ..empty }),
        Happening::Progress(progress) => Some(TailLine { event: "progress", progress: Some(progress), ..empty }),
        Happening::Cut(_) => None,
    }
}
