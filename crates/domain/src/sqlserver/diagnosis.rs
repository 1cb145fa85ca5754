//! What a text of RDS or of SQL Server means to an operator, whether it came as the refusal of a call or in a task's
//! `task_info`. The texts are those that AWS documents, and some that were seen in public logs.
//!
//! A failed task writes several lines: one that says nothing (`Aborted the task because of a task failure or …`), before or
//! after the real one, and what follows from it (`BACKUP DATABASE is terminating abnormally.`). So the cause is the text
//! that stands first in the table here, not the one that stands first in the log; and a text that nobody knows is shown
//! whole.

use std::time::Duration;

use super::task_info;
use crate::failure::Failure;

/// What kind of remedy there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may pass by itself.
    RetryLater,
    /// Somebody has to change something outside of the database: a role, a policy, an option.
    FixConfiguration,
    /// The same request will never succeed.
    Permanent,
}

/// What is wrong, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable code.
    pub code: &'static str,
    /// What kind of remedy there is.
    pub class: Class,
    /// The remedy, a clause.
    pub remedy: &'static str,
    /// For how long it is worth trying again within the same session where a call was refused.
    pub patience: Duration,
}

/// Code of a task that has failed for a reason that nobody knows.
pub const UNKNOWN: &str = "sqlserver-task-failed";

struct Known {
    /// Parts of the text, in this order; any case.
    parts: &'static [&'static str],
    diagnosis: Diagnosis,
}

const fn known(parts: &'static [&'static str], code: &'static str, class: Class, remedy: &'static str) -> Known {
    Known { parts, diagnosis: Diagnosis { code, class, remedy, patience: Duration::ZERO } }
}

const fn passing(parts: &'static [&'static str], code: &'static str, minutes: u64, remedy: &'static str) -> Known {
    let patience = Duration::from_secs(minutes * 60);
    Known { parts, diagnosis: Diagnosis { code, class: Class::RetryLater, remedy, patience } }
}

/// What it takes for RDS to copy log backups into a bucket.
const LOG_BUCKET: &str = "allow backups.rds.amazonaws.com to put objects into the temporary bucket, which must lie in the \
                          instance's account and Region and not be encrypted with a KMS key: see docs/permissions.md";

