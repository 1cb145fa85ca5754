//! Tasks of RDS: asked for once, told to the coordinator before anything else, followed by their number until they end.

use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::diagnosis::{self, Class, UNKNOWN};
use haulier_domain::sqlserver::keys::TemporaryPlace;
use haulier_domain::sqlserver::task::{Lifecycle, Submitted, Task, TaskId};
use haulier_domain::sqlserver::task_info;
use tokio::time::Instant;

use super::calls::Patience;
use super::context::Context;
use super::failures;
use super::port::{CallError, TaskRequest};
use crate::mover::sinks::{Moving, Stopped};

/// Looks for a task whose submission was not answered, before it is asked for again.
const LOOKS: u32 = 3;
/// Looks that may find nothing of a task that was there before.
const MOST_MISSED: u32 = 5;
/// RDS writes down each twentieth of a task, and is hardly slower than this many bytes a second.
const SLOWEST: u64 = 50_000_000;

/// Asks for a task, and tells its number. `after` is a task that it comes after: the one before it, where it has no ARN to be
/// found by, or one for the same that was given up.
///
/// Where the answer is lost, the task is looked for and only asked for again when it is not there. A refusal that may pass is
/// waited for, and may come of the very task: of a call that was given up, or that of a worker which is gone.
pub(super) async fn submit(
    context: &Context,
    what: &str,
    request: &TaskRequest,
    after: Option<TaskId>,
) -> Result<TaskId, Stopped> {
    let began = Instant::now();
    let mut patience = Patience::new(&context.pace);
    let mut waits = false;
    loop {
        let error = match context.settled(context.server.submit(request)).await? {
            Ok(id) => return Ok(told(context, request, id)),
            Err(error) => error,
        };
        let failure = failures::call(what, &error);
        match &error {
            CallError::Refused { text, .. } => {
                let known = diagnosis::of_text(text).filter(|known| known.class == Class::RetryLater);
                let Some(known) = known else { return Err(failure.into()) };
                if let Some(id) = find(context, what, request, after).await? {
                    return Ok(told(context, request, id));
                }
                if began.elapsed() + context.pace.busy > known.patience {
                    return Err(failure.into());
                }
                if !std::mem::replace(&mut waits, true) {
                    context.warn(&format!("waiting: {failure}"));
                }
                context.pause(context.pace.busy).await?;
                patience = Patience::new(&context.pace);
            }
            CallError::Lost(_) | CallError::Strange(_) => {
                context.warn(&format!("looking for the task, since its number was not told: {failure}"));
                if let Some(id) = look_for(context, what, request, after).await? {
                    return Ok(told(context, request, id));
                }
                // An answer that nobody understands would not be understood the next time either.
                let pause = patience.pause().filter(|_| matches!(error, CallError::Lost(_)));
                context.pause(pause.ok_or(failure)?).await?;
            }
            CallError::Unmade(_) => {
                let pause = patience.pause().filter(|_| failure.retryable);
                context.pause(pause.ok_or(failure)?).await?;
            }
        }
    }
}

fn told(context: &Context, request: &TaskRequest, id: TaskId) -> TaskId {
    let task = Submitted {
        kind: request.kind(),
        id,
        database: request.database().to_owned(),
        object_arn: request.object_arn().to_owned(),
    };
    context.tasks.submitted(&task);
    context.info(&format!("task {id} of RDS: {} of {:?}", task.kind.as_str(), task.database));
    id
}

