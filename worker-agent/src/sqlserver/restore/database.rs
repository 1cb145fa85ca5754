//! Restore of one database: step by step, by what RDS says of the tasks.

use std::sync::atomic::Ordering;

use haulier_domain::clash;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::keys::{self, BackupType};
use haulier_domain::sqlserver::restore::{self, Standing, Step};
use haulier_domain::sqlserver::server::{DatabaseFacts, State};
use haulier_domain::sqlserver::task::{Task, TaskId};

use super::plan::Wanted;
use super::{Scope, remains, swap};
use crate::mover::sinks::Stopped;
use crate::sqlserver::calls::Patience;
use crate::sqlserver::context::Context;
use crate::sqlserver::deliver;
use crate::sqlserver::job::RestoredDatabase;
use crate::sqlserver::port::TaskRequest;
use crate::sqlserver::tasks::{self, Size};

/// Restores one database, from wherever it stands.
pub(super) async fn restore(
    scope: &Scope<'_>,
    wanted: &Wanted<'_>,
    context: &Context,
) -> Result<RestoredDatabase, Stopped> {
    let what = format!("restoring database {:?} as {:?}", wanted.asked.database, wanted.name);
    let known = context.read(&what, || context.server.tasks()).await?;
    let mut given_up = abandoned(wanted, &known, &what, context).await?;
    if given_up.is_some() {
        begin_anew(scope, wanted, &what, context).await?;
    }
    // The task that this worker has asked for last.
    let mut asked = None;
    let mut is_filled = false;
    let mut turn = None;
    loop {
        let known = context.read(&what, || context.server.tasks()).await?;
        let (index, earlier) = match restore::standing(&wanted.requests, &known, given_up) {
            Standing::Done => break,
            Standing::Failed(_, task) => return Err(tasks::failure_of(&what, task).into()),
            Standing::Wait(index, task) => (index, Some(task.id)),
            Standing::Ask(index) => (index, None),
        };
        if earlier.is_none() && !is_filled {
            let _filling = context.turn(&scope.filling).await?;
            fill(wanted, index, context).await?;
            is_filled = true;
        }
        // Kept until the database is complete: what waits for more is of no use to anybody.
        if turn.is_none() {
            turn = Some(context.turn(&scope.restoring).await?);
        }
        scope.begun.store(true, Ordering::Relaxed);
        let id = match earlier {
            Some(id) => id,
            None => {
                let id = ask(scope, wanted, index, &known, given_up, &what, context).await?;
                asked = Some(id);
                id
            }
        };
        let task = tasks::follow(context, &what, id, size(wanted, index)).await?;
        if tasks::was_stopped(&task, asked) {
            (given_up, is_filled) = (Some(id), false);
            begin_anew(scope, wanted, &what, context).await?;
        } else {
            tasks::judged(&what, &task)?;
        }
    }
    online(wanted, &what, context).await?;
    if let Some(working) = &wanted.working {
        swap::take_place(working, &wanted.name, &what, context).await?;
    }
    Ok(RestoredDatabase {
        database: wanted.asked.database.clone(),
        target_name: wanted.asked.target_name.clone(),
        restored_as: wanted.name.clone(),
        bytes: wanted.bytes(),
    })
}

/// The last task of an attempt that an earlier worker has given up, as it was stopped.
async fn abandoned(
    wanted: &Wanted<'_>,
    known: &[Task],
    what: &str,
    context: &Context,
) -> Result<Option<TaskId>, Stopped> {
    if restore::begun_as(&wanted.requests, known).is_none() {
        return Ok(None);
    }
    let there = context.read(what, || context.server.databases()).await?;
    Ok(restore::given_up(&wanted.requests, known, restored(wanted, &there).is_some()))
}

/// What was half-restored goes, so that the first step finds its name free.
async fn begin_anew(scope: &Scope<'_>, wanted: &Wanted<'_>, what: &str, context: &Context) -> Result<(), Stopped> {
    let (database, name) = (&wanted.asked.database, wanted.restored_under());
    context.info(&format!("the restore of {database:?} as {name:?} was given up by an earlier worker: it begins anew"));
    let known = context.read(what, || context.server.tasks()).await?;
    remains::drop_remnant(scope.job, wanted.asked, &known, what, context).await
}

fn size(wanted: &Wanted<'_>, index: usize) -> Size {
    match wanted.steps.get(index) {
        Some(Step::Apply { backup, .. }) => {
            Size { files: u32::try_from(backup.files.len()).unwrap_or(u32::MAX), bytes: backup.server_bytes }
        }
        Some(Step::Log { file, .. }) => Size { files: 1, bytes: file.bytes },
        // What is left to be undone of a database's log.
        Some(Step::Finish) | None => Size { files: 1, bytes: 0 },
    }
}

