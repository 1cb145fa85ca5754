//! Copy of a restore point in another repository.
//!
//! The worker's credentials read the one domain and store in the other; the copy is published here, as any point is.

use haulier_domain::session::Completed;

use super::attempt::on_a_worker;
use super::flow::{Flow, Flowed, Halt, Interrupted};
use super::steps::{assignment, copy, preflight, publish, turn};
use crate::sessions::{ReplicateRequest, Request};

/// The whole session, from its turn to its end.
pub(super) async fn run(flow: &Flow) -> Result<(), Interrupted> {
    flow.end(replicate(flow).await).await
}

async fn replicate(flow: &Flow) -> Flowed<Completed> {
    let (work, request) = (flow.work(), asked(flow)?);
    flow.step("wait-for-turn", || turn::take(work)).await?;
    let near = flow.step("preflight", || preflight::neighbour(work)).await?;
    let source = flow.step("find-point", || publish::domain_of_point(work, &request.point)).await?;
    let root = flow.step("read-point", || publish::read_root(work, &source, &request.point)).await?;
    let target = flow.step("open-target", || copy::open_target(work, request, &source)).await?;
    if flow.step("find-copy", || copy::find(work, request, &target)).await? {
        return Ok(Completed::default());
    }
    let job = assignment::copy(work, request, (&source, &root), &target)?;
    let delivered = on_a_worker(flow, &near, &job).await?;
    flow.step("publish", || copy::publish(work, request, (&source, &root), &target, delivered.epoch)).await?;
    Ok(delivered.completed)
}

fn asked(flow: &Flow) -> Result<&ReplicateRequest, Halt> {
    match flow.work().request() {
        Request::Replicate(request) => Ok(request),
        other => Err(turn::not_the_kind(other)),
    }
}