/// The first that fits decides.
const KNOWN: &[Known] = &[
    // The option takes a few minutes to come into force; after that it is not there.
    passing(
        &["Database backup/restore option is not enabled yet or is in the process of being enabled"],
        "sqlserver-option-missing",
        5,
        "give the instance an option group with SQLSERVER_BACKUP_RESTORE and a role, and wait until it is in sync",
    ),
    passing(
        &["SQLSERVER_BACKUP_RESTORE", "option isn't enabled or is in the process of being enabled"],
        "sqlserver-option-missing",
        5,
        "give the instance an option group with SQLSERVER_BACKUP_RESTORE and a role, and wait until it is in sync",
    ),
    known(
        &["EXECUTE permission was denied on the object 'rds_"],
        "db-privileges-missing",
        Class::FixConfiguration,
        "log in as the master user, or create the login in msdb and grant it EXECUTE on the procedure that the cause names",
    ),
    known(
        &["Access Denied"],
        "sqlserver-s3-denied",
        Class::FixConfiguration,
        "check that the option group's role may list the temporary bucket and read and write its objects, that the bucket's policy denies nothing by VPC or address, and that the role trusts both the instance and the option group",
    ),
    known(
        &["The specified bucket does not exist"],
        "sqlserver-bucket-missing",
        Class::FixConfiguration,
        "check the name of the temporary bucket",
    ),
    known(
        &["Please specify a bucket that is in the same region as RDS instance"],
        "sqlserver-bucket-region",
        Class::FixConfiguration,
        "use a temporary bucket in the instance's Region",
    ),
    known(
        &["S3 ARN prefix cannot be empty"],
        "sqlserver-arn-empty",
        Class::Permanent,
        "report this with the session's log",
    ),
    known(
        &["Please reissue task with correct type and overwrite property"],
        "sqlserver-object-exists",
        Class::Permanent,
        "remove what lies under the session's prefix in the temporary bucket and is not the session's, then run again; of a restore, check the point",
    ),
    known(
        &["Key arn:", " does not exist"],
        "sqlserver-key-missing",
        Class::FixConfiguration,
        "check that the KMS key exists in the instance's Region and is enabled",
    ),
    known(
        &["is not authorized to perform"],
        "sqlserver-key-denied",
        Class::FixConfiguration,
        "allow the option group's role what the cause names, in its policy and in that of the key",
    ),
    known(
        &["BACKUP DATABASE WITH COMPRESSION", "supported on"],
        "sqlserver-compression-unsupported",
        Class::FixConfiguration,
        "switch it off: rdsadmin.dbo.rds_set_configuration 'S3 backup compression', 'false'",
    ),
    known(
        &["unable to restore from more than 10 backup file"],
        "sqlserver-too-many-files",
        Class::Permanent,
        "remove what lies under the session's prefix in the temporary bucket and is not the session's, then run again",
    ),
    known(
        &["already exists. Two databases that differ only by case or accent are not allowed"],
        "restore-name-taken",
        Class::Permanent,
        "restore under another name, with a suffix, or replace the database",
    ),
    passing(
        &["there is an RDS automated backup in progress"],
        "sqlserver-backup-window",
        0,
        "run the session again outside of the instance's backup window",
    ),
    known(
        &["there is already an existing database with the same", "_guid"],
        "sqlserver-same-database",
        Class::Permanent,
        "restore into another instance: this one has the database under another name",
    ),
    known(
        &["can only be performed by the members of", "db_owner"],
        "db-privileges-missing",
        Class::FixConfiguration,
        "make the login a member of db_owner in the database: RDS copies its log backups for no others",
    ),
    known(
        &["Backups are disabled on"],
        "log-backups-unavailable",
        Class::FixConfiguration,
        "set the instance's backup retention to one day or more, or remove sqlserver.log_backups from the policy",
    ),
    known(
        &["backup retention period must be set to at least 1"],
        "log-backups-unavailable",
        Class::FixConfiguration,
        "set the instance's backup retention to one day or more, or remove sqlserver.log_backups from the policy",
    ),
    known(
        &["on an RDS read replica instance isn't permitted"],
        "log-backups-unavailable",
        Class::FixConfiguration,
        "name the primary instance in the policy, or remove sqlserver.log_backups",
    ),
    known(
        &["must provide a KMS Key ARN as input parameter"],
        "log-backups-unavailable",
        Class::FixConfiguration,
        "name a key of the instance's Region as sqlserver.log_kms_key of the policy, since its storage is encrypted; where it names one, \
         have workers boot an image that is as new as the coordinator",
    ),
    known(
        &["There was a permissions error in processing the request"],
        "sqlserver-log-bucket-denied",
        Class::FixConfiguration,
        LOG_BUCKET,
    ),
    known(
        &["unable to process the request due to a lack of access"],
        "sqlserver-log-bucket-denied",
        Class::FixConfiguration,
        LOG_BUCKET,
    ),
    known(
        &["Unable to generate credentials for enabling Access to Transaction Log Backups"],
        "sqlserver-log-bucket-denied",
        Class::FixConfiguration,
        "check that the temporary bucket is there and in the instance's account and Region, then run again",
    ),
    passing(
        &["fall outside of the transaction backup log retention period"],
        "sqlserver-log-gone",
        0,
        "run again: a full backup is taken where the log no longer reaches",
    ),
    passing(
        &["You cannot run the rds_tlog_copy_setup stored procedure while there are pending tasks"],
        "sqlserver-task-busy",
        60,
        "wait until the instance's other tasks have ended, or cancel them with rds_cancel_task",
    ),
    passing(
        &["An error occurred while running the rds_tlog_", "try again"],
        "sqlserver-procedure-failed",
        5,
        "run again; if it stays so, look at the instance's events, or ask AWS",
    ),
    passing(
        &["A T-log backup file copy task has already been issued for database"],
        "sqlserver-task-busy",
        60,
        "wait until the other task for the database has ended, or cancel it with rds_cancel_task",
    ),
    passing(
        &["A task has already been issued for database"],
        "sqlserver-task-busy",
        60,
        "wait until the other task for the database has ended, or cancel it with rds_cancel_task",
    ),
    known(
        &["The specified STOPAT time is too early"],
        "restore-moment-unavailable",
        Class::Permanent,
        "give a moment a few minutes earlier or later, or restore without --until",
    ),
    known(
        &["Cannot find server certificate"],
        "sqlserver-certificate-missing",
        Class::FixConfiguration,
        "restore the certificate of the encrypted database on the target first, with rds_restore_tde_certificate",
    ),
    known(
        &[
            "differential backup cannot be restored because the database has not been restored to the correct earlier state",
        ],
        "sqlserver-chain-broken",
        Class::Permanent,
        "restore the full point that it stands on, or another point; report this with the session's log",
    ),
    known(
        &["The log in this backup set begins at LSN", "too recent to apply to the database"],
        "sqlserver-chain-broken",
        Class::Permanent,
        "restore another point; report this with the session's log",
    ),
    known(
        &["The log in this backup set terminates at LSN", "too early to apply to the database"],
        "sqlserver-chain-broken",
        Class::Permanent,
        "restore another point; report this with the session's log",
    ),
    known(
        &["media family on device", "is incorrectly formed"],
        "sqlserver-backup-unreadable",
        Class::Permanent,
        "check the point; a backup of a later version of SQL Server, or one encrypted with a KMS key, cannot be read here",
    ),
    known(
        &["was backed up on a server running"],
        "restore-into-older-major",
        Class::Permanent,
        "restore into an instance of the same version of SQL Server or a newer one",
    ),
    known(
        &["There is insufficient free space on disk volume"],
        "db-disk-full",
        Class::FixConfiguration,
        "give the instance more storage, then run again",
    ),
    known(
        &["could not be exclusively locked"],
        "restore-target-in-use",
        Class::Permanent,
        "end the connections to the database, then run again",
    ),
    known(
        &["because the database is in use"],
        "restore-target-in-use",
        Class::Permanent,
        "end the connections to the database, then run again",
    ),
];

