use super::*;

fn code(text: &str) -> Option<(&'static str, Class)> {
    of_text(text).map(|known| (known.code, known.class))
}

#[test]
fn every_documented_text_has_its_meaning() {
    use Class::{FixConfiguration as Fix, Permanent, RetryLater};
    let cases = [
        (
            "Database backup/restore option is not enabled yet or is in the process of being enabled. Please try again later.",
            "sqlserver-option-missing",
            RetryLater,
        ),
        (
            "The EXECUTE permission was denied on the object 'rds_backup_database', database 'msdb', schema 'dbo'.",
            "db-privileges-missing",
            Fix,
        ),
        (
            "The EXECUTE permission was denied on the object 'rds_restore_database', database 'msdb', schema 'dbo'.",
            "db-privileges-missing",
            Fix,
        ),
        ("Access Denied", "sqlserver-s3-denied", Fix),
        ("The specified bucket does not exist", "sqlserver-bucket-missing", Fix),
        ("Please specify a bucket that is in the same region as RDS instance", "sqlserver-bucket-region", Fix),
        ("S3 ARN prefix cannot be empty", "sqlserver-arn-empty", Permanent),
        ("Please reissue task with correct type and overwrite property", "sqlserver-object-exists", Permanent),
        ("Key arn:aws:kms:eu-central-1:1:key/a does not exist", "sqlserver-key-missing", Fix),
        (
            "User arn:aws:sts::1:assumed-role/r/s is not authorized to perform kms:DescribeKey on resource arn:aws:kms:x:1:key/a",
            "sqlserver-key-denied",
            Fix,
        ),
        ("BACKUP DATABASE WITH COMPRESSION isn't supported on Web Edition", "sqlserver-compression-unsupported", Fix),
        (
            "The Restore task is unable to restore from more than 10 backup file(s). Please reduce the number of files matched and try again.",
            "sqlserver-too-many-files",
            Permanent,
        ),
        (
            "Database 'shop' already exists. Two databases that differ only by case or accent are not allowed. Choose a different database name.",
            "restore-name-taken",
            Permanent,
        ),
        (
            "Aborting native backup because there is an RDS automated backup in progress.",
            "sqlserver-backup-window",
            RetryLater,
        ),
        (
            "Task ID 7 (RESTORE_DB) exception: Database shop cannot be restored because there is already an existing database with the same file_guids on the instance.",
            "sqlserver-same-database",
            Permanent,
        ),
        (
            "Database shop cannot be restored because there is already an existing database with the same family_guid on the instance",
            "sqlserver-same-database",
            Permanent,
        ),
        ("A task has already been issued for database: shop", "sqlserver-task-busy", RetryLater),
        (
            "Cannot find server certificate. RESTORE FILELIST is terminating abnormally.",
            "sqlserver-certificate-missing",
            Fix,
        ),
        (
            "The media family on device 'x' is incorrectly formed. SQL Server cannot process this media family.",
            "sqlserver-backup-unreadable",
            Permanent,
        ),
        // From SQL Server itself, as its own documentation has it.
        (
            "This differential backup cannot be restored because the database has not been restored to the correct earlier state.",
            "sqlserver-chain-broken",
            Permanent,
        ),
        (
            "The database was backed up on a server running version 16.00.1000. That version is incompatible with this server, which is running version 15.00.4430.",
            "restore-into-older-major",
            Permanent,
        ),
        (
            "There is insufficient free space on disk volume 'D:\\' to create the database. The database requires 107374182400 additional free bytes, while only 5 bytes are available.",
            "db-disk-full",
            Fix,
        ),
    ];
    for (text, expected, class) in cases {
        assert_eq!(code(text), Some((expected, class)), "{text}");
        let told = format!("[2026-11-20 03:00:01.123] Task execution has started. [2026-11-20 03:00:02.000] {text}");
        assert_eq!(code(&told), Some((expected, class)), "{told}");
    }
}

#[test]
fn a_generic_line_is_looked_behind_wherever_it_stands() {
    let window = "Aborted the task because of a task failure or an overlap with your preferred backup window for RDS automated backup.";
    let concurrent = "Aborted the task because of a task failure or a concurrent RESTORE_DB request.";
    let following = "BACKUP DATABASE is terminating abnormally. [2026-11-20 03:00:03.000] a.bak: Aborting S3 upload, waiting for S3 workers to clean up and exit [2026-11-20 03:00:03.100] Write on \"5A\" failed: 995(The I/O operation has been aborted because of either a thread exit or an application request.) [2026-11-20 03:00:03.200] Task has been aborted";
    let at = "[2026-11-20 03:00:01.123]";
    let cases = [
        (format!("{at} {window}"), Some("sqlserver-backup-window")),
        (format!("{at} {window} {at} {following}"), Some("sqlserver-backup-window")),
        (format!("{at} {concurrent}"), Some("sqlserver-task-busy")),
        (format!("{at} {window} {at} Access Denied"), Some("sqlserver-s3-denied")),
        (format!("{at} Access Denied {at} {following} {at} {window}"), Some("sqlserver-s3-denied")),
        (
            format!(
                "{at} 65 percent processed. {at} {following} {at} Aborting native backup because there is an RDS automated backup in progress. {at} {window}"
            ),
            Some("sqlserver-backup-window"),
        ),
        (format!("{at} {window} {at} The moon is in the seventh house."), None),
        (format!("{at} {window} {at} Something new. BACKUP DATABASE is terminating abnormally."), None),
        (format!("{at} {window} The moon is in the seventh house."), None),
        (format!("{at} {concurrent}\nThe moon is in the seventh house."), None),
    ];
    for (text, expected) in cases {
        assert_eq!(of_text(&text).map(|known| known.code), expected, "{text}");
    }
}

