//! Every text that RDS or SQL Server is known for, and some that nobody knows: where a task ends with it, and where a call is
//! refused with it, the session says what it is, what helps, and every word of it; and nothing is left.
//!
//! The first are those that AWS documents. The others were seen in logs and scripts that people have published.

use haulier_domain::clash::OnClash;
use haulier_domain::failure::Failure;

use crate::instance::Fault;
use crate::scene::{Scene, failure, wanted};

/// A text, its code, whether it may pass by itself, and what its remedy speaks of.
type Known = (&'static str, &'static str, bool, &'static str);

const DOCUMENTED: &[Known] = &[
    (
        "Database backup/restore option is not enabled yet or is in the process of being enabled. Please try again later.",
        "sqlserver-option-missing",
        true,
        "SQLSERVER_BACKUP_RESTORE",
    ),
    (
        "The EXECUTE permission was denied on the object 'rds_backup_database', database 'msdb', schema 'dbo'.",
        "db-privileges-missing",
        false,
        "master user",
    ),
    (
        "The EXECUTE permission was denied on the object 'rds_restore_database', database 'msdb', schema 'dbo'.",
        "db-privileges-missing",
        false,
        "master user",
    ),
    ("Access Denied", "sqlserver-s3-denied", false, "option group's role"),
    ("The specified bucket does not exist", "sqlserver-bucket-missing", false, "name of the temporary bucket"),
    (
        "Please specify a bucket that is in the same region as RDS instance",
        "sqlserver-bucket-region",
        false,
        "instance's Region",
    ),
    ("S3 ARN prefix cannot be empty", "sqlserver-arn-empty", false, "report"),
    (
        "Please reissue task with correct type and overwrite property",
        "sqlserver-object-exists",
        false,
        "session's prefix",
    ),
    ("Key arn:aws:kms:eu-central-1:1:key/a does not exist", "sqlserver-key-missing", false, "KMS key exists"),
    (
        "User arn:aws:sts::1:assumed-role/r/s is not authorized to perform kms:GenerateDataKey on resource arn:aws:kms:eu-central-1:1:key/a",
        "sqlserver-key-denied",
        false,
        "that of the key",
    ),
    (
        "BACKUP DATABASE WITH COMPRESSION isn't supported on Web Edition",
        "sqlserver-compression-unsupported",
        false,
        "'S3 backup compression', 'false'",
    ),
    (
        "The Restore task is unable to restore from more than 10 backup file(s). Please reduce the number of files matched and try again.",
        "sqlserver-too-many-files",
        false,
        "session's prefix",
    ),
    (
        "Database 'copy' already exists. Two databases that differ only by case or accent are not allowed. Choose a different database name.",
        "restore-name-taken",
        false,
        "another name",
    ),
    (
        "Aborting native backup because there is an RDS automated backup in progress.",
        "sqlserver-backup-window",
        true,
        "outside of the instance's backup window",
    ),
];

const SEEN_ELSEWHERE: &[Known] = &[
    (
        "Task ID 7 (RESTORE_DB) exception: Database copy cannot be restored because there is already an existing database with the same file_guids on the instance.",
        "sqlserver-same-database",
        false,
        "another instance",
    ),
    (
        "Database copy cannot be restored because there is already an existing database with the same family_guid on the instance",
        "sqlserver-same-database",
        false,
        "another instance",
    ),
    (
        "A task has already been issued for database: shop with task Id: 12",
        "sqlserver-task-busy",
        true,
        "rds_cancel_task",
    ),
    (
        "An error occurred while running the rds_tlog_copy_setup stored procedure. Reconnect to the RDS endpoint and try again.",
        "sqlserver-procedure-failed",
        true,
        "events",
    ),
    (
        "Cannot find server certificate. RESTORE FILELIST is terminating abnormally.",
        "sqlserver-certificate-missing",
        false,
        "rds_restore_tde_certificate",
    ),
    (
        "Msg 33111, Level 16: Cannot find server certificate with thumbprint '0x6FBC7F'.",
        "sqlserver-certificate-missing",
        false,
        "rds_restore_tde_certificate",
    ),
    (
        "Msg 3241: The media family on device 'x' is incorrectly formed. SQL Server cannot process this media family.",
        "sqlserver-backup-unreadable",
        false,
        "check the point",
    ),
    (
        "This differential backup cannot be restored because the database has not been restored to the correct earlier state.",
        "sqlserver-chain-broken",
        false,
        "another point",
    ),
    (
        "The database was backed up on a server running version 16.00.1000. That version is incompatible with this server, which is running version 15.00.4430.",
        "restore-into-older-major",
        false,
        "same version",
    ),
    (
        "There is insufficient free space on disk volume 'D:\\' to create the database.",
        "db-disk-full",
        false,
        "more storage",
    ),
    (
        "Database 'shop' could not be exclusively locked to perform the operation.",
        "restore-target-in-use",
        false,
        "connections",
    ),
];

/// What nobody knows. A text that has a known word in it is not known by that.
const UNKNOWN: &[&str] = &[
    "The moon is in the seventh house.",
    "Zugriff verweigert: Größe <unbekannt>, 100 % – \"\\u{1F4A3}\"",
    "The primary key of table t does not exist",
    "Access to the path is denied",
    "Operating system error 112(There is not enough space on the disk.)",
    "RESTORE HEADERONLY failed for a reason of its own. See the error log.",
];

/// How logs look in which such a text is one line among others: before it and after it.
const AROUND: &[(&str, &str)] = &[
    ("", ""),
    (
        "Aborted the task because of a task failure or an overlap with your preferred backup window for RDS automated backup. [2025-10-14 03:10:07.001] ",
        " [2025-10-14 03:10:07.003] shop1-of-8.bak: Aborting S3 upload, waiting for S3 workers to clean up and exit [2025-10-14 03:10:07.004] shop1-of-8.bak: S3 processing has been aborted [2025-10-14 03:10:07.005] Write on \"5A0C1F\" failed: 995(The I/O operation has been aborted because of either a thread exit or an application request.) [2025-10-14 03:10:07.006] A nonrecoverable I/O error occurred on file \"5A0C1F:\" 995(The I/O operation has been aborted because of either a thread exit or an application request.). [2025-10-14 03:10:07.007] BACKUP DATABASE is terminating abnormally. [2025-10-14 03:10:07.008] Task has been aborted",
    ),
    // The general line comes last in older logs.
    (
        "Task execution has started. [2017-03-02 11:00:00.000] ",
        " [2017-03-02 11:00:00.010] Aborted the task because of a task failure or a concurrent RESTORE_DB request.",
    ),
];

fn all() -> impl Iterator<Item = Known> {
    let unknown = UNKNOWN.iter().map(|text| (*text, "sqlserver-task-failed", false, "read the cause"));
    DOCUMENTED.iter().chain(SEEN_ELSEWHERE).copied().chain(unknown)
}

fn assert_told((_, code, retryable, remedy): Known, text: &str, failure: &Failure) {
    assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{text}: {failure}");
    assert!(failure.cause.contains(text.trim()), "not every word of {text:?} is told: {failure}");
    assert!(failure.remedy.contains(remedy), "another remedy than {remedy:?} for {text:?}: {failure}");
}

/// The text as one line of a log, in every way that is known.
fn logs(text: &str) -> Vec<String> {
    AROUND.iter().map(|(before, after)| format!("{before}{text}{after}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_backup_whose_task_ends_so_tells_it() {
    for known in all() {
        for text in logs(known.0) {
            let scene = Scene::new(&[("shop", "s1")]);
            scene.instance.fault(Fault::Fail(text.clone()));
            let failure = failure(scene.back_up(scene.backup_job()).await);
            assert_told(known, &text, &failure);
            assert_eq!(scene.instance.tasks_were().len(), 1, "{text}: a task that has failed is not asked for again");
            let ended = scene.memory.ended.lock().unwrap();
            assert!(ended.len() == 1 && ended[0].info.contains(&text), "task_info is kept whole: {ended:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_whose_task_ends_so_tells_it_and_leaves_nothing() {
    for known in all() {
        for text in logs(known.0) {
            let source = Scene::new(&[("shop", "s1")]);
            let point = source.point("ses-1", "pnt-1", None).await;
            let scene = source.next("ses-2");
            scene.instance.fault(Fault::Fail(text.clone()));
            let job = scene.restore_job(&[&point], vec![wanted("shop", "copy", OnClash::Refuse)]);
            let failure = failure(scene.restore(job).await);
            assert_told(known, &text, &failure);
            // Whose database it is that has the name already, nobody knows: it is left alone.
            let is_theirs = known.1 == "restore-name-taken";
            assert_eq!(scene.instance.names().contains(&"copy".to_owned()), is_theirs, "{text}");
            assert!(scene.store.keys().is_empty() && scene.store.open_uploads() == 0, "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_so_tells_it() {
    for known in all() {
        let (text, code, retryable, remedy) = known;
        // What no task has said is a call's own failure.
        let code = if code == "sqlserver-task-failed" { "db-query-failed" } else { code };
        let scene = Scene::new(&[("shop", "s1")]);
        scene.instance.fault(Fault::Refuse(u32::MAX, text.to_owned()));
        let failure = failure(scene.back_up(scene.backup_job()).await);
        assert_told((text, code, retryable, remedy), text, &failure);
        assert!(scene.instance.tasks_were().is_empty(), "{text}");
    }
}
