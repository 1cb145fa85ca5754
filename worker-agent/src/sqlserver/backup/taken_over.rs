//! Log backups that the log point before has: they become the new point's as they are, and RDS is asked for none of them. Where it
//! encrypts its copies, each has a data key of its own, and would be stored anew in every session.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use haulier_domain::id::PointId;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_domain::sqlserver::manifest::{Database, File, Manifest};

use super::Scope;
use crate::mover::sinks::Stopped;
use crate::mover::streams;
use crate::sqlserver::context::Context;
use crate::sqlserver::manifests;

/// Log backups that are taken over at once: the lists of longer ones have pages, each some calls to S3.
const AT_ONCE: usize = 16;

/// Reads the manifest of the point before. Without it everything is copied again, so whatever keeps it away is no failure.
pub(super) async fn read(scope: &Scope<'_>, context: &Context) -> Result<Option<Manifest>, Stopped> {
    let full = scope.job.full.as_ref().map(|full| &full.manifest);
    let Some(before) = scope.job.before.as_ref().filter(|before| Some(*before) != full) else { return Ok(None) };
    match manifests::read(context, before).await {
        Ok(manifest) => Ok(Some(manifest)),
        Err(Stopped::Cancelled) => Err(Stopped::Cancelled),
        Err(stopped) => {
            context.warn(&format!(
                "having all log backups copied again, since the point before cannot be read: {stopped}"
            ));
            Ok(None)
        }
    }
}

/// What is taken over of one database.
#[derive(Debug, Default)]
pub(super) struct TakenOver {
    /// The log backups, from the first one on.
    pub(super) files: Vec<File>,
    /// ARN of the KMS key that their restore takes.
    pub(super) kms_key_arn: Option<String>,
}

/// Takes over those log backups, of these in their order, that the point before has: from the first one on, up to one that it
/// has not, or that cannot be had of it.
pub(super) async fn take_over(
    scope: &Scope<'_>,
    database: &str,
    logs: &[LogBackup],
    context: &Context,
) -> Result<TakenOver, Stopped> {
    let (Some(before), Some(full)) = (&scope.before, &scope.full) else { return Ok(TakenOver::default()) };
    let Some(before) = held(before, database, &full.point, scope.job.log_kms_key_arn.as_deref()) else {
        return Ok(TakenOver::default());
    };
    let held: BTreeMap<u64, &File> = before.logs().map(|(log, file)| (log.sequence, file)).collect();
    let same = |log: &LogBackup| held.get(&log.sequence).copied().filter(|file| file.log.as_ref() == Some(log));
    let held: Vec<File> = logs.iter().map_while(same).cloned().collect();
    let mut taken = pin!(stream::iter(held).map(|file| taken(file, context)).buffered(AT_ONCE));
    let mut files = Vec::new();
    while let Some(Some(file)) = taken.try_next().await? {
        files.push(file);
    }
    if let Some(last) = files.last().and_then(|file| file.log.as_ref()) {
        let last = last.sequence;
        context.info(&format!("the point before has the log backups of database {database:?} up to number {last}"));
    }
    Ok(TakenOver { files, kms_key_arn: before.kms_key_arn.clone() })
}

/// The file as the new point has it, if it can be had.
async fn taken(file: File, context: &Context) -> Result<Option<File>, Stopped> {
    let taken = context.obey(context.streams.take_over(&file.stream)).await?;
    let stream = taken.map_err(|error| streams::failure(&error))?;
    Ok(stream.map(|stream| File { stream, ..file }))
}

/// The log backups of a database in a point, if they stand on that full point, and have that KMS key or none at all: with one that was
/// given, RDS need not have encrypted them.
fn held<'m>(point: &'m Manifest, database: &str, full: &PointId, given: Option<&str>) -> Option<&'m Database> {
    point.database(database).filter(|database| {
        database.backup_type == BackupType::Log
            && database.stands_on.as_ref() == Some(full)
            && database.kms_key_arn.as_deref().is_none_or(|key| Some(key) == given)
    })
}