#[test]
fn an_unknown_text_is_shown_whole() {
    let text = "[2026-11-20 03:00:01.123] Aborted the task because of a task failure or a concurrent RESTORE_DB request.\n[2026-11-20 03:00:02.000] Something new.";
    let failure = failure(UNKNOWN, "restoring shop", text);
    assert_eq!((failure.code.as_str(), failure.cause.as_str(), failure.retryable), (UNKNOWN, text, false));
    let silent = super::failure(UNKNOWN, "restoring shop", "  ");
    assert!(!silent.cause.trim().is_empty(), "{silent}");
    let busy = super::failure(UNKNOWN, "backing up shop", "A task has already been issued for database: shop");
    assert!(busy.retryable && busy.code == "sqlserver-task-busy", "{busy}");
}

#[test]
fn parts_must_come_in_their_order() {
    assert!(has_parts("Key X does not exist", &["key ", "does not exist"]));
    assert!(!has_parts("does not exist: Key X", &["key ", "does not exist"]));
    assert_eq!(of_text("The primary key of table t does not exist"), None);
}

#[test]
fn remedies_are_clauses() {
    for Diagnosis { code, remedy, .. } in KNOWN.iter().chain(GENERIC).map(|known| known.diagnosis) {
        let begins_small = remedy.starts_with(|first: char| first.is_lowercase());
        assert!(begins_small && !remedy.ends_with('.'), "{code}: {remedy}");
    }
}

/// RDS User Guide, "Troubleshooting access to transaction log backups"; the last two are messages 4305 and 4326 of SQL Server.
#[test]
fn every_text_about_log_backups_has_its_meaning() {
    use Class::{FixConfiguration as Fix, Permanent, RetryLater};
    let cases = [
        (
            "Backups are disabled on this DB instance. Enable DB instance backups with a retention of at least \"1\" and try again.",
            "log-backups-unavailable",
            Fix,
        ),
        (
            "DB instance backup retention period must be set to at least 1 to run the rds_tlog_backup_copy_setup stored procedure.",
            "log-backups-unavailable",
            Fix,
        ),
        (
            "Running the rds_tlog_backup_copy_to_S3 stored procedure on an RDS read replica instance isn't permitted.",
            "log-backups-unavailable",
            Fix,
        ),
        (
            "You must provide a KMS Key ARN as input parameter to the stored procedure for storage encrypted instances.",
            "log-backups-unavailable",
            Fix,
        ),
        (
            "The SQLSERVER_BACKUP_RESTORE option isn't enabled or is in the process of being enabled. Enable the option or try again later.",
            "sqlserver-option-missing",
            RetryLater,
        ),
        (
            "The rds_tlog_backup_copy_to_S3 stored procedure can only be performed by the members of db_owner role in the source database.",
            "db-privileges-missing",
            Fix,
        ),
        (
            "There was a permissions error in processing the request. Ensure the bucket is in the same Account and Region as the DB Instance, and confirm the S3 bucket policy permissions against the template in the public documentation.",
            "sqlserver-log-bucket-denied",
            Fix,
        ),
        (
            "We were unable to process the request due to a lack of access. Please check your setup and permissions for the feature.",
            "sqlserver-log-bucket-denied",
            Fix,
        ),
        (
            "Unable to generate credentials for enabling Access to Transaction Log Backups. Confirm the S3 path ARN provided with rds_tlog_copy_setup, and try again later.",
            "sqlserver-log-bucket-denied",
            Fix,
        ),
        (
            "The provided parameters fall outside of the transaction backup log retention period. To list of available transaction log backup files, run the rds_fn_list_tlog_backup_metadata function.",
            "sqlserver-log-gone",
            RetryLater,
        ),
        (
            "You cannot run the rds_tlog_copy_setup stored procedure while there are pending tasks. Wait for the pending tasks to complete and try again.",
            "sqlserver-task-busy",
            RetryLater,
        ),
        (
            "A T-log backup file copy task has already been issued for database: shop with task Id: 7, please try again later.",
            "sqlserver-task-busy",
            RetryLater,
        ),
        (
            "The log in this backup set begins at LSN 37000000012800037, which is too recent to apply to the database.",
            "sqlserver-chain-broken",
            Permanent,
        ),
        (
            "The log in this backup set terminates at LSN 37000000012800001, which is too early to apply to the database.",
            "sqlserver-chain-broken",
            Permanent,
        ),
    ];
    for (text, expected, class) in cases {
        assert_eq!(code(text), Some((expected, class)), "{text}");
    }
}
