//! A request that starts several sessions: what was started and skipped, and if wanted how they ended.

use std::io::Write;

use serde::Serialize;

use super::Context;
use crate::exit::{CliError, Exit};
use crate::follow;
use crate::output::{self, Format};
use crate::view::{EndView, SessionView};

#[derive(Serialize)]
pub(super) struct Several {
    session_ids: Vec<String>,
    skipped: Vec<String>,
    repeated_call: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Vec<SessionView>>,
}

impl Several {
    pub(super) fn new(session_ids: Vec<String>, skipped: Vec<String>, repeated_call: bool) -> Self {
        Self { session_ids, skipped, repeated_call, sessions: None }
    }
}

/// Prints the ids, or waits for the ends and prints the sessions. `nothing` is what it means that none was started.
pub(super) async fn started(
    context: &mut Context<'_>,
    mut several: Several,
    wait_for: bool,
    nothing: CliError,
) -> Result<Exit, CliError> {
    for reason in &several.skipped {
        writeln!(context.io.err, "skipped {}", output::printable(reason))?;
    }
    if several.repeated_call {
        follow::tell_repeated(context, &several.session_ids)?;
    }
    if wait_for && !several.session_ids.is_empty() {
        follow::tell_waiting(context, &several.session_ids)?;
        several.sessions = Some(follow::wait(context, &several.session_ids).await?);
    }
    let exit = several.sessions.as_deref().map_or(Exit::Success, follow::worst);
    match (context.format, &several.sessions) {
        (Format::Json, _) => output::json(&mut context.io.out, &several)?,
        (Format::Table, Some(sessions)) => {
            let ends: Vec<EndView<'_>> = sessions.iter().map(EndView).collect();
            output::table(&mut context.io.out, &ends)?;
        }
        (Format::Table, None) => {
            for id in &several.session_ids {
                writeln!(context.io.out, "{id}")?;
            }
        }
    }
    if several.session_ids.is_empty() { Err(nothing) } else { Ok(exit) }
}
