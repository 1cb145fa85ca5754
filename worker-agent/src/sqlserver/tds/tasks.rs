//! Submissions of tasks. A parameter that is not given is not named either: what RDS makes of NULL in the place of its default
//! is not documented.

use std::fmt::Write as _;

use haulier_domain::sqlserver::keys::BackupType;
use tiberius::ToSql;

use crate::sqlserver::port::TaskRequest;

/// A call of a procedure with named arguments.
pub(super) struct Call {
    /// The statement.
    pub(super) sql: String,
    arguments: Vec<Box<dyn ToSql>>,
}

impl Call {
    fn of(procedure: &str) -> Self {
        Self { sql: format!("EXEC msdb.dbo.{procedure}"), arguments: Vec::new() }
    }

    fn with(mut self, name: &str, value: impl ToSql + 'static) -> Self {
        self.arguments.push(Box::new(value));
        let comma = if self.arguments.len() > 1 { "," } else { "" };
        let _ = write!(self.sql, "{comma} @{name} = @P{}", self.arguments.len());
        self
    }

    fn with_any(self, name: &str, value: Option<impl ToSql + 'static>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Its arguments, in the order of their numbers.
    pub(super) fn arguments(&self) -> Vec<&dyn ToSql> {
        self.arguments.iter().map(AsRef::as_ref).collect()
    }
}

/// The call that asks for a task.
pub(super) fn call(request: &TaskRequest) -> Call {
    match request {
        TaskRequest::Backup { database, object_arn, backup_type, files, kms_key_arn } => {
            Call::of("rds_backup_database")
                .with("source_db_name", database.clone())
                .with("s3_arn_to_backup_to", object_arn.clone())
                .with_any("type", backup_type.argument())
                .with("number_of_files", i32::try_from(*files).unwrap_or(i32::MAX))
                .with("overwrite_s3_backup_file", 0)
                .with_any("kms_master_key_arn", kms_key_arn.clone())
        }
        TaskRequest::CopyLogs { database, first, last, kms_key_arn, .. } => Call::of("rds_tlog_backup_copy_to_S3")
            .with("db_name", database.clone())
            .with("rds_backup_starting_seq_id", i32::try_from(*first).unwrap_or(i32::MAX))
            .with("rds_backup_ending_seq_id", i32::try_from(*last).unwrap_or(i32::MAX))
            .with_any("kms_key_arn", kms_key_arn.clone()),
        TaskRequest::Restore {
            database,
            object_arn,
            backup_type: BackupType::Log,
            more_follows,
            kms_key_arn,
            stop_at,
            options,
        } => {
            Call::of("rds_restore_log")
                .with("restore_db_name", database.clone())
                .with("s3_arn_to_restore_from", object_arn.clone())
                .with("with_norecovery", i32::from(*more_follows))
                .with_any("kms_master_key_arn", kms_key_arn.clone())
                // With a T it means the same in every language.
                .with_any("stopat", stop_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S").to_string()))
                .with_any("keep_cdc", options.keep_cdc.then_some(1))
        }
        TaskRequest::Restore { database, object_arn, backup_type, more_follows, kms_key_arn, options, .. } => {
            Call::of("rds_restore_database")
                .with("restore_db_name", database.clone())
                .with("s3_arn_to_restore_from", object_arn.clone())
                .with_any("type", backup_type.argument())
                .with("with_norecovery", i32::from(*more_follows))
                .with_any("kms_master_key_arn", kms_key_arn.clone())
                .with_any("keep_cdc", options.keep_cdc.then_some(1))
                .with_any("data_file_volume", options.data_file_volume.map(|volume| volume.as_str()))
                .with_any("log_file_volume", options.log_file_volume.map(|volume| volume.as_str()))
        }
        TaskRequest::Finish { database } => Call::of("rds_finish_restore").with("db_name", database.clone()),
    }
}

#[cfg(test)]
mod tests {
    use haulier_domain::sqlserver::options::{RestoreOptions, Volume};

    use super::*;

    #[test]
    fn what_is_not_given_is_not_named() {
        let restore = |kms_key_arn, options| TaskRequest::Restore {
            database: "shop".into(),
            object_arn: "arn".into(),
            backup_type: BackupType::Full,
            more_follows: false,
            kms_key_arn,
            stop_at: None,
            options,
        };
        let plain = call(&restore(None, RestoreOptions::default()));
        let begin = "EXEC msdb.dbo.rds_restore_database @restore_db_name = @P1, @s3_arn_to_restore_from = @P2, @type = @P3, \
                     @with_norecovery = @P4";
        assert_eq!((plain.sql.as_str(), plain.arguments().len()), (begin, 4));
        let options = RestoreOptions { keep_cdc: true, log_file_volume: Some(Volume::I), ..RestoreOptions::default() };
        let full = call(&restore(Some("key".into()), options));
        let more = ", @kms_master_key_arn = @P5, @keep_cdc = @P6, @log_file_volume = @P7";
        assert_eq!((full.sql, full.arguments.len()), (format!("{begin}{more}"), 7));
        let backup = |kms_key_arn| TaskRequest::Backup {
            database: "shop".into(),
            object_arn: "arn".into(),
            backup_type: BackupType::Full,
            files: 1,
            kms_key_arn,
        };
        assert!(call(&backup(Some("key".into()))).sql.ends_with(", @kms_master_key_arn = @P6"));
        assert!(!call(&backup(None)).sql.contains("kms"));
        let log = |kms_key_arn, stop_at| TaskRequest::Restore {
            database: "shop".into(),
            object_arn: "arn".into(),
            backup_type: BackupType::Log,
            more_follows: true,
            stop_at,
            kms_key_arn,
            options: RestoreOptions::default(),
        };
        let begin = "EXEC msdb.dbo.rds_restore_log @restore_db_name = @P1, @s3_arn_to_restore_from = @P2, \
                     @with_norecovery = @P3";
        let at = "2026-11-28T01:02:03".parse().ok();
        assert_eq!(call(&log(None, None)).sql, begin);
        assert_eq!(call(&log(None, at)).sql, format!("{begin}, @stopat = @P4"));
        let with_key = call(&log(Some("key".into()), at));
        let more = ", @kms_master_key_arn = @P4, @stopat = @P5";
        assert_eq!((with_key.sql, with_key.arguments.len()), (format!("{begin}{more}"), 5));
        let copy = |kms_key_arn| {
            let (database, target_arn) = ("shop".into(), "arn".into());
            TaskRequest::CopyLogs { database, target_arn, first: 5, last: 7, kms_key_arn }
        };
        let sql = "EXEC msdb.dbo.rds_tlog_backup_copy_to_S3 @db_name = @P1, @rds_backup_starting_seq_id = @P2, \
                   @rds_backup_ending_seq_id = @P3";
        assert_eq!(call(&copy(None)).sql, sql);
        let with_key = call(&copy(Some("key".into())));
        assert_eq!((with_key.sql, with_key.arguments.len()), (format!("{sql}, @kms_key_arn = @P4"), 4));
        let finish = call(&TaskRequest::Finish { database: "shop".into() });
        assert_eq!(finish.sql, "EXEC msdb.dbo.rds_finish_restore @db_name = @P1");
    }
}
