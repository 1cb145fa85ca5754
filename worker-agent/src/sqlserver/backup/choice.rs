//! What is asked for of one database: what an earlier worker has asked for, or else a differential backup where it has its
//! base, or else a full one. Log backups are decided about in [`super::logs`].

use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::{self, BackupSet, Broken};
use haulier_domain::sqlserver::keys::{self, BackupType, FileSet};
use haulier_domain::sqlserver::manifest::Database;
use haulier_domain::sqlserver::server::DatabaseFacts;
use haulier_domain::sqlserver::task::{Task, TaskId};

use super::Scope;
use crate::mover::sinks::Stopped;
use crate::sqlserver::context::Context;

/// A backup that is to be asked for, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// Its files.
    pub(super) set: FileSet,
    /// Its task, where it was asked for.
    pub(super) task: Option<TaskId>,
}

/// What was asked for of this database already. Of several the newest counts.
pub(super) async fn earlier(scope: &Scope<'_>, folder: &str, context: &Context) -> Result<Option<Choice>, Stopped> {
    let job = scope.job;
    let choice =
        |arn: &str, id: TaskId| FileSet::of_arn(&job.place, folder, arn).map(|set| Choice { set, task: Some(id) });
    let told = job.submitted.iter().filter_map(|task| choice(&task.object_arn, task.id));
    let told = told.max_by_key(|choice| choice.task);
    // A worker may have been lost before it could tell of its task.
    let tasks: Vec<Task> = context.read("looking for tasks of the session", || context.server.tasks()).await?;
    let found = tasks.iter().filter_map(|task| choice(&task.object_arn, task.id)).max_by_key(|choice| choice.task);
    Ok(told.into_iter().chain(found).max_by_key(|choice| choice.task))
}

/// The full backup of the database that a differential one, or log backups, would stand on.
pub(super) fn base<'a>(scope: &'a Scope<'_>, name: &str) -> Option<&'a Database> {
    scope.full.as_ref()?.manifest.database(name).filter(|full| full.backup_type == BackupType::Full)
}

/// Full or differential, and why not the latter where it was to be one.
pub(super) async fn backup_type(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    context: &Context,
) -> Result<(BackupType, Option<Broken>), Stopped> {
    // Of a session of log backups it is known by now why this database has none.
    if scope.job.backup_type != BackupType::Differential {
        return Ok((BackupType::Full, None));
    }
    if database.lacks_file_guid {
        return Ok((BackupType::Full, Some(Broken::NoFileGuid)));
    }
    let what = format!("reading the history of database {:?}", database.name);
    let history: Vec<BackupSet> = context.read(&what, || context.server.history(&database.name)).await?;
    let base = base(scope, &database.name).and_then(|base| base.backup_set.as_ref());
    match chain::may_stand_on(base, &history) {
        Ok(()) => Ok((BackupType::Differential, None)),
        Err(broken) => Ok((BackupType::Full, Some(broken))),
    }
}

/// The files of a backup.
pub(super) fn files(
    scope: &Scope<'_>,
    database: &DatabaseFacts,
    folder: &str,
    backup_type: BackupType,
) -> Result<FileSet, Failure> {
    let files = keys::files_for(database.bytes, scope.job.files).map_err(|too_large| {
        let what = format!("backing up database {:?}", database.name);
        let remedy = "leave the database out, and protect it with snapshots";
        Failure::new("sqlserver-too-large", what, too_large.to_string(), remedy)
    })?;
    Ok(FileSet::new(folder, backup_type, files))
}
