//! Check of a restore point, or its restore into a scratch server.

use haulier_domain::session::Completed;

use super::attempt::on_a_worker;
use super::flow::{Flow, Flowed, Halt, Interrupted};
use super::steps::{assignment, preflight, proof, publish, turn};
use crate::sessions::{Request, VerifyRequest};

/// The whole session, from its turn to its end.
pub(super) async fn run(flow: &Flow) -> Result<(), Interrupted> {
    flow.end(check(flow).await).await
}

async fn check(flow: &Flow) -> Flowed<Completed> {
    let (work, request) = (flow.work(), asked(flow)?);
    flow.step("wait-for-turn", || turn::take(work)).await?;
    let near = flow.step("preflight", || preflight::neighbour(work)).await?;
    let domain = flow.step("find-point", || publish::domain_of_point(work, &request.point)).await?;
    let root = flow.step("read-point", || publish::read_root(work, &domain, &request.point)).await?;
    let job = assignment::verify(work, request, &domain, &root)?;
    let delivered = on_a_worker(flow, &near, &job).await?;
    if request.restore {
        flow.step("store-proof", || proof::store(work, request, &domain, &delivered)).await?;
    }
    Ok(delivered.completed)
}

fn asked(flow: &Flow) -> Result<&VerifyRequest, Halt> {
    match flow.work().request() {
        Request::Verify(request) => Ok(request),
        other => Err(turn::not_the_kind(other)),
    }
}
