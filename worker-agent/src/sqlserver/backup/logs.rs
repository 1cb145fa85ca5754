//! Backup of one database by the log backups since its full one: RDS has taken them, and copies them when asked.
//!
//! Which ones is decided for all databases before any task is asked for: RDS lets nobody say where they go while one is pending.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use haulier_cloud::object_store::{ObjectMeta, UserMetadata};
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::Broken;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::log_chain::{self, LogBackup};
use haulier_domain::sqlserver::manifest::{Database, File};
use haulier_domain::sqlserver::server::DatabaseFacts;
use haulier_domain::sqlserver::task::{Task, TaskId};

use super::database::Done;
use super::log_encryption::{self, RestoredWith};
use super::taken_over::{self, TakenOver};
use super::{Scope, choice};
use crate::mover::sinks::{ProgressEvent, Stopped};
use crate::sqlserver::context::Context;
use crate::sqlserver::fetch::{self, Fetched};
use crate::sqlserver::objects;
use crate::sqlserver::port::{TaskRequest, is_copy};
use crate::sqlserver::tasks::{self, Size};

/// Objects whose metadata is asked for at once: after a week there may be two thousand.
const LOOKED_AT: usize = 16;

/// How a database is backed up in a session of log backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// By these log backups, in their order; perhaps an earlier worker has asked for them.
    Copy(Vec<LogBackup>, Option<TaskId>),
    /// In full, for this reason.
    Full(Broken),
    /// In full, as an earlier worker has begun it.
    Begun,
}

/// Decides about one database.
pub(super) async fn plan(scope: &Scope<'_>, database: &DatabaseFacts, context: &Context) -> Result<Plan, Stopped> {
    let (job, name) = (scope.job, &database.name);
    let target = scope.target.own();
    let told = job.submitted.iter().filter(|task| task.database == *name && task.object_arn == target);
    let what = format!("looking for the log backups of database {name:?}");
    let known: Vec<Task> = context.read(&what, || context.server.tasks()).await?;
    let found = known.iter().filter(|task| is_copy(task, name, target)).map(|task| task.id);
    let earlier = told.map(|task| task.id).chain(found).max();
    let full = choice::earlier(scope, &job.place.folder(name, ""), context).await?;
    if full.is_some_and(|full| full.task > earlier) {
        return Ok(Plan::Begun);
    }
    let model = database.recovery_model.as_str();
    if !model.is_empty() && !model.eq_ignore_ascii_case("FULL") {
        return Ok(Plan::Full(Broken::RecoveryModel(model.to_owned())));
    }
    let history = context.read(&what, || context.server.history(name)).await?;
    let base = choice::base(scope, name);
    let under = match log_chain::base(base.and_then(|base| base.backup_set.as_ref()), &history) {
        Ok(under) => under,
        Err(broken) => return Ok(Plan::Full(broken)),
    };
    let listed = context.read(&what, || context.server.log_backups(name)).await?;
    let consistent_at = base.map(|base| base.consistent_at).unwrap_or_default();
    Ok(match log_chain::chain(under, consistent_at, &listed, None) {
        Ok(chain) => Plan::Copy(chain.into_iter().cloned().collect(), earlier),
        Err(gap) => Plan::Full(gap.into()),
    })
}

