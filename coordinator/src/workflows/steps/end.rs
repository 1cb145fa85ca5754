//! The end of a session. These steps are repeated until they have worked.

use haulier_domain::id::Epoch;
use haulier_domain::session::{Outcome, Severity, Stop};

use crate::ledger::teardown;
use crate::state::WorkerState;
use crate::workers::worker_id;
use crate::workflows::flow::Work;
use crate::workflows::left_behind;
use crate::workflows::trouble::Attempt;

/// Writes the outcome down.
pub(in crate::workflows) async fn begin_teardown(work: &Work, outcome: &Outcome) -> Attempt<()> {
    let services = &work.services;
    let outcome = &left_behind::said(&services.state, &work.session, outcome.clone()).await?;
    if let Some(text) = left_behind::running_tasks(&services.state, &work.session).await? {
        work.log(Severity::Warning, &text).await;
    }
    services.state.begin_teardown(work.id(), outcome).await?;
    // A worker that is still there is told to power off.
    let epoch = services.state.session(work.id()).await?.epoch;
    services.state.close_worker(&worker_id(work.id(), epoch), WorkerState::Ended).await?;
    match outcome {
        Ok(_) => work.log(Severity::Info, "done; removing what the session made").await,
        Err(Stop::Cancelled) => work.log(Severity::Warning, "cancelled; removing what the session made").await,
        Err(Stop::CancelledLeaving(failure)) => work.log(Severity::Error, &format!("cancelled; {failure}")).await,
        Err(Stop::Failed(failure)) => work.log(Severity::Error, &failure.to_string()).await,
    }
    Ok(())
}

/// Removes everything in the session's ledger.
pub(in crate::workflows) async fn teardown(work: &Work) -> Attempt<()> {
    Ok(teardown::session(&work.services, work.id()).await?)
}

/// Gives a worker up and removes everything that was made for it.
pub(in crate::workflows) async fn clear_epoch(work: &Work, epoch: Epoch) -> Attempt<()> {
    work.services.state.close_worker(&worker_id(work.id(), epoch), WorkerState::Lost).await?;
    work.services.feeds.changed(work.id());
    Ok(teardown::epoch(&work.services, work.id(), epoch).await?)
}

/// Writes the last state down, lets the next session on the instance begin, and tells everybody.
pub(in crate::workflows) async fn close(work: &Work) -> Attempt<()> {
    let services = &work.services;
    if let Some(progress) = services.feeds.progress(work.id()) {
        services.state.note_progress(work.id(), &progress).await?;
    }
    services.state.end_session(work.id()).await?;
    let epochs = services.state.session(work.id()).await?.epoch;
    (1..=epochs.0).for_each(|epoch| services.presence.forget(&worker_id(work.id(), Epoch(epoch))));
    services.turns.send_modify(|()| {});
    services.feeds.changed(work.id());
    services.feeds.close(work.id());
    Ok(())
}
