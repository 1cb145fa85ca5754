//! Why the procedures of "Access to transaction log backups" refuse something at once, in the words of that page.

use super::super::error::SqlError;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "Running the {0} stored procedure inside a transaction is not supported. Verify that the session has no open transactions and try again."
    )]
    InTransaction(&'static str),
    #[error(
        "The SQLSERVER_BACKUP_RESTORE option isn't enabled or is in the process of being enabled. Enable the option or try again later."
    )]
    NotEnabled,
    #[error(
        "Backups are disabled on this DB instance. Enable DB instance backups with a retention of at least \"1\" and try again."
    )]
    NoBackupsToSetUp,
    #[error("Backups are disabled on your instance. Please enable backups and try again in some time.")]
    NoBackups,
    #[error(
        "You cannot run the rds_tlog_copy_setup stored procedure while there are pending tasks. Wait for the pending tasks to complete and try again."
    )]
    Pending,
    #[error("The target S3 ARN is already set to the provided value.")]
    SetAlready,
    #[error(
        "Unable to generate credentials for enabling Access to Transaction Log Backups. Confirm the S3 path ARN provided with rds_tlog_copy_setup, and try again later."
    )]
    NoCredentials,
    #[error("Database name for the input parameter @db_name can't be empty or null.")]
    NoName,
    #[error(
        "Cannot run the rds_tlog_backup_copy_to_S3 stored procedure for SQL Server system databases or the rdsadmin database."
    )]
    System,
    #[error("Cannot find the given database {0}.")]
    NoDatabase(String),
    #[error(
        "You must run the rds_tlog_copy_setup stored procedure and set the @target_s3_arn, before running the rds_tlog_backup_copy_to_S3 stored procedure."
    )]
    NotSetUp,
    #[error("At least one of these three parameter sets must be provided. {SETS}")]
    NoSet,
    #[error("Only one of these three parameter sets can be provided. {SETS}")]
    SeveralSets,
    #[error("The start time for the input parameter @backup_file_start_time must be less than @backup_file_end_time.")]
    Times,
    #[error("The LSN for the input parameter @starting_lsn must be less than @ending_lsn.")]
    Lsns,
    #[error(
        "The sequence ID for the input parameter @rds_backup_starting_seq_id must be less than or equal to @rds_backup_ending_seq_id."
    )]
    Sequences,
    #[error(
        "You must provide a KMS Key ARN as input parameter to the stored procedure for storage encrypted instances."
    )]
    KeyMissing,
    #[error(
        "You cannot provide a KMS Key ARN as input parameter to the stored procedure for instances that are not storage-encrypted."
    )]
    KeyNotWanted,
    #[error(
        "The provided parameters fall outside of the transaction backup log retention period. To list of available transaction log backup files, run the rds_fn_list_tlog_backup_metadata function."
    )]
    NothingThere,
}

/// The three pairs of parameters.
const SETS: &str = "SET-1:(@backup_file_start_time, @backup_file_end_time) | SET-2:(@starting_lsn, @ending_lsn) | SET-3:(@rds_backup_starting_seq_id, @rds_backup_ending_seq_id)";

impl From<Refused> for SqlError {
    fn from(refused: Refused) -> Self {
        Self::raised(refused.to_string())
    }
}
