//! The statements. Names of databases are parameters, but for the few statements that take none.

/// What the server is. `now` and `utc_now` are of one moment.
pub(super) const SERVER: &str = "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS product_version,
    CAST(SERVERPROPERTY('Edition') AS nvarchar(128)) AS edition,
    CAST(SERVERPROPERTY('Collation') AS nvarchar(128)) AS collation,
    SYSDATETIME() AS now, SYSUTCDATETIME() AS utc_now, SUSER_SNAME() AS login";

/// The setting of RDS that compresses native backups.
pub(super) const COMPRESSION: &str = "S3 backup compression";

/// The setting of RDS that says where log backups are copied to.
pub(super) const LOG_TARGET: &str = "target_s3_arn_for_tlog_copy";

/// Sets it.
pub(super) const SET_LOG_TARGET: &str = "EXEC msdb.dbo.rds_tlog_copy_setup @target_s3_arn = @P1";

/// Log backups of a database.
pub(super) const LOG_BACKUPS: &str = "SELECT * FROM msdb.dbo.rds_fn_list_tlog_backup_metadata(@P1)";

/// Settings of RDS.
pub(super) const CONFIGURATION: &str = "EXEC rdsadmin.dbo.rds_show_configuration";

/// Databases.
pub(super) const DATABASES: &str = "SELECT name, database_id, state_desc, recovery_model_desc, is_encrypted,
    source_database_id, collation_name FROM sys.databases";

/// Files of all databases.
pub(super) const FILES: &str = "SELECT database_id, type, size, file_guid FROM sys.master_files";

/// Full and differential backups of a database.
pub(super) const HISTORY: &str = "SELECT type, backup_set_uuid, is_snapshot, is_copy_only, first_lsn, last_lsn,
    checkpoint_lsn, differential_base_lsn, differential_base_guid, backup_finish_date
    FROM msdb.dbo.backupset WHERE database_name = @P1 AND type IN ('D', 'I')";

/// A task.
pub(super) const TASK: &str = "EXEC msdb.dbo.rds_task_status @task_id = @P1";

/// All tasks.
pub(super) const TASKS: &str = "SELECT * FROM msdb.dbo.rds_fn_task_status(NULL, 0)";

/// Asks a task to stop.
pub(super) const CANCEL: &str = "EXEC msdb.dbo.rds_cancel_task @task_id = @P1";

/// Drops a database.
pub(super) const DROP: &str = "EXEC msdb.dbo.rds_drop_database @db_name = @P1";

/// Renames a database. RDS documents no names for these parameters.
pub(super) const RENAME: &str = "EXEC rdsadmin.dbo.rds_modify_db_name @P1, @P2";

/// Ends all connections to a database but ours.
pub(super) fn single_user(name: &str) -> String {
    format!("ALTER DATABASE {} SET SINGLE_USER WITH ROLLBACK IMMEDIATE", identifier(name))
}

/// Lets others in again.
pub(super) fn multi_user(name: &str) -> String {
    format!("ALTER DATABASE {} SET MULTI_USER", identifier(name))
}

fn identifier(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_brackets() {
        assert_eq!(multi_user("a] SET x; --"), "ALTER DATABASE [a]] SET x; --] SET MULTI_USER");
    }
}