/// Asks RDS for a step, whose files are where RDS reads them.
async fn ask(
    scope: &Scope<'_>,
    wanted: &Wanted<'_>,
    index: usize,
    known: &[Task],
    given_up: Option<TaskId>,
    what: &str,
    context: &Context,
) -> Result<TaskId, Stopped> {
    let arn = |index: usize| wanted.requests.get(index).and_then(|request| request.object_arn.clone());
    let database = wanted.restored_under().to_owned();
    let (request, after) = match wanted.steps.get(index) {
        Some(Step::Apply { backup, more_follows }) => {
            let object_arn = arn(index).unwrap_or_default();
            let (backup_type, more_follows) = (backup.backup_type, *more_follows);
            let request = TaskRequest::Restore {
                database,
                object_arn,
                kms_key_arn: backup.kms_key_arn.clone(),
                backup_type,
                more_follows,
                stop_at: None,
                options: scope.job.options.of_step(backup_type, more_follows),
            };
            (request, given_up)
        }
        Some(Step::Log { backup, stop_at, more_follows, .. }) => {
            let (backup_type, more_follows) = (BackupType::Log, *more_follows);
            let request = TaskRequest::Restore {
                database,
                object_arn: arn(index).unwrap_or_default(),
                kms_key_arn: backup.kms_key_arn.clone(),
                backup_type,
                more_follows,
                stop_at: *stop_at,
                options: scope.job.options.of_step(backup_type, more_follows),
            };
            (request, given_up)
        }
        Some(Step::Finish) | None => {
            let before = index.checked_sub(1).and_then(arn);
            let is_before = |task: &&Task| before.as_deref() == Some(task.object_arn.trim());
            let after = known.iter().filter(is_before).map(|task| task.id).max();
            (TaskRequest::Finish { database }, after)
        }
    };
    tasks::submit(context, what, &request, after).await
}

/// Puts the files of this step, and of those after it, into the temporary bucket.
async fn fill(wanted: &Wanted<'_>, from: usize, context: &Context) -> Result<(), Stopped> {
    for step in wanted.steps.iter().skip(from) {
        match step {
            Step::Apply { backup, .. } => {
                let set = wanted.files(backup);
                for (file, name) in backup.files.iter().zip(set.names()) {
                    let shown = format!("{}/{}/{name}", backup.name, backup.backup_type.as_str());
                    deliver::deliver(context, file, &set.key(&name), &shown).await?;
                }
            }
            Step::Log { log, file, .. } => {
                let shown = format!("{}/log/{}", wanted.asked.database, log.sequence);
                deliver::deliver(context, file, &keys::log_key(&wanted.folder, log.sequence), &shown).await?;
            }
            Step::Finish => {}
        }
    }
    Ok(())
}

/// What the tasks have restored: under the name that RDS restores it under, or the final one where an earlier worker has come
/// that far; the replaced database is aside then.
fn restored<'d>(wanted: &Wanted<'_>, there: &'d [DatabaseFacts]) -> Option<&'d DatabaseFacts> {
    let find = |name: &str| there.iter().find(|database| database.name == name);
    let is_swapped = || wanted.working.as_deref().is_some_and(|working| find(&clash::replaced_name(working)).is_some());
    find(wanted.restored_under()).or_else(|| find(&wanted.name).filter(|_| is_swapped()))
}

/// Waits until the database can be used.
async fn online(wanted: &Wanted<'_>, what: &str, context: &Context) -> Result<(), Stopped> {
    let mut patience = Patience::new(&context.pace);
    loop {
        let there = context.read(what, || context.server.databases()).await?;
        let found = restored(wanted, &there);
        if found.is_some_and(|database| database.state == State::Online) {
            return Ok(());
        }
        let Some(pause) = patience.pause() else {
            let state = found.map_or_else(|| "not there".to_owned(), |found| format!("{:?}", found.state));
            let cause = format!("RDS says that it has restored {:?}, which is {state}", wanted.restored_under());
            let stopped_early =
                matches!(wanted.steps.last(), Some(Step::Log { stop_at: Some(_), more_follows: false, .. }));
            if stopped_early && found.is_some_and(|database| database.state == State::Restoring) {
                let cause = format!("{cause}: its log has nothing as late as that moment");
                let remedy = "restore without --keep-cdc, to an earlier moment, or without --until";
                return Err(Failure::new("restore-moment-unavailable", what, cause, remedy).into());
            }
            let remedy = "look at the instance's events and error log, then run again";
            return Err(Failure::new("sqlserver-not-online", what, cause, remedy).retryable().into());
        };
        context.pause(pause).await?;
    }
}
