//! Backup of one DB instance.

use haulier_domain::native_backup::Engine;
use haulier_domain::session::Completed;

use super::attempt::on_a_worker;
use super::flow::{Flow, Flowed, Halt, Interrupted};
use super::native;
use super::steps::preflight::Source;
use super::steps::publish::{DomainPlace, Standing};
use super::steps::{assignment, preflight, publish, snapshot, turn};
use crate::sessions::{BackupRequest, Login, Request};

/// The whole session, from its turn to its end.
pub(super) async fn run(flow: &Flow) -> Result<(), Interrupted> {
    flow.end(protect(flow).await).await
}

async fn protect(flow: &Flow) -> Flowed<Completed> {
    let (work, request) = (flow.work(), asked(flow)?);
    flow.step("wait-for-turn", || turn::take(work)).await?;
    let source = flow.step("preflight", || preflight::instance(work)).await?;
    let login = flow.step("check-login", || preflight::login(work, &source, &request.login)).await?;
    let domain = flow.step("open-domain", || publish::open_domain(work, &request.repository, &source)).await?;
    match source.engine() {
        Engine::Postgres => Box::pin(dump(flow, request, &source, &login, &domain)).await,
        Engine::SqlServer => Box::pin(native::backup(flow, request, &source, &login, &domain)).await,
    }
}

/// PostgreSQL: a worker reads the databases.
async fn dump(
    flow: &Flow,
    request: &BackupRequest,
    source: &Source,
    login: &Login,
    domain: &DomainPlace,
) -> Flowed<Completed> {
    let work = flow.work();
    if request.snapshot {
        flow.step("snapshot", || snapshot::take(work, source)).await?;
    }
    let job = assignment::backup(work, request, source, login, domain)?;
    let delivered = on_a_worker(flow, source, &job).await?;
    let standing = Standing { snapshot: request.snapshot, full_point: None };
    flow.step("publish", || publish::point(work, request, source, (domain, &standing), delivered.epoch)).await?;
    Ok(delivered.completed)
}

fn asked(flow: &Flow) -> Result<&BackupRequest, Halt> {
    match flow.work().request() {
        Request::Backup(request) => Ok(request),
        other => Err(turn::not_the_kind(other)),
    }
}
