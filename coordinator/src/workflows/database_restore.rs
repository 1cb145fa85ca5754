//! Restore of databases out of a point into an instance.

use haulier_domain::native_backup::Engine;
use haulier_domain::session::Completed;

use super::attempt::on_a_worker;
use super::flow::{Flow, Flowed, Halt, Interrupted};
use super::native;
use super::steps::{assignment, preflight, publish, turn};
use crate::sessions::{Request, RestoreRequest};

/// The whole session, from its turn to its end.
pub(super) async fn run(flow: &Flow) -> Result<(), Interrupted> {
    flow.end(restore(flow).await).await
}

async fn restore(flow: &Flow) -> Flowed<Completed> {
    let (work, request) = (flow.work(), asked(flow)?);
    flow.step("wait-for-turn", || turn::take(work)).await?;
    let target = flow.step("preflight", || preflight::instance(work)).await?;
    let login = flow.step("check-login", || preflight::login(work, &target, &request.login)).await?;
    let domain = flow.step("find-point", || publish::domain_for(work, &target, &request.point)).await?;
    let root = flow.step("read-point", || publish::read_root(work, &domain, &request.point)).await?;
    if target.engine() == Engine::SqlServer {
        return Box::pin(native::restore(flow, request, &target, &login, (&domain, &root))).await;
    }
    let job = assignment::restore(work, request, &target, &login, &domain, &root)?;
    let delivered = on_a_worker(flow, &target, &job).await?;
    Ok(delivered.completed)
}

fn asked(flow: &Flow) -> Result<&RestoreRequest, Halt> {
    match flow.work().request() {
        Request::DatabaseRestore(request) => Ok(request),
        other => Err(turn::not_the_kind(other)),
    }
}
