//! A job is carried out by a worker; where the worker is lost, by another.
//!
//! Each worker has an epoch of its own, and with it everything that was made for it. Before the next one is launched, all
//! of that is removed: an older worker that is still alive somewhere can no longer reach the database, and nothing it says
//! is heard.

use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::placement::{Refused, next_candidate, no_capacity, worth_waiting};
use haulier_domain::session::Completed;
use serde::{Deserialize, Serialize};

use super::flow::{Flow, Flowed};
use super::steps::assignment::Job;
use super::steps::network::Groups;
use super::steps::preflight::Source;
use super::steps::transfer::Ended;
use super::steps::worker::{Launch, Launched, Plan};
use super::steps::{network, transfer, worker};

/// What a worker has brought to its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Delivered {
    /// Which worker.
    pub(super) epoch: Epoch,
    /// What it has to tell.
    pub(super) completed: Completed,
}

/// Has the job carried out by one worker after another, until one has brought it to its end.
pub(super) async fn on_a_worker(flow: &Flow, near: &Source, job: &Job) -> Flowed<Delivered> {
    on_workers(flow, near, || std::future::ready(Ok(job.clone()))).await
}

/// The same with a job that is made anew for each worker.
pub(super) async fn on_workers<J, Made>(flow: &Flow, near: &Source, job: J) -> Flowed<Delivered>
where
    J: Fn() -> Made + Send + Sync,
    Made: Future<Output = Flowed<Job>> + Send,
{
    let attempts = flow.work().services.settings.worker.attempts.max(1);
    let mut last = String::new();
    for epoch in (1..=attempts).map(Epoch) {
        match attempt(flow, near, &job().await?, epoch).await? {
            Ended::Finished(completed) => return Ok(Delivered { epoch, completed }),
            Ended::Lost(reason) => {
                flow.clear(epoch).await?;
                last = reason;
            }
        }
    }
    let what = format!("carrying out the job on {attempts} workers, one after another");
    let remedy = "see the session's log and the workers' console output; check that workers reach the coordinator";
    Err(Failure::new("worker-lost", what, last, remedy).retryable().into())
}

async fn attempt(flow: &Flow, near: &Source, job: &Job, epoch: Epoch) -> Flowed<Ended> {
    let work = flow.work();
    let plan = flow.step("plan-worker", || worker::plan(work, near, epoch)).await?;
    let groups = flow.step("open-groups", || network::open(work, near, job, &plan, epoch)).await?;
    let worker = launch(flow, near, &plan, &groups, epoch).await?;
    if let Some(group) = &groups.database {
        flow.step("join-instance", || network::join(work, near, group, epoch)).await?;
    }
    flow.step("assign", || worker::assign(work, job, &worker)).await?;
    flow.step("transfer", || transfer::follow(work, job, &worker)).await
}

/// Launches the worker where EC2 has room for it: one candidate after another, in rounds with growing pauses.
async fn launch(flow: &Flow, near: &Source, plan: &Plan, groups: &Groups, epoch: Epoch) -> Flowed<Launched> {
    let work = flow.work();
    let mut refused: Vec<Refused> = Vec::new();
    for round in 1..=work.services.settings.worker.launch_rounds.max(1) {
        if round > 1 {
            flow.step("wait-for-capacity", || worker::wait_for_capacity(work, round)).await?;
        }
        while let Some(candidate) = next_candidate(&plan.candidates, &refused, round) {
            let attempt = refused.len() + 1;
            let launch = || worker::launch(work, plan, groups, epoch, candidate, attempt);
            match flow.step("launch-worker", launch).await? {
                Launch::Up(worker) => return Ok(worker),
                Launch::Refused(obstacle) => refused.push(Refused { candidate, round, obstacle }),
            }
        }
        if !worth_waiting(&plan.candidates, &refused) {
            break;
        }
    }
    Err(no_capacity(&near.id, &plan.candidates, &refused).into())
}
