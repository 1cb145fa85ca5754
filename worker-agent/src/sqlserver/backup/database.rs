//! Backup of one database.

use std::sync::atomic::Ordering;

use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::{self, BackupSet, Broken};
use haulier_domain::sqlserver::keys::{BackupType, FileSet};
use haulier_domain::sqlserver::manifest::{Database, File};
use haulier_domain::sqlserver::server::DatabaseFacts;
use haulier_domain::sqlserver::task::{Task, TaskId};

use super::Scope;
use super::choice::{self, Choice};
use super::logs::{self, Plan};
use crate::mover::sinks::{ProgressEvent, Stopped};
use crate::sqlserver::context::Context;
use crate::sqlserver::fetch::{self, Fetched};
use crate::sqlserver::objects;
use crate::sqlserver::port::TaskRequest;
use crate::sqlserver::tasks::{self, Size};

/// A database that is in the repository.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) database: Database,
    pub(super) warnings: Vec<String>,
}

/// Backs up one database.
pub(super) async fn back_up(scope: &Scope<'_>, database: &DatabaseFacts, context: &Context) -> Result<Done, Stopped> {
    let mut warnings = Vec::new();
    match scope.logs.get(&database.name) {
        Some(Plan::Copy(logs, earlier)) => match logs::back_up(scope, database, (logs, *earlier), context).await? {
            Ok(done) => return Ok(done),
            Err(why) => warnings.push(in_full(&database.name, &why)),
        },
        Some(Plan::Full(why)) => warnings.push(in_full(&database.name, why)),
        Some(Plan::Begun) => warnings
            .push(format!("database {:?} is backed up in full, as an earlier worker has begun it", database.name)),
        None => {}
    }
    let folder = scope.job.place.folder(&database.name, "");
    let (set, backup_set) = write(scope, database, &folder, &mut warnings, context).await?;
    for text in &warnings {
        context.warn(text);
    }
    let _move = context.turn(&scope.moves).await?;
    let files = move_files(scope, database, &set, context).await?;
    let consistent_at = match &backup_set {
        Some(backup_set) => scope.server.to_utc(backup_set.finished),
        None => scope.server.to_utc(scope.server.now),
    };
    let stands_on = (set.backup_type == BackupType::Differential).then_some(scope.full.as_ref()).flatten();
    let database = Database {
        name: database.name.clone(),
        consistent_at,
        backup_type: set.backup_type,
        files,
        server_bytes: database.bytes,
        recovery_model: database.recovery_model.clone(),
        collation: database.collation.clone(),
        encrypted: database.encrypted,
        kms_key_arn: scope.job.kms_key_arn.clone(),
        backup_set,
        stands_on: stands_on.map(|full| full.point.clone()),
    };
    Ok(Done { database, warnings })
}

/// Has RDS write a backup that is good for something: a differential one only where it stands on what it should. Gives its
/// files, and what the server remembers of it.
async fn write(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    folder: &str,
    warnings: &mut Vec<String>,
    context: &Context,
) -> Result<(FileSet, Option<BackupSet>), Stopped> {
    let name = &database.name;
    let _task = context.turn(&scope.tasks).await?;
    let mut choice = match choice::earlier(scope, folder, context).await? {
        Some(earlier) => {
            context.info(&format!("going on with what an earlier worker has asked for of database {name:?}"));
            earlier
        }
        None => {
            let (backup_type, broken) = choice::backup_type(scope, database, context).await?;
            warnings.extend(broken.map(|why| in_full(name, &why)));
            Choice { set: choice::files(scope, database, folder, backup_type)?, task: None }
        }
    };
    loop {
        let written = written_by_task(scope, database, &choice, context).await?;
        let base = choice::base(scope, name).and_then(|base| base.backup_set.as_ref());
        let stands = match (choice.set.backup_type, &written, base) {
            (BackupType::Full | BackupType::Log, ..) => Ok(()),
            (BackupType::Differential, Some(written), Some(base)) => chain::stands_on(written, base),
            (BackupType::Differential, None, _) => Err(Broken::Forgotten),
            (BackupType::Differential, _, None) => Err(Broken::NoBase),
        };
        let Err(broken) = stands else { return Ok((choice.set, written)) };
        warnings.push(in_full(name, &broken));
        choice = Choice { set: choice::files(scope, database, folder, BackupType::Full)?, task: None };
    }
}

