//! The end of a session whose workflow cannot go on: torn down from the ledger alone, without replay.
//!
//! It passes through the same teardown as every other. This is also how a coordinator of a newer version ends what an
//! older one began.

use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::id::SessionId;
use haulier_domain::session::{Severity, Stop};

use super::flow::BackOff;
use super::left_behind;
use crate::failures;
use crate::ledger::teardown;
use crate::services::Services;
use crate::state::{Result, StateError};

/// Why a workflow cannot go on.
#[derive(Debug, Clone)]
pub(crate) enum Reason {
    /// The engine failed under it.
    Interrupted(String),
    /// The engine has given it up.
    Parked,
    /// Another version of the coordinator began it.
    OtherVersion,
}

impl Reason {
    fn failure(&self) -> Failure {
        let what = "carrying out the session";
        match self {
            Self::Interrupted(cause) => Failure::new(
                "coordinator-interrupted",
                what,
                cause,
                "check disk space and permissions of the coordinator's state directory, then run it again",
            ),
            Self::Parked => Failure::new(
                "coordinator-interrupted",
                what,
                "the workflow stopped without ending the session",
                "see the coordinator's log, then run it again",
            ),
            Self::OtherVersion => Failure::new(
                "coordinator-upgraded",
                what,
                "another version of the coordinator began it, and its steps are not those of this version",
                "run it again",
            ),
        }
        .retryable()
    }
}

/// Ends the session on a task of its own.
pub(crate) fn spawn(services: Arc<Services>, session: SessionId, reason: Reason) {
    tokio::spawn(async move { self::session(&services, &session, &reason).await });
}

/// Ends the session, however often it takes. A coordinator that has stopped leaves it to the next.
pub(crate) async fn session(services: &Services, session: &SessionId, reason: &Reason) {
    tokio::select! {
        () = insist(services, session, reason) => {}
        () = services.halted.cancelled() => {}
    }
}

async fn insist(services: &Services, session: &SessionId, reason: &Reason) {
    tracing::warn!(session_id = %session, ?reason, "ending a session from the ledger");
    let mut pause = BackOff::new(services.settings.pace.back_off);
    loop {
        match end(services, session, reason).await {
            Ok(()) | Err(StateError::Missing { .. }) => return,
            Err(error) => {
                tracing::error!(session_id = %session, error = %failures::chain(&error), "session not ended, repeating");
                pause.sleep().await;
            }
        }
    }
}

async fn end(services: &Services, session: &SessionId, reason: &Reason) -> Result<()> {
    // One that had come to its outcome keeps it: only its teardown was cut off.
    let row = services.state.session(session).await?;
    if row.outcome.is_none() {
        let outcome = left_behind::said(&services.state, &row, Err(Stop::Failed(reason.failure()))).await?;
        if let Some(failure) = outcome.as_ref().err().and_then(Stop::failure) {
            services.state.log(session, Severity::Error, &failure.to_string()).await?;
        }
        if let Some(text) = left_behind::running_tasks(&services.state, &row).await? {
            services.state.log(session, Severity::Warning, &text).await?;
        }
        services.state.begin_teardown(session, &outcome).await?;
        services.feeds.changed(session);
    }
    teardown::session(services, session).await?;
    services.state.end_session(session).await?;
    services.turns.send_modify(|()| {});
    services.feeds.changed(session);
    services.feeds.close(session);
    Ok(())
}
