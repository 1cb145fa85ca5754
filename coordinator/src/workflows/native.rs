//! SQL Server: RDS itself backs up and restores, through a temporary bucket in the instance's Region.

use haulier_domain::session::Completed;

use super::attempt::on_a_worker;
use super::flow::{Flow, Flowed};
use super::steps::native_job::{self, Parts};
use super::steps::preflight::Source;
use super::steps::publish::{self, DomainPlace, Standing};
use super::steps::{native, snapshot, temporary};
use crate::sessions::{BackupRequest, Login, RestoreRequest};

/// A backup, from where the instance, the login and the domain are known. A snapshot comes before a full backup. It would break
/// the chain of a differential one, and log backups go without it alike: one of the full backup's moment is there.
pub(super) async fn backup(
    flow: &Flow,
    request: &BackupRequest,
    source: &Source,
    login: &Login,
    domain: &DomainPlace,
) -> Flowed<Completed> {
    let work = flow.work();
    let key = request.native.kms_key_arn.as_deref();
    let mut remarks = flow.step("check-option-group", || native::ready(work, source, key)).await?;
    flow.step("wait-for-quiet", || native::quiet(work, source)).await?;
    let mut logs = None;
    if request.native.log_backups {
        let found = flow.step("check-log-backups", || native::log_backups(work, source, &request.native)).await?;
        remarks.extend(found.remarks.iter().cloned());
        logs = Some(found);
    }
    let chosen = flow.step("choose-type", || native::choose(work, request, source, domain)).await?;
    let snapshot = request.snapshot && chosen.full_point().is_none();
    if snapshot {
        flow.step("snapshot", || snapshot::take(work, source)).await?;
        flow.step("wait-for-quiet-again", || native::quiet(work, source)).await?;
    }
    let full_root = match chosen.full_point() {
        Some(full) => Some(flow.step("read-full-point", || publish::read_root(work, domain, full)).await?),
        None => None,
    };
    let bucket = request.native.bucket.as_ref();
    let logs = logs.filter(|_| chosen.takes_logs());
    let logs_of = logs.as_ref().map(|logs| logs.instance_arn.as_str());
    let temporary = flow.step("open-temporary-bucket", || temporary::open(work, bucket, logs_of)).await?;
    let parts = Parts { instance: source, login, domain, temporary: &temporary };
    let log_key = logs.as_ref().and_then(|logs| logs.kms_key_arn.as_deref());
    let job = native_job::backup(work, request, parts, (&chosen, log_key), full_root.as_deref())?;
    let delivered = Box::pin(on_a_worker(flow, source, &job)).await?;
    let standing = Standing { snapshot, full_point: chosen.full_point().cloned() };
    flow.step("publish", || publish::point(work, request, source, (domain, &standing), delivered.epoch)).await?;
    Ok(with_remarks(delivered.completed, remarks))
}

/// A restore, from where the target, the login and the point are known.
pub(super) async fn restore(
    flow: &Flow,
    request: &RestoreRequest,
    target: &Source,
    login: &Login,
    (domain, root): (&DomainPlace, &str),
) -> Flowed<Completed> {
    let work = flow.work();
    let full_root = flow.step("read-full-point", || native::full_root(work, domain, &request.point)).await?;
    let remarks = flow.step("check-option-group", || native::ready(work, target, None)).await?;
    let bucket = request.bucket.as_ref();
    let temporary = flow.step("open-temporary-bucket", || temporary::open(work, bucket, None)).await?;
    let parts = Parts { instance: target, login, domain, temporary: &temporary };
    let roots: Vec<&str> = full_root.iter().map(String::as_str).chain([root]).collect();
    let job = native_job::restore(work, request, parts, &roots)?;
    let delivered = Box::pin(on_a_worker(flow, target, &job)).await?;
    Ok(with_remarks(delivered.completed, remarks))
}

fn with_remarks(mut completed: Completed, remarks: Vec<String>) -> Completed {
    completed.warnings.extend(remarks);
    completed
}