async fn look_for(
    context: &Context,
    what: &str,
    request: &TaskRequest,
    after: Option<TaskId>,
) -> Result<Option<TaskId>, Stopped> {
    for look in 0..LOOKS {
        if look > 0 {
            context.pause(context.pace.poll).await?;
        }
        if let Some(id) = find(context, what, request, after).await? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The newest task that was submitted for the same.
async fn find(
    context: &Context,
    what: &str,
    request: &TaskRequest,
    after: Option<TaskId>,
) -> Result<Option<TaskId>, Stopped> {
    let is_it = |task: &&Task| request.is_asked_by(task);
    let tasks = context.read(what, || context.server.tasks()).await?;
    let newest = tasks.iter().filter(is_it).map(|task| task.id).max();
    Ok(newest.filter(|id| after.is_none_or(|after| *id > after)))
}

/// How large a task is, for those who watch it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Its files.
    pub(super) files: u32,
    /// Bytes of its database.
    pub(super) bytes: u64,
}

/// Follows a task until it has ended, in whatever way: see [`judged`].
pub(super) async fn follow(context: &Context, what: &str, id: TaskId, size: Size) -> Result<Task, Stopped> {
    let stall = context.pace.stall + Duration::from_secs(size.bytes / 20 / SLOWEST);
    let mut shown: Option<(String, Moving)> = None;
    let mut last: Option<Task> = None;
    let mut moved = Instant::now();
    let mut missed = 0;
    // A small task is over within seconds, long before RDS would refresh what it says of it.
    let mut pause = context.pace.retry.min(context.pace.poll);
    loop {
        match context.read(what, || context.server.task(id)).await? {
            Some(task) => {
                missed = 0;
                if task.lifecycle.has_ended() {
                    context.tasks.ended(&task);
                    tell(context, &task);
                    return Ok(task);
                }
                let label = label(&task, size.files);
                if shown.as_ref().is_none_or(|(known, _)| *known != label) {
                    shown = Some((label.clone(), context.moving(label)));
                }
                if last.as_ref() != Some(&task) {
                    moved = Instant::now();
                    last = Some(task);
                }
            }
            None => {
                missed += 1;
                pause = context.pace.poll;
            }
        }
        if missed > MOST_MISSED {
            let cause = format!("the instance knows nothing of its task {id} any more");
            let remedy = "run the session again; if it happens again, report it with the session's log";
            return Err(Failure::new("sqlserver-task-lost", what, cause, remedy).retryable().into());
        }
        if moved.elapsed() > stall {
            return Err(stalled(what, id, last.as_ref(), stall).into());
        }
        context.pause(pause).await?;
        pause = (pause * 2).min(context.pace.poll);
    }
}

fn tell(context: &Context, task: &Task) {
    let text = format!("task {} of RDS has ended with {:?}: {}", task.id, task.lifecycle, task.info);
    if task.lifecycle == Lifecycle::Success { context.info(&text) } else { context.warn(&text) }
}

/// A task that has ended: what it was to do is done, or it has failed.
pub(super) fn judged(what: &str, task: &Task) -> Result<(), Failure> {
    if task.lifecycle == Lifecycle::Success { Ok(()) } else { Err(failure_of(what, task)) }
}

/// The failure of a task that has ended without success.
pub(super) fn failure_of(what: &str, task: &Task) -> Failure {
    match task.lifecycle {
        Lifecycle::Cancelled => cancelled(what, task),
        _ => diagnosis::failure(UNKNOWN, what, &task.info),
    }
}

/// Whether a task that was asked for by an earlier worker, whose number is not `asked`, has been cancelled: that worker may
/// have done so itself, as it was stopped, so that it says nothing of what anybody wants.
pub(super) fn was_stopped(task: &Task, asked: Option<TaskId>) -> bool {
    task.lifecycle == Lifecycle::Cancelled && asked != Some(task.id)
}

fn cancelled(what: &str, task: &Task) -> Failure {
    let cause = format!("somebody has cancelled its task {} on the instance: {}", task.id, task.info);
    Failure::new("sqlserver-task-cancelled", what, cause, "find out who, then run again").retryable()
}

fn stalled(what: &str, id: TaskId, last: Option<&Task>, stall: Duration) -> Failure {
    let said = last.map(|task| format!(", and says: {:?}, {}", task.lifecycle, task.info)).unwrap_or_default();
    let cause = format!("its task {id} has not moved for {} minutes{said}", stall.as_secs() / 60);
    let remedy = "look at the instance's load and events, and whether other tasks stand before it, then run again";
    Failure::new("sqlserver-task-stalled", what, cause, remedy).retryable()
}

fn label(task: &Task, files: u32) -> String {
    let progress = task_info::progress(&task.info, files);
    let processed = progress.processed.max(task.percent);
    let mut label = format!("{}: task {} of RDS", task.database, task.id);
    match task.lifecycle {
        Lifecycle::Created => label.push_str(", waiting"),
        Lifecycle::CancelRequested => label.push_str(", stopping"),
        _ => {
            label.extend(processed.map(|percent| format!(", {percent} % processed")));
            label.extend(progress.transferred.map(|percent| format!(", {percent} % of S3")));
        }
    }
    label
}

/// Asks every task of the session that runs to stop, and waits for that, a little. Gives those that may go on.
pub(super) async fn cancel_open(context: &Context, place: &TemporaryPlace) -> Vec<String> {
    let own = place.arn(&format!("{}/", place.prefix));
    let is_open = |task: &Task| task.object_arn.starts_with(&own) && !task.lifecycle.has_ended();
    let named = |task: &Task| format!("task {} ({} of {:?})", task.id, task.kind.as_str(), task.database);
    let mut asked = std::collections::BTreeSet::new();
    let mut open = Vec::new();
    let what = "cancelling tasks of RDS";
    loop {
        let tasks = match context.read(what, || context.server.tasks()).await {
            Ok(tasks) => tasks,
            Err(stopped) => {
                tracing::warn!(%stopped, "tasks of RDS may go on");
                return open;
            }
        };
        for task in tasks.iter().filter(|task| task.lifecycle.has_ended() && asked.contains(&task.id)) {
            context.tasks.ended(task);
        }
        open = tasks.iter().filter(|task| is_open(task)).map(named).collect();
        if open.is_empty() {
            return open;
        }
        for task in tasks.iter().filter(|task| is_open(task)) {
            if asked.contains(&task.id) {
                continue;
            }
            context.warn(&format!("cancelling {}", named(task)));
            let Ok(answer) = context.settled(context.server.cancel(task.id)).await else { return open };
            if let Err(error) = &answer {
                tracing::warn!(%error, task = %task.id, "a task of RDS cannot be cancelled");
            }
            // What was not answered is asked for again.
            if matches!(answer, Ok(()) | Err(CallError::Refused { .. })) {
                asked.insert(task.id);
            }
        }
        if context.pause(context.pace.retry).await.is_err() {
            return open;
        }
    }
}
