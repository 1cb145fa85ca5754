//! Restore of one database: step by step, by what RDS says of the tasks.

use std::sync::atomic::Ordering;

use haulier_domain::clash;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::manifest::Database;
use haulier_domain::sqlserver::restore::{self, Standing, Step};
use haulier_domain::sqlserver::server::{DatabaseFacts, State};
use haulier_domain::sqlserver::task::{Task, TaskId};

use super::plan::Wanted;
use super::{Scope, swap};
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
    loop {
        let known = context.read(&what, || context.server.tasks()).await?;
        let (index, id) = match restore::standing(&wanted.requests, &known) {
            Standing::Done => break,
            Standing::Failed(_, task) => return Err(tasks::failure_of(&what, task).into()),
            Standing::Wait(index, task) => {
                scope.begun.store(true, Ordering::Relaxed);
                (index, task.id)
            }
            Standing::Ask(index) => (index, ask(scope, wanted, index, &known, &what, context).await?),
        };
        tasks::follow(context, &what, id, size(wanted, index)).await?;
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

fn size(wanted: &Wanted<'_>, index: usize) -> Size {
    match wanted.steps.get(index) {
        Some(Step::Apply { backup, .. }) => {
            Size { files: u32::try_from(backup.files.len()).unwrap_or(u32::MAX), bytes: backup.server_bytes }
        }
        // What is left to be undone of a database's log.
        Some(Step::Finish) | None => Size { files: 1, bytes: 0 },
    }
}

/// Asks RDS for a step, once its files are where RDS reads them.
async fn ask(
    scope: &Scope<'_>,
    wanted: &Wanted<'_>,
    index: usize,
    known: &[Task],
    what: &str,
    context: &Context,
) -> Result<TaskId, Stopped> {
    let arn = |index: usize| wanted.requests.get(index).and_then(|request| request.object_arn.clone());
    let database = wanted.restored_under().to_owned();
    let (request, after) = match wanted.steps.get(index) {
        Some(Step::Apply { backup, more_follows }) => {
            fill(wanted, backup, context).await?;
            let object_arn = arn(index).unwrap_or_default();
            let (backup_type, more_follows) = (backup.backup_type, *more_follows);
            let request = TaskRequest::Restore {
                database,
                object_arn,
                backup_type,
                more_follows,
                options: scope.job.options.of_step(backup_type, more_follows),
            };
            (request, None)
        }
        Some(Step::Finish) | None => {
            let before = index.checked_sub(1).and_then(arn);
            let is_before = |task: &&Task| before.as_deref() == Some(task.object_arn.trim());
            let after = known.iter().filter(is_before).map(|task| task.id).max();
            (TaskRequest::Finish { database }, after)
        }
    };
    scope.begun.store(true, Ordering::Relaxed);
    tasks::submit(context, what, &request, after).await
}

/// Puts the files of a backup into the temporary bucket.
async fn fill(wanted: &Wanted<'_>, backup: &Database, context: &Context) -> Result<(), Stopped> {
    let set = wanted.files(backup);
    for (file, name) in backup.files.iter().zip(set.names()) {
        let shown = format!("{}/{}/{name}", backup.name, backup.backup_type.as_str());
        deliver::deliver(context, file, &set.key(&name), &shown).await?;
    }
    Ok(())
}

/// Waits until the database can be used, under its working name, or its final one where an earlier worker has come that
/// far.
async fn online(wanted: &Wanted<'_>, what: &str, context: &Context) -> Result<(), Stopped> {
    let mut patience = Patience::new(&context.pace);
    loop {
        let there = context.read(what, || context.server.databases()).await?;
        let find = |name: &str| there.iter().find(|database| database.name == name);
        // An earlier worker may have come so far that it has its final name: the replaced one is aside then.
        let is_swapped =
            wanted.working.as_deref().is_some_and(|working| find(&clash::replaced_name(working)).is_some());
        let found: Option<&DatabaseFacts> =
            find(wanted.restored_under()).or_else(|| find(&wanted.name).filter(|_| is_swapped));
        if found.is_some_and(|database| database.state == State::Online) {
            return Ok(());
        }
        let Some(pause) = patience.pause() else {
            let state = found.map_or_else(|| "not there".to_owned(), |found| format!("{:?}", found.state));
            let cause = format!("RDS says that it has restored {:?}, which is {state}", wanted.restored_under());
            let remedy = "look at the instance's events and error log, then run again";
            return Err(Failure::new("sqlserver-not-online", what, cause, remedy).retryable().into());
        };
        context.pause(pause).await?;
    }
}
