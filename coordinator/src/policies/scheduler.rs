//! Runs policies by the clock.
//!
//! A run that is due is committed together with the time of the one after it, before its first session starts; its
//! sessions carry a key of policy, time and instance. So a coordinator that dies in between starts the rest when it comes
//! back, and nothing twice. However many runs were missed while it was down, one is made up for: a backup of the state
//! of now is worth the same to each of them.

use std::time::Duration;

use haulier_domain::policy::Policy;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Policies;
use super::catalogue::schedule;
use crate::failures::chain;
use crate::state::{Policy as Stored, StateError};

/// How long a run is tried again where an account cannot be looked into. Its other accounts do not wait for that.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Looks at the schedules in this rhythm until told to stop.
pub async fn run(policies: Policies, rhythm: Duration, stop: CancellationToken) {
    loop {
        if let Err(error) = look(&policies, Timestamp::now()).await {
            tracing::error!(error = chain(&error), "the schedules cannot be looked at");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rhythm) => {}
        }
    }
}

/// Commits the runs that are due now, and starts every run that is committed and not started.
///
/// # Errors
/// Where the state cannot be read or written.
pub async fn look(policies: &Policies, now: Timestamp) -> Result<(), StateError> {
    let state = policies.sessions().state();
    for (stored, policy) in policies.all().await? {
        if let Some((due, next)) = due(&stored, &policy, now) {
            state.commit_run(&stored.name, due, next).await?;
        }
    }
    for (name, due) in state.due_runs().await? {
        if started(policies, &name, due, now).await {
            state.note_run_started(&name, due).await?;
        }
    }
    Ok(())
}

/// The stored time of the policy's next run where it has come, and the time of the one after now.
fn due(stored: &Stored, policy: &Policy, now: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
    let due = stored.next_run.filter(|next| *next <= now)?;
    Some((due, schedule(policy).next_after(now)))
}

/// Starts the sessions of a run. False where it is to be tried again.
async fn started(policies: &Policies, name: &str, due: Timestamp, now: Timestamp) -> bool {
    let is_late = now.duration_since(due) > GIVE_UP_AFTER;
    match policies.run(name, &format!("at {due}")).await {
        Ok(run) => {
            for reason in &run.skipped {
                tracing::warn!(policy = name, reason, "a resource was passed over");
            }
            tracing::info!(policy = name, %due, sessions = run.sessions.len(), "ran a policy by its schedule");
            run.missed.is_empty() || is_late
        }
        Err(failure) => {
            tracing::error!(policy = name, %due, %failure, "a policy could not be run by its schedule");
            !failure.retryable || is_late
        }
    }
}
