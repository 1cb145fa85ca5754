//! What a restore that ends early has on the target and in the temporary bucket, and how it goes away. It is seen from the
//! tasks of RDS, so that what an earlier worker has begun is found as well.

use std::sync::atomic::{AtomicBool, Ordering};

use haulier_domain::clash;
use haulier_domain::failure::Failure;
use haulier_domain::left_behind::Asked;
use haulier_domain::sqlserver::diagnosis;
use haulier_domain::sqlserver::left_behind::LeftBehind;
use haulier_domain::sqlserver::server::{DatabaseFacts, State};
use haulier_domain::sqlserver::task::{Lifecycle, Task, TaskType};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::mover::sinks::{Severity, Stopped};
use crate::sqlserver::calls::Patience;
use crate::sqlserver::context::Context;
use crate::sqlserver::job::{DatabaseRestore, RestoreJob, RestoredDatabase};
use crate::sqlserver::{objects, tasks};

/// What of these nobody has reported as restored.
pub(super) fn open<'a>(databases: &'a [DatabaseRestore], restored: &[RestoredDatabase]) -> Vec<&'a DatabaseRestore> {
    databases.iter().filter(|wanted| !restored.iter().any(|part| wanted.is_done_by(part))).collect()
}

/// The same, as it is named where something is left behind.
pub(crate) fn unrestored(databases: &[DatabaseRestore], restored: &[RestoredDatabase]) -> Vec<Asked> {
    open(databases, restored).into_iter().map(DatabaseRestore::asked).collect()
}

/// The restore ends early: cancels what RDS is at, drops what is half-restored, removes the files, even after a
/// cancellation. Where that fails, the end says so.
pub(super) async fn clear_away(
    job: &RestoreJob,
    done: &[RestoredDatabase],
    begun: &AtomicBool,
    context: &Context,
    stopped: Stopped,
) -> Stopped {
    let last = context.obeying(CancellationToken::new());
    if !begun.load(Ordering::Relaxed) {
        // Files that may stay go with the session's end.
        let _ = timeout(context.pace.tidying, objects::remove(&last, &format!("{}/", job.place.prefix))).await;
        return stopped;
    }
    let cleared = timeout(context.pace.tidying, clear(job, done, &last)).await;
    let cause = match cleared {
        Ok(Ok(())) => return stopped,
        Ok(Err(failure)) => failure.to_string(),
        Err(_) => "it was not done in time".to_owned(),
    };
    let databases = unrestored(&job.databases, done);
    let said = LeftBehind { key: &job.key, instance: &job.instance, databases: &databases };
    let failure = match stopped {
        Stopped::Failed(failure) => said.failure(format!("{failure}; and then: {cause}")),
        Stopped::Cancelled => said.failure(cause),
    };
    context.log.log(Severity::Error, &failure.to_string());
    failure.into()
}

async fn clear(job: &RestoreJob, done: &[RestoredDatabase], context: &Context) -> Result<(), Failure> {
    let running = tasks::cancel_open(context, &job.place).await;
    if !running.is_empty() {
        let what = format!("cancelling what RDS restores on {}", job.instance);
        let remedy = "cancel it with rds_cancel_task";
        return Err(Failure::new("sqlserver-task-runs", what, format!("{} may go on", running.join(", ")), remedy));
    }
    let what = format!("removing from {} what was half-restored", job.instance);
    let known = context.read(&what, || context.server.tasks()).await.map_err(failure)?;
    for asked in open(&job.databases, done) {
        drop_remnant(job, asked, &known, &what, context).await.map_err(failure)?;
    }
    objects::remove(context, &format!("{}/", job.place.prefix)).await.map_err(failure)
}

fn failure(stopped: Stopped) -> Failure {
    match stopped {
        Stopped::Failed(failure) => failure,
        Stopped::Cancelled => Failure::new("mover-defect", "tidying up", "it was cancelled", "report this"),
    }
}