/// Lines that say nothing by themselves, with what they mean where nothing else is said.
const GENERIC: &[Known] = &[
    passing(
        &["Aborted the task because of a task failure or an overlap with your preferred backup window"],
        "sqlserver-backup-window",
        0,
        "run the session again outside of the instance's backup window",
    ),
    passing(
        &["Aborted the task because of a task failure or a concurrent RESTORE_DB request"],
        "sqlserver-task-busy",
        60,
        "run the session again when no other database is being restored on the instance",
    ),
];

/// Lines that follow from another.
const FOLLOWING: &[&[&str]] = &[
    &["Write on ", "failed: 995"],
    &["A nonrecoverable I/O error occurred on file", "995"],
    &["is terminating abnormally"],
    &["Aborting S3 upload, waiting for S3 workers to clean up and exit"],
    &["Aborting S3 download, waiting for S3 workers to clean up and exit"],
    &["S3 processing has been aborted"],
    &["Task has been aborted"],
];

/// Messages of SQL Server that say no more than that something was in the way for a moment: a deadlock, or a lock that was
/// waited for too long; a database that is being recovered, or goes to another machine; a server that stops, is paused,
/// starts, or upgrades itself.
const PASSING: [u32; 10] = [1205, 1222, 922, 952, 976, 983, 6005, 17142, 17187, 18401];

/// Whether a refusal with this number may pass by itself, within minutes: the instance restarts, or fails over.
pub fn passes(number: u32) -> bool {
    PASSING.contains(&number)
}

/// What a text means, if it is known.
pub fn of_text(text: &str) -> Option<Diagnosis> {
    let fits = |known: &&Known| has_parts(text, known.parts);
    let specific = KNOWN.iter().find(fits);
    specific.or_else(|| GENERIC.iter().find(fits).filter(|_| !says_more(text))).map(|known| known.diagnosis)
}

/// Whether there is anything in a text besides progress, generic lines and what follows from others. One line may say
/// several of these.
fn says_more(text: &str) -> bool {
    let is_known = |sentence: &str| {
        task_info::is_progress(sentence)
            || GENERIC.iter().any(|known| has_parts(sentence, known.parts))
            || FOLLOWING.iter().any(|parts| has_parts(sentence, parts))
    };
    let entries = task_info::entries(text);
    let mut sentences = entries.iter().flat_map(|entry| entry.text.lines()).flat_map(|line| line.split(". "));
    sentences.any(|sentence| !is_known(sentence))
}

/// Whether a text has these parts in their order.
fn has_parts(text: &str, parts: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    let mut rest = text.as_str();
    parts.iter().all(|part| match rest.split_once(&part.to_ascii_lowercase()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The failure that a text means. Where it is not known, `code` is its code, and the text is all there is.
pub fn failure(code: &'static str, what: impl Into<String>, text: &str) -> Failure {
    match of_text(text) {
        Some(known) => {
            let failure = Failure::new(known.code, what, text.trim(), known.remedy);
            if known.class == Class::RetryLater { failure.retryable() } else { failure }
        }
        None => {
            let text = if text.trim().is_empty() { "the server says nothing of the cause" } else { text.trim() };
            Failure::new(code, what, text, "read the cause; where it names no remedy, report it with the session's log")
        }
    }
}

#[cfg(test)]
mod tests;
