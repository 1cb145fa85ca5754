//! A worker is followed until it has finished, or is lost.
//!
//! Nothing of the data passes here: the worker streams it, and what it says of that is committed as it comes. This step
//! only waits, so it can be repeated at any time; a worker that finished while nobody waited has left its last event.

use std::time::Duration;

use haulier_cloud::compute::{Instance, InstanceState};
use haulier_domain::failure::Failure;
use haulier_domain::session::{Completed, Severity, Stop};
use haulier_proto::worker::v1::{Finished, finished};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::assignment::Job;
use super::worker::Launched;
use crate::state::WorkerState;
use crate::workers::{EVENT_FINISHED, progress};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, Trouble};

/// How a worker's attempt ended, where the session goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::workflows) enum Ended {
    /// It brought its work to the end.
    Finished(Completed),
    /// It was lost.
    Lost(String),
}

/// Waits for the worker to finish.
pub(in crate::workflows) async fn follow(work: &Work, job: &Job, launched: &Launched) -> Attempt<Ended> {
    let ended = tokio::select! {
        ended = finished(work, launched) => return ended,
        reason = gone(work, launched) => reason,
        reason = silent(work, launched) => reason,
        () = cancel_ignored(work, job) => return Err(Trouble::Stop(Stop::Cancelled)),
    };
    // It may have finished and powered off before anybody looked.
    if let Some(ended) = answer(work, launched).await? {
        return Ok(ended);
    }
    work.log(Severity::Warning, &format!("worker {} is lost: {ended}", launched.worker)).await;
    Ok(Ended::Lost(ended))
}

async fn finished(work: &Work, launched: &Launched) -> Attempt<Ended> {
    let mut feed = work.services.feeds.follow(work.id());
    loop {
        feed.borrow_and_update();
        if let Some(ended) = answer(work, launched).await? {
            return Ok(ended);
        }
        if feed.changed().await.is_err() {
            feed = work.services.feeds.follow(work.id());
        }
    }
}

/// What the worker said at its end, if it has come to it.
async fn answer(work: &Work, launched: &Launched) -> Attempt<Option<Ended>> {
    let Some(event) = work.services.state.last_event(work.id(), launched.epoch, EVENT_FINISHED).await? else {
        return Ok(None);
    };
    let what = format!("reading the result of worker {}", launched.worker);
    let broken = |cause: &str| {
        Failure::new("worker-broke-protocol", what.clone(), cause, "use a worker image of the coordinator's version")
    };
    let finished = Finished::decode(event.body.as_slice()).map_err(|_| broken("the message is malformed"))?;
    match finished.result.ok_or_else(|| broken("the result is missing"))? {
        finished::Result::Done(done) => {
            if let Some(totals) = &done.totals {
                // Kept at once: the feed is gone with the coordinator, and these are the figures that stay.
                let totals = progress(totals);
                work.services.state.note_progress(work.id(), &totals).await?;
                work.services.feeds.report(work.id(), totals);
            }
            let report = (!done.report.is_empty()).then(|| String::from_utf8_lossy(&done.report).into_owned());
            Ok(Some(Ended::Finished(Completed { warnings: done.warnings, report })))
        }
        finished::Result::Failure(failure) => Err(Failure::from(failure).into()),
        finished::Result::Cancelled(cancelled) => Err(Trouble::Stop(match cancelled.left {
            Some(failure) => Stop::CancelledLeaving(failure.into()),
            None => Stop::Cancelled,
        })),
    }
}

/// Returns once the worker's machine is going down or gone.
async fn gone(work: &Work, launched: &Launched) -> String {
    let reason = |instance: Option<&Instance>| match instance {
        Some(instance) if matches!(instance.state, InstanceState::Pending | InstanceState::Running) => None,
        Some(instance) => {
            let why = instance.state_reason.as_deref().unwrap_or("no reason given");
            Some(format!("its machine {} is {:?} ({why})", instance.id, instance.state))
        }
        None => Some(format!("its machine {} is not listed any more", launched.instance_id)),
    };
    let settled = Instant::now() + work.services.settings.pace.settle;
    loop {
        let (found, absent) = work
            .services
            .poller
            .worker(work.place(), &launched.instance_id, |instance| {
                reason(instance).map(|reason| (reason, instance.is_none()))
            })
            .await;
        // A listing may lag behind the launch: what was never listed is not gone yet.
        if !absent || Instant::now() >= settled {
            return found;
        }
        tokio::time::sleep(work.services.settings.pace.poll).await;
    }
}

/// Returns once the worker has been silent for longer than it would live without a coordinator.
async fn silent(work: &Work, launched: &Launched) -> String {
    let pace = &work.services.settings.pace;
    let began = Instant::now();
    loop {
        let heard = work.services.presence.last_heard(&launched.worker);
        let attached = heard.is_some()
            || work
                .services
                .state
                .worker(&launched.worker)
                .await
                .is_ok_and(|worker| worker.state == WorkerState::Attached);
        let limit = if attached { pace.patience + pace.heartbeat * 2 } else { pace.boot };
        let deadline = heard.unwrap_or(began) + limit;
        if Instant::now() >= deadline {
            return format!("it has not been heard of for {} s", limit.as_secs());
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + Duration::from_secs(5))).await;
    }
}

/// Returns some time after a cancel: the worker was told, and has had its time to stop.
async fn cancel_ignored(work: &Work, job: &Job) {
    work.cancelled().await;
    let pace = &work.services.settings.pace;
    let is_short = work.session.kind.tidying().is_zero() && !job.tidies;
    let tidying = if is_short { Duration::ZERO } else { pace.tidying };
    tokio::time::sleep(pace.cancel + tidying).await;
}