/// Drops what was half-restored of one database; puts what it was to replace back in its place.
pub(super) async fn drop_remnant(
    job: &RestoreJob,
    asked: &DatabaseRestore,
    known: &[Task],
    what: &str,
    context: &Context,
) -> Result<(), Stopped> {
    let own = job.place.arn(&job.place.folder(&asked.database, &asked.target_name));
    let Some(task) = known.iter().filter(|task| task.object_arn.starts_with(&own)).max_by_key(|task| task.id) else {
        return Ok(());
    };
    let there = context.read(what, || context.server.databases()).await?;
    let find = |name: &str| there.iter().find(|database| database.name == name);
    let working = clash::working_name(&job.key, &asked.database, &asked.target_name);
    let replaces = task.database == working;
    if replaces {
        let (name, replaced) = (&asked.target_name, clash::replaced_name(&working));
        match (find(name), find(&replaced)) {
            (None, Some(_)) => context.once(what, context.server.rename_database(&replaced, name)).await?,
            (Some(_), Some(_)) => {
                let cause = format!("database {name:?} is restored, and {replaced:?} is what it has replaced");
                return Err(Failure::new("restore-stopped-late", what, cause, "drop the one that is not wanted").into());
            }
            (_, None) => {}
        }
    }
    let is_ours = |task: &Task| task.object_arn.starts_with(&own);
    let Some(database) = find(&task.database)
        .filter(|database| is_remnant(task, database, replaces) && !begun_by_another(task, known, is_ours))
    else {
        return Ok(());
    };
    let text = format!("removing the half-restored database {:?}", database.name);
    context.warn(&text);
    // RDS refuses that while the end of a restore is pending, which cannot be cancelled.
    let mut patience = Patience::new(&context.pace);
    loop {
        let stopped = match context.once(&text, context.server.drop_database(&database.name)).await {
            Ok(()) => return Ok(()),
            Err(stopped) => stopped,
        };
        tracing::warn!(%stopped, "trying again");
        let Some(pause) = patience.pause() else { return Err(stopped) };
        context.pause(pause).await?;
        let there = context.read(what, || context.server.databases()).await?;
        if !there.iter().any(|still| still.name == database.name) {
            return Ok(());
        }
    }
}

/// Whether a database is what a task of ours has left. One that is online under its final name is complete; one whose name
/// was taken before is somebody else's.
fn is_remnant(task: &Task, database: &DatabaseFacts, has_working_name: bool) -> bool {
    let was_taken = task.lifecycle == Lifecycle::Error
        && diagnosis::of_text(&task.info).is_some_and(|known| known.code == "restore-name-taken");
    has_working_name || (!was_taken && database.state != State::Online)
}

/// Whether somebody else's restore under the same name was asked for after ours: what is there is theirs then.
fn begun_by_another(ours: &Task, known: &[Task], is_ours: impl Fn(&Task) -> bool) -> bool {
    let restores = |kind: &TaskType| matches!(kind, TaskType::RestoreDb | TaskType::RestoreDbNorecovery);
    let later = |other: &&Task| other.id > ours.id && other.database == ours.database && restores(&other.kind);
    known.iter().filter(later).any(|other| !is_ours(other))
}

#[cfg(test)]
mod tests {
    use haulier_domain::sqlserver::task::TaskId;

    use super::*;

    #[test]
    fn only_what_is_ours_and_not_complete_is_a_remnant() {
        let task = |lifecycle, info: &str| Task {
            id: TaskId(1),
            kind: TaskType::RestoreDb,
            database: "shop".into(),
            percent: None,
            lifecycle,
            info: info.into(),
            last_updated: String::new(),
            object_arn: String::new(),
        };
        let database = |state| DatabaseFacts {
            name: "shop".into(),
            id: 7,
            state,
            recovery_model: String::new(),
            encrypted: false,
            is_snapshot: false,
            collation: String::new(),
            bytes: 0,
            has_filestream: false,
            lacks_file_guid: false,
        };
        let taken = "Database 'shop' already exists. Two databases that differ only by case or accent are not allowed.";
        for (task, state, working, expected) in [
            (task(Lifecycle::Cancelled, ""), State::Restoring, false, true),
            (task(Lifecycle::Error, "Access Denied"), State::Restoring, false, true),
            (task(Lifecycle::Error, taken), State::Restoring, false, false),
            (task(Lifecycle::Success, ""), State::Online, false, false),
            (task(Lifecycle::Success, ""), State::Online, true, true),
        ] {
            assert_eq!(is_remnant(&task, &database(state.clone()), working), expected, "{task:?} {state:?}");
        }
    }

    #[test]
    fn what_somebody_else_has_begun_since_is_theirs() {
        let task = |id, kind, database: &str, arn: &str| Task {
            id: TaskId(id),
            kind,
            database: database.into(),
            percent: None,
            lifecycle: Lifecycle::Error,
            info: String::new(),
            last_updated: String::new(),
            object_arn: arn.into(),
        };
        let ours = task(5, TaskType::RestoreDb, "shop", "ours/1");
        for (other, expected) in [
            (task(6, TaskType::RestoreDb, "shop", "theirs"), true),
            (task(6, TaskType::RestoreDbNorecovery, "shop", "theirs"), true),
            (task(4, TaskType::RestoreDb, "shop", "theirs"), false),
            (task(6, TaskType::RestoreDb, "crm", "theirs"), false),
            (task(6, TaskType::RestoreDb, "shop", "ours/2"), false),
            (task(6, TaskType::FinishRestore, "shop", ""), false),
            (task(6, TaskType::BackupDb, "shop", "theirs"), false),
        ] {
            let is_ours = |task: &Task| task.object_arn.starts_with("ours");
            assert_eq!(begun_by_another(&ours, &[ours.clone(), other.clone()], is_ours), expected, "{other:?}");
        }
    }
}
