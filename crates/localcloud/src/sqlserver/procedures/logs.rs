//! The procedures of "Access to transaction log backups", and the restore of a log.

use std::sync::Arc;

use super::super::agent;
use super::super::backup::{Kind, Lsn};
use super::super::catalogue::Catalogue;
use super::super::error::SqlError;
use super::super::instance::{Instance, now};
use super::super::location::Location;
use super::super::log::LogBackup;
use super::super::log_target::LogTarget;
use super::super::state::{SYSTEM, check_online};
use super::super::tasks::{Order, Work};
use super::arguments::Arguments;
use super::{Outcome, order, submit, written};

/// `rds_tlog_copy_setup`: where all log backups of the instance go that are copied from now on.
pub(super) fn set_up(
    instance: &Arc<Instance>,
    catalogue: &Catalogue<'_>,
    arguments: &Arguments,
) -> Result<Outcome, SqlError> {
    let raised = |text: &str| Err(SqlError::raised(text));
    let surroundings = &instance.surroundings;
    if catalogue.transactions > 0 {
        return raised(
            "Running the rds_tlog_backup_copy_setup stored procedure inside a transaction is not supported. Verify that the session has no open transactions and try again.",
        );
    }
    let arn = arguments.required("target_s3_arn");
    let target = LogTarget::parse(&arn).map_err(|error| SqlError::raised(error.to_string()))?;
    if !surroundings.is_backup_enabled(&instance.id) {
        return raised(NOT_ENABLED);
    }
    if surroundings.retention_days(&instance.id) == 0 {
        return raised(
            "Backups are disabled on this DB instance. Enable DB instance backups with a retention of at least \"1\" and try again.",
        );
    }
    if instance.tasks(|tasks| tasks.any_pending()) {
        return raised(
            "You cannot run the rds_tlog_copy_setup stored procedure while there are pending tasks. Wait for the pending tasks to complete and try again.",
        );
    }
    if instance.read(|state| state.log_target.as_ref() == Some(&arn)) {
        return raised("The target S3 ARN is already set to the provided value.");
    }
    if surroundings.bucket(&target.bucket).is_none_or(|bucket| bucket.region != surroundings.region()) {
        return raised(
            "Unable to generate credentials for enabling Access to Transaction Log Backups. Confirm the S3 path ARN provided with rds_tlog_copy_setup, and try again later.",
        );
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
    let raised = |text: &str| Err(SqlError::raised(text));
    let surroundings = &instance.surroundings;
    if catalogue.transactions > 0 {
        return raised(
            "Running the rds_tlog_backup_copy_to_S3 stored procedure inside a transaction is not supported. Verify that the session has no open transactions and try again.",
        );
    }
    let name = arguments.required("db_name");
    if name.trim().is_empty() {
        return raised("Database name for the input parameter @db_name can't be empty or null.");
    }
    if SYSTEM.iter().any(|(system, _)| system.eq_ignore_ascii_case(&name)) {
        return raised(
            "Cannot run the rds_tlog_backup_copy_to_S3 stored procedure for SQL Server system databases or the rdsadmin database.",
        );
    }
    let found = instance.read(|state| state.get(&name).map(|found| (found.name.clone(), check_online(found))));
    let Some((database, online)) = found else {
        return raised(&format!("Cannot find the given database {name}."));
    };
    online?;
    if !surroundings.is_backup_enabled(&instance.id) {
        return raised(NOT_ENABLED);
    }
    if surroundings.retention_days(&instance.id) == 0 {
        return raised("Backups are disabled on your instance. Please enable backups and try again in some time.");
    }
    let Some(arn) = instance.read(|state| state.log_target.clone()) else { return raised(NOT_SET_UP) };
    let range = Range::of(arguments)?;
    let key = arguments.text("kms_key_arn").filter(|key| !key.is_empty());
    match (surroundings.is_encrypted(&instance.id), &key) {
        (true, None) => {
            return raised(
                "You must provide a KMS Key ARN as input parameter to the stored procedure for storage encrypted instances.",
            );
        }
        (false, Some(_)) => {
            return raised(
                "You cannot provide a KMS Key ARN as input parameter to the stored procedure for instances that are not storage-encrypted.",
            );
        }
        _ => {}
    }
    let logs: Vec<u32> = instance.read(|state| {
        let available = state.get(&name).into_iter().flat_map(|database| database.log.available(now()));
        available.filter(|(backup, _)| range.covers(backup)).map(|(backup, _)| backup.sequence).collect()
    });
    if logs.is_empty() {
        return raised(
            "The provided parameters fall outside of the transaction backup log retention period. To list of available transaction log backup files, run the rds_fn_list_tlog_backup_metadata function.",
        );
    }
    submit(instance, Order { arn, key, logs, ..order(Work::CopyLogs, database) })
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

/// Which log backups are meant: each of the three pairs has an open end where one of its parameters is not given.
enum Range {
    Time(Option<jiff::civil::DateTime>, Option<jiff::civil::DateTime>),
    Lsn(Option<i128>, Option<i128>),
    Sequence(Option<i128>, Option<i128>),
}

/// The three pairs, as RDS names them.
const SETS: &str = "SET-1:(@backup_file_start_time, @backup_file_end_time) | SET-2:(@starting_lsn, @ending_lsn) | SET-3:(@rds_backup_starting_seq_id, @rds_backup_ending_seq_id)";

impl Range {
    fn of(arguments: &Arguments) -> Result<Self, SqlError> {
        let times = (arguments.moment("backup_file_start_time")?, arguments.moment("backup_file_end_time")?);
        let lsns = (arguments.number("starting_lsn")?, arguments.number("ending_lsn")?);
        let sequences =
            (arguments.number("rds_backup_starting_seq_id")?, arguments.number("rds_backup_ending_seq_id")?);
        let given = [times.0.or(times.1).is_some(), lsns.0.or(lsns.1).is_some(), sequences.0.or(sequences.1).is_some()];
        let reversed = |first: Option<i128>, last: Option<i128>| matches!((first, last), (Some(a), Some(b)) if a > b);
        let text = match given {
            [false, false, false] => format!("At least one of these three parameter sets must be provided. {SETS}"),
            [true, false, false] => match times {
                (Some(start), Some(end)) if start > end => "The start time for the input parameter @backup_file_start_time must be less than @backup_file_end_time.".to_owned(),
                _ => return Ok(Self::Time(times.0, times.1)),
            },
            [false, true, false] if reversed(lsns.0, lsns.1) => {
                "The LSN for the input parameter @starting_lsn must be less than @ending_lsn.".to_owned()
            }
            [false, true, false] => return Ok(Self::Lsn(lsns.0, lsns.1)),
            [false, false, true] if reversed(sequences.0, sequences.1) => "The sequence ID for the input parameter @rds_backup_starting_seq_id must be less than or equal to @rds_backup_ending_seq_id.".to_owned(),
            [false, false, true] => return Ok(Self::Sequence(sequences.0, sequences.1)),
            _ => format!("Only one of these three parameter sets can be provided. {SETS}"),
        };
        Err(SqlError::raised(text))
    }

    fn covers(&self, backup: &LogBackup) -> bool {
        let within = |first: i128, last: i128, (start, end): (Option<i128>, Option<i128>)| {
            start.is_none_or(|start| start <= first) && end.is_none_or(|end| last <= end)
        };
        let number = Lsn::number;
        match self {
            Self::Time(start, end) => {
                let time = backup.time();
                start.is_none_or(|start| start <= time) && end.is_none_or(|end| time <= end)
            }
            Self::Lsn(start, end) => within(number(backup.set.first), number(backup.set.last), (*start, *end)),
            Self::Sequence(start, end) => within(backup.sequence.into(), backup.sequence.into(), (*start, *end)),
        }
    }
}

const NOT_ENABLED: &str = "The SQLSERVER_BACKUP_RESTORE option isn't enabled or is in the process of being enabled. Enable the option or try again later.";
const NOT_SET_UP: &str = "You must run the rds_tlog_copy_setup stored procedure and set the @target_s3_arn, before running the rds_tlog_backup_copy_to_S3 stored procedure.";