fn in_full(name: &str, why: &Broken) -> String {
    format!("database {name:?} is backed up in full: {why}")
}

async fn written_by_task(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    choice: &Choice,
    context: &Context,
) -> Result<Option<BackupSet>, Stopped> {
    let set = &choice.set;
    let what = format!("backing up database {:?} ({})", database.name, set.backup_type.as_str());
    let size = Size { files: set.files, bytes: database.bytes };
    let task = match choice.task {
        Some(earlier) => tasks::follow(context, &what, earlier, size).await?,
        None => ask(scope, database, set, None, &what, context).await?,
    };
    let task = if choice.task.is_some() && tasks::was_stopped(&task, None) {
        context.info(&format!("task {} of an earlier worker was cancelled: asking for another", task.id));
        ask(scope, database, set, Some(task.id), &what, context).await?
    } else {
        task
    };
    tasks::judged(&what, &task)?;
    let history = context.read(&what, || context.server.history(&database.name)).await?;
    let known = context.read(&what, || context.server.tasks()).await?;
    Ok(chain::made_by(&history, &task, &known).cloned())
}

/// Asks RDS for the backup and follows it. `after` is a task for the same that was given up.
async fn ask(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    set: &FileSet,
    after: Option<TaskId>,
    what: &str,
    context: &Context,
) -> Result<Task, Stopped> {
    // Nothing is overwritten, so nothing may be there: a task that has failed may have left some of its files.
    objects::remove(context, &set.prefix()).await?;
    let request = TaskRequest::Backup {
        database: database.name.clone(),
        object_arn: scope.job.place.arn(&set.pattern()),
        backup_type: set.backup_type,
        files: set.files,
        kms_key_arn: scope.job.kms_key_arn.clone(),
    };
    let id = tasks::submit(context, what, &request, after).await?;
    tasks::follow(context, what, id, Size { files: set.files, bytes: database.bytes }).await
}

/// Moves the files into the repository, all of them.
async fn move_files(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    set: &FileSet,
    context: &Context,
) -> Result<Vec<File>, Stopped> {
    let what = format!("looking for the files of database {:?}", database.name);
    let there = objects::list(context, &set.prefix()).await?;
    let mut sizes = Vec::new();
    for name in set.names() {
        let key = set.key(&name);
        let object = there.iter().find(|object| object.key == key).ok_or_else(|| {
            let keys: Vec<_> = there.iter().map(|object| object.key.as_str()).collect();
            let cause = format!("RDS says that it is done, and {key:?} is not there; there is {keys:?}");
            let remedy = "find out who removes objects from the temporary bucket, then run again";
            Failure::new("temporary-object-missing", &what, cause, remedy).retryable()
        })?;
        sizes.push((name, key, object.size));
    }
    let bytes = sizes.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    let expected = scope.expected.fetch_add(bytes, Ordering::Relaxed) + bytes;
    context.progress.report(ProgressEvent::Expected(expected));
    context.progress.report(ProgressEvent::Current(database.name.clone()));
    let mut files = Vec::new();
    for (name, key, bytes) in sizes {
        let stream = format!("{}/{}/{name}", database.name, set.backup_type.as_str());
        // Before its bytes: a file that nothing could ever be made of is not worth moving.
        let metadata = objects::metadata(context, &key).await?;
        if let Some(arn) = scope.job.kms_key_arn.as_deref().filter(|_| metadata.is_empty()) {
            return Err(without_data_key(&stream, &key, arn).into());
        }
        let Fetched { stream, sha256 } = fetch::fetch(context, &key, bytes, &stream).await?;
        files.push(File { name, stream, bytes, sha256, metadata, log: None });
    }
    Ok(files)
}

/// RDS's client keeps the wrapped data key in the object's metadata, of which nothing is documented: where it is not there,
/// nobody knows where it is, and no restore would succeed.
fn without_data_key(file: &str, key: &str, arn: &str) -> Failure {
    let cause =
        format!("RDS was told to encrypt it with {arn}, and object {key:?} has no metadata: nobody could decrypt it");
    let remedy = "find out who writes to the session's prefix in the temporary bucket; if nobody does, remove \
                  sqlserver.kms_key from the policy and report this";
    Failure::new("sqlserver-data-key-missing", format!("storing {file}"), cause, remedy)
}
