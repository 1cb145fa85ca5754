//! The procedures of "Access to transaction log backups", and the restore of a log.

use std::sync::Arc;

use super::super::agent;
use super::super::backup::Kind;
use super::super::catalogue::Catalogue;
use super::super::error::SqlError;
use super::super::instance::{Instance, now};
use super::super::location::Location;
use super::super::log_target::LogTarget;
use super::super::state::{SYSTEM, check_online};
use super::super::tasks::{Order, Work};
use super::arguments::Arguments;
use super::log_range::Range;
use super::log_refusals::Refused;
use super::{Outcome, order, submit, written};

/// `rds_tlog_copy_setup`: where all log backups of the instance go that are copied from now on.
pub(super) fn set_up(
    instance: &Arc<Instance>,
    catalogue: &Catalogue<'_>,
    arguments: &Arguments,
) -> Result<Outcome, SqlError> {
    let surroundings = &instance.surroundings;
    if catalogue.transactions > 0 {
        // AWS's text has the name so.
        return Err(Refused::InTransaction("rds_tlog_backup_copy_setup").into());
    }
    let arn = arguments.required("target_s3_arn");
    let target = LogTarget::parse(&arn).map_err(|error| SqlError::raised(error.to_string()))?;
    if !surroundings.is_backup_enabled(&instance.id) {
        return Err(Refused::NotEnabled.into());
    }
    if surroundings.retention_days(&instance.id) == 0 {
        return Err(Refused::NoBackupsToSetUp.into());
    }
    if instance.tasks(|tasks| tasks.any_pending()) {
        return Err(Refused::Pending.into());
    }
    if instance.read(|state| state.log_target.as_ref() == Some(&arn)) {
        return Err(Refused::SetAlready.into());
    }
    if surroundings.bucket(&target.bucket).is_none_or(|bucket| bucket.region != surroundings.region()) {
        return Err(Refused::NoCredentials.into());
    }
    written(instance.change(|state| {
        state.log_target = Some(arn);
        Ok(())
    }))?;
    let messages = vec!["Access to transaction log backups was set up successfully.".to_owned()];
    Ok(Outcome { tables: Vec::new(), messages })
}

/// `rds_tlog_backup_copy_to_S3`: a task that copies those that are there now.
pub(super) fn copy(
    instance: &Arc<Instance>,
    catalogue: &Catalogue<'_>,
    arguments: &Arguments,
) -> Result<Outcome, SqlError> {
    let surroundings = &instance.surroundings;
    if catalogue.transactions > 0 {
        return Err(Refused::InTransaction("rds_tlog_backup_copy_to_S3").into());
    }
    let database = source(instance, arguments)?;
    if !surroundings.is_backup_enabled(&instance.id) {
        return Err(Refused::NotEnabled.into());
    }
    if surroundings.retention_days(&instance.id) == 0 {
        return Err(Refused::NoBackups.into());
    }
    let arn = instance.read(|state| state.log_target.clone()).ok_or(Refused::NotSetUp)?;
    let range = Range::of(arguments)?;
    let key = arguments.text("kms_key_arn").filter(|key| !key.is_empty());
    match (surroundings.is_encrypted(&instance.id), &key) {
        (true, None) => return Err(Refused::KeyMissing.into()),
        (false, Some(_)) => return Err(Refused::KeyNotWanted.into()),
        _ => {}
    }
    let logs: Vec<u32> = instance.read(|state| {
        let available = state.get(&database).into_iter().flat_map(|database| database.log.available(now()));
        available.filter(|(backup, _)| range.covers(backup)).map(|(backup, _)| backup.sequence).collect()
    });
    if logs.is_empty() {
        return Err(Refused::NothingThere.into());
    }
    submit(instance, Order { arn, key, logs, ..order(Work::CopyLogs, database) })
}

/// Name of the database whose log backups are to be copied.
fn source(instance: &Instance, arguments: &Arguments) -> Result<String, SqlError> {
    let name = arguments.required("db_name");
    if name.trim().is_empty() {
        return Err(Refused::NoName.into());
    }
    if SYSTEM.iter().any(|(system, _)| system.eq_ignore_ascii_case(&name)) {
        return Err(Refused::System.into());
    }
    instance.read(|state| {
        let database = state.get(&name).ok_or_else(|| Refused::NoDatabase(name.clone()))?;
        check_online(database)?;
        Ok(database.name.clone())
    })
}

/// `rds_restore_log`. Nothing is recovered unless that is asked for.
pub(super) fn restore(
    instance: &Arc<Instance>,
    catalogue: &Catalogue<'_>,
    arguments: &Arguments,
) -> Result<Outcome, SqlError> {
    if catalogue.transactions > 0 {
        return Err(SqlError::new(3021, 16, "Cannot perform a backup or restore operation within a transaction."));
    }
    if !instance.surroundings.is_backup_enabled(&instance.id) {
        return Err(SqlError::raised(agent::NOT_ENABLED));
    }
    let norecovery = arguments.flag("with_norecovery", true)?;
    let arn = arguments.required("s3_arn_to_restore_from");
    let location = Location::parse(&arn).map_err(|error| SqlError::raised(error.to_string()))?;
    location.prefix().map_err(|error| SqlError::raised(error.to_string()))?;
    let stop = arguments.moment("stopat")?;
    let key = arguments.text("kms_master_key_arn").filter(|key| !key.is_empty());
    let work = Work::Restore { kind: Kind::Log, norecovery };
    submit(instance, Order { arn, key, stop, ..order(work, arguments.required("restore_db_name")) })
}