/// Backs up one database by these log backups. Gives the reason where that cannot be, and it has to be backed up in full.
pub(super) async fn back_up(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    (logs, earlier): (&[LogBackup], Option<TaskId>),
    context: &Context,
) -> Result<Result<Done, Broken>, Stopped> {
    let what = format!("backing up database {:?} (log)", database.name);
    let TakenOver { mut files, kms_key_arn: key_before } =
        taken_over::take_over(scope, &database.name, logs, context).await?;
    let copied = {
        let _task = context.turn(&scope.tasks).await?;
        copied(scope, database, (&logs[files.len()..], earlier), &what, context).await?
    };
    let _move = context.turn(&scope.moves).await?;
    let bytes = copied.iter().map(|(_, object)| object.size).sum::<u64>();
    let expected = scope.expected.fetch_add(bytes, Ordering::Relaxed) + bytes;
    context.progress.report(ProgressEvent::Expected(expected));
    context.progress.report(ProgressEvent::Current(database.name.clone()));
    let given = scope.job.log_kms_key_arn.as_deref();
    let with_metadata = stream::iter(copied).map(|(log, object)| async move {
        let metadata = match given {
            Some(_) => objects::metadata(context, &object.key).await?,
            None => UserMetadata::new(),
        };
        Ok::<_, Stopped>((log, object, metadata))
    });
    let with_metadata: Vec<_> = with_metadata.buffered(LOOKED_AT).try_collect().await?;
    // Before any bytes: files that nothing could ever be made of are not worth moving.
    let told = with_metadata.iter().map(|(_, object, metadata)| (object.key.as_str(), metadata));
    let mut restored_with = log_encryption::restored_with(&database.name, given, &told.collect::<Vec<_>>())?;
    match (files.is_empty(), with_metadata.is_empty()) {
        (false, true) => restored_with = RestoredWith { kms_key_arn: key_before, warning: None },
        (false, false) if restored_with.kms_key_arn != key_before => return Ok(Err(Broken::LogKey)),
        _ => {}
    }
    if let Some(text) = &restored_with.warning {
        context.warn(text);
    }
    for (log, object, metadata) in with_metadata {
        let shown = format!("{}/log/{}", database.name, log.sequence);
        let Fetched { stream, sha256 } = fetch::fetch(context, &object.key, object.size, &shown).await?;
        files.push(File { name: log.file_name(), stream, bytes: object.size, sha256, metadata, log: Some(log) });
    }
    let last = files.last().and_then(|file| file.log.as_ref());
    let database = Database {
        name: database.name.clone(),
        consistent_at: last.map_or_else(|| scope.server.to_utc(scope.server.now), |log| log.at),
        backup_type: BackupType::Log,
        files,
        server_bytes: database.bytes,
        recovery_model: database.recovery_model.clone(),
        collation: database.collation.clone(),
        encrypted: database.encrypted,
        kms_key_arn: restored_with.kms_key_arn,
        backup_set: None,
        stands_on: scope.full.as_ref().map(|full| full.point.clone()),
    };
    Ok(Ok(Done { database, warnings: restored_with.warning.into_iter().collect() }))
}

/// The log backups that lie in the temporary bucket, with their objects. What an earlier worker has asked for may have been
/// fewer: RDS takes another one every few minutes.
async fn copied(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    (logs, earlier): (&[LogBackup], Option<TaskId>),
    what: &str,
    context: &Context,
) -> Result<Vec<(LogBackup, ObjectMeta)>, Stopped> {
    let size = Size { files: 1, bytes: database.bytes };
    if let Some(id) = earlier {
        context.info(&format!("going on with what an earlier worker has asked for of database {:?}", database.name));
        let task = tasks::follow(context, what, id, size).await?;
        if tasks::was_stopped(&task, None) {
            context.info(&format!("task {id} of an earlier worker was cancelled: asking for another"));
        } else {
            tasks::judged(what, &task)?;
            let there = there(scope, logs, what, context).await?;
            let whole: Vec<_> = there.into_iter().map_while(Result::ok).collect();
            if !whole.is_empty() {
                return Ok(whole);
            }
        }
    }
    if logs.is_empty() {
        return Ok(Vec::new());
    }
    let number = |log: Option<&LogBackup>| log.map_or(0, |log| log.sequence);
    let request = TaskRequest::CopyLogs {
        database: database.name.clone(),
        target_arn: scope.target.own().to_owned(),
        first: number(logs.iter().min_by_key(|log| log.sequence)),
        last: number(logs.iter().max_by_key(|log| log.sequence)),
        kms_key_arn: scope.job.log_kms_key_arn.clone(),
    };
    let id = tasks::submit(context, what, &request, earlier).await?;
    let task = tasks::follow(context, what, id, size).await?;
    tasks::judged(what, &task)?;
    let whole: Result<Vec<_>, LogBackup> = there(scope, logs, what, context).await?.into_iter().collect();
    whole.map_err(|missing| {
        let cause = format!("RDS says that it is done, and {:?} is not there", missing.file_name());
        let remedy = "find out who removes objects from the temporary bucket, or has the instance copy log backups elsewhere meanwhile \
                      (rds_tlog_copy_setup), then run again";
        Failure::new("temporary-object-missing", what, cause, remedy).retryable().into()
    })
}

/// Each log backup with its object, or without one.
async fn there(
    scope: &Scope<'_>,
    logs: &[LogBackup],
    what: &str,
    context: &Context,
) -> Result<Vec<Result<(LogBackup, ObjectMeta), LogBackup>>, Stopped> {
    let objects = objects::list(context, &format!("{}/", scope.job.place.logs())).await?;
    tracing::debug!(what, objects = objects.len(), "log backups in the temporary bucket");
    let mut named: HashMap<_, _> =
        objects.into_iter().map(|object| (log_chain::name_of(&object.key), object)).collect();
    let mut find = |log: &LogBackup| named.remove(&log_chain::name_of(&log.file_name()));
    let each = |log: &LogBackup| find(log).map(|object| (log.clone(), object)).ok_or_else(|| log.clone());
    Ok(logs.iter().map(each).collect())
}
