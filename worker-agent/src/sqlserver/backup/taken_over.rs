//! Log backups that the log point before has: they become the new point's as they are, and RDS is asked for none of them. Where it
//! encrypts its copies, each has a data key of its own, and would be stored anew in every session.

use std::collections::BTreeMap;

use haulier_domain::id::PointId;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_domain::sqlserver::manifest::{Database, File, Manifest};

use super::Scope;
use crate::mover::sinks::Stopped;
use crate::mover::streams;
use crate::sqlserver::context::Context;
use crate::sqlserver::manifests;

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

/// Takes over those log backups, of these in their order, that the point before has: from the first one on, up to one that it
/// has not, or that cannot be had of it.
pub(super) async fn take_over(
    scope: &Scope<'_>,
    database: &str,
    logs: &[LogBackup],
    context: &Context,
) -> Result<Vec<File>, Stopped> {
    let (Some(before), Some(full)) = (&scope.before, &scope.full) else { return Ok(Vec::new()) };
    let held = held(before, database, &full.point, scope.job.log_kms_key_arn.as_deref());
    let mut files = Vec::new();
    for log in logs {
        let Some(file) = held.get(&log.sequence).filter(|file| file.log.as_ref() == Some(log)) else { break };
        let taken = context.obey(context.streams.take_over(&file.stream)).await?;
        let Some(stream) = taken.map_err(|error| streams::failure(&error))? else { break };
        files.push(File { stream, ..(*file).clone() });
    }
    if let Some(last) = files.last().and_then(|file| file.log.as_ref()) {
        let last = last.sequence;
        context.info(&format!("the point before has the log backups of database {database:?} up to number {last}"));
    }
    Ok(files)
}

/// The log backups of a database in a point, by RDS's number, if they stand on that full point and their restore takes that KMS key.
fn held<'m>(point: &'m Manifest, database: &str, full: &PointId, key: Option<&str>) -> BTreeMap<u64, &'m File> {
    let fits = |found: &&Database| {
        found.backup_type == BackupType::Log
            && found.stands_on.as_ref() == Some(full)
            && found.kms_key_arn.as_deref() == key
    };
    let database = point.database(database).filter(fits);
    database.into_iter().flat_map(|database| database.logs()).map(|(log, file)| (log.sequence, file)).collect()
}
