//! Restore of databases into one instance.
//!
//! The files go from the repository into the temporary bucket, and RDS restores from there. RDS restores no two databases at
//! once; while it restores one, the files of the next are on their way. A database that is being restored is in the state
//! RESTORING, in which nobody can use it, so it has its final name from the start. Only one that replaces another has a
//! working name until it is complete; what was there before is given up only then.
//!
//! A worker can be killed at any time, and the next one goes on: the tasks of RDS tell how far the restore has come, and
//! under which name. Whatever way it ends, tasks that run are cancelled and what is half-restored is dropped; where that
//! cannot be had, the failure names what may be left.

mod database;
mod plan;
mod remains;
mod swap;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use haulier_domain::clash;
use haulier_domain::clash::OnClash;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::keys::TemporaryPlace;
use haulier_domain::sqlserver::restore::PointManifest;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::context::Context;
use super::job::{DatabaseRestore, RestoreJob, RestoreOutcome, RestoredDatabase};
use super::{manifests, objects};
use crate::mover::side_by_side::{all_or_why, together};
use crate::mover::sinks::{ProgressEvent, Stopped};
use plan::Wanted;
pub(crate) use remains::unrestored;

/// How long is waited until a database is remembered: its files go then, or at the end.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Databases that are under way at once: RDS restores one, and the files of another go into the temporary bucket.
const AT_ONCE: usize = 2;

/// What all databases of one restore share.
struct Scope<'a> {
    job: &'a RestoreJob,
    place: &'a TemporaryPlace,
    /// Whether RDS was asked for anything.
    begun: &'a AtomicBool,
    /// The one whose files are on their way.
    filling: Semaphore,
    /// The one that RDS restores.
    restoring: Semaphore,
    /// What is complete.
    done: Mutex<Vec<RestoredDatabase>>,
}

impl Scope<'_> {
    fn done(&self) -> MutexGuard<'_, Vec<RestoredDatabase>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Restores the job's databases.
///
/// # Errors
/// Whatever kept a database from being complete. A half-restored one is dropped, or the failure says that it may be there.
pub async fn run(job: RestoreJob, context: &Context) -> Result<RestoreOutcome, Stopped> {
    let begun = AtomicBool::new(job.repeated);
    let scope = Scope {
        job: &job,
        place: &job.place,
        begun: &begun,
        filling: Semaphore::new(1),
        restoring: Semaphore::new(1),
        done: Mutex::new(job.restored.clone()),
    };
    // What fails first stops the rest, without touching the caller's token.
    let cancel = context.cancel.child_token();
    let restored = run_within(&scope, &context.obeying(cancel.clone())).await;
    cancel.cancel();
    let done = scope.done().clone();
    match restored {
        Ok(warnings) => outcome(&job, &done, warnings),
        Err(stopped) => {
            let stopped = if context.cancel.is_cancelled() { Stopped::Cancelled } else { stopped };
            Err(remains::clear_away(&job, &done, &begun, context, stopped).await)
        }
    }
}

async fn run_within(scope: &Scope<'_>, context: &Context) -> Result<Vec<String>, Stopped> {
    let job = scope.job;
    context.phase("preflight");
    let mut points = Vec::new();
    for point in &job.points {
        let manifest = manifests::read(context, &point.manifest).await?;
        points.push(PointManifest { point: point.point.clone(), manifest });
    }
    let planned = plan::plan(scope, &points, context).await?;
    for text in &planned.warnings {
        context.warn(text);
    }
    for part in &job.restored {
        let (database, name) = (&part.database, &part.restored_as);
        context.info(&format!("database {database:?} was restored as {name:?} by an earlier worker of this session"));
    }
    context.phase("data");
    context.progress.report(ProgressEvent::Expected(planned.open.iter().map(Wanted::bytes).sum()));
    let each = planned.open.iter().map(|wanted| together(&context.cancel, one(scope, wanted, context)).boxed());
    all_or_why(stream::iter(each.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await)?;
    let mut warnings = planned.warnings;
    warnings.extend(settle(job, context).await?);
    Ok(warnings)
}

/// Restores one database, tells of it, and removes its files when it is remembered.
async fn one(scope: &Scope<'_>, wanted: &Wanted<'_>, context: &Context) -> Result<(), Stopped> {
    let part = database::restore(scope, wanted, context).await?;
    context.parts.completed(&part);
    scope.done().push(part);
    if timeout(REMEMBERED, context.parts.remembered()).await.is_ok() {
        release(&wanted.folder, context).await;
    }
    Ok(())
}

/// Removes what a later worker would need until it is remembered that everything is complete: files, and databases that were
/// replaced. Gives what stays.
async fn settle(job: &RestoreJob, context: &Context) -> Result<Vec<String>, Stopped> {
    context.phase("finish");
    context.obey(context.parts.remembered()).await?;
    let mut stay = Vec::new();
    for asked in job.databases.iter().filter(|asked| asked.on_clash == OnClash::Replace) {
        let working = clash::working_name(&job.key, &asked.database, &asked.target_name);
        stay.extend(swap::drop_replaced(&working, &asked.target_name, context).await?);
    }
    for text in &stay {
        context.warn(text);
    }
    for asked in &job.databases {
        release(&job.place.folder(&asked.database, &asked.target_name), context).await;
    }
    Ok(stay)
}

/// Removes a database's files from the temporary bucket. What cannot be removed goes with the session's end.
async fn release(folder: &str, context: &Context) {
    if let Err(stopped) = objects::remove(context, folder).await {
        tracing::warn!(%stopped, folder, "files of a restored database stay in the temporary bucket for now");
    }
}

fn outcome(job: &RestoreJob, done: &[RestoredDatabase], warnings: Vec<String>) -> Result<RestoreOutcome, Stopped> {
    let of = |wanted: &DatabaseRestore| done.iter().find(|part| wanted.is_done_by(part)).cloned();
    let databases: Vec<_> = job.databases.iter().filter_map(of).collect();
    if databases.len() < job.databases.len() {
        let remedy = "report this with the session's log";
        let cause = "a database of the restore has come to no end";
        return Err(Failure::new("mover-defect", format!("restore to {}", job.instance), cause, remedy).into());
    }
    let bytes = databases.iter().map(|part| part.bytes).sum();
    Ok(RestoreOutcome { databases, warnings, bytes })
}
