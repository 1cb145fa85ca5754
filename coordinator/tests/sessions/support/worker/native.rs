//! What RDS does for a worker of SQL Server, and what the worker tells of it.

use haulier_proto::worker::v1 as wire;

use super::{REGION, Worker};

impl Worker {
    /// RDS writes, or reads, in the temporary bucket: an object, and a multipart upload that nobody will finish.
    pub(super) fn have_rds_begin(&self) {
        let work = self.assignment.as_ref().and_then(|assignment| assignment.work.clone());
        let temporary = match work {
            Some(wire::assignment::Work::BackupSqlServer(backup)) => {
                self.log.native_backups.lock().unwrap().push(backup.clone());
                backup.temporary
            }
            Some(wire::assignment::Work::RestoreSqlServer(restore)) => {
                self.log.native_restores.lock().unwrap().push(restore.clone());
                restore.temporary
            }
            _ => None,
        };
        let Some(wire::TemporaryLocation { bucket, prefix, .. }) = temporary else { return };
        let buckets = self.access.memory.buckets(REGION);
        assert!(buckets.put(&bucket, &format!("{prefix}/crm/file.bak")), "there is no bucket {bucket}");
        assert!(buckets.begin_upload(&bucket, &format!("{prefix}/crm/next.bak")));
        self.log.temporary.lock().unwrap().push(buckets.described(&bucket).unwrap());
    }
}

/// The task that RDS carries out for the work.
pub(super) fn task(work: &wire::assignment::Work) -> wire::TaskSubmitted {
    let (kind, temporary) = match work {
        wire::assignment::Work::BackupSqlServer(backup) => ("BACKUP_DB", backup.temporary.as_ref()),
        wire::assignment::Work::RestoreSqlServer(restore) => ("RESTORE_DB", restore.temporary.as_ref()),
        other => panic!("no task of RDS: {other:?}"),
    };
    let wire::TemporaryLocation { bucket, prefix, .. } = temporary.unwrap();
    wire::TaskSubmitted {
        kind: kind.into(),
        task_id: "5".into(),
        database: "crm".into(),
        object_arn: format!("arn:aws:s3:::{bucket}/{prefix}/crm/file.bak"),
    }
}

/// What the worker of that epoch ends with that could not put that place back.
pub(super) fn not_put_back(epoch: u64) -> wire::finished::Result {
    let left = haulier_domain::sqlserver::log_target::left("crm", &found_by(epoch), "a task is pending");
    wire::finished::Result::Done(wire::Done { warnings: vec![left.to_string()], ..Default::default() })
}

fn found_by(epoch: u64) -> String {
    format!("arn:aws:s3:::found-by-{epoch}")
}

/// Of log backups: where the instance has copied them to before, as the worker of that epoch finds it.
pub(super) fn log_target(work: &wire::assignment::Work, epoch: u64) -> Option<wire::event::Event> {
    let wire::assignment::Work::BackupSqlServer(backup) = work else { return None };
    let target_arn = found_by(epoch);
    let told = wire::event::Event::LogTargetReplaced(wire::LogTargetReplaced { target_arn });
    (backup.r#type() == wire::NativeBackupType::Log).then_some(told)
}

/// A task that goes well, after a line of the log.
pub(super) fn task_events(work: &wire::assignment::Work) -> [wire::Event; 2] {
    let ended = wire::TaskEnded {
        task_id: "5".into(),
        lifecycle: "SUCCESS".into(),
        task_info: "[2026-11-20 10:00:00.000] Task execution has started.".into(),
    };
    let submitted = wire::event::Event::TaskSubmitted(task(work));
    let ended = wire::event::Event::TaskEnded(ended);
    [wire::Event { sequence: 2, event: Some(submitted) }, wire::Event { sequence: 3, event: Some(ended) }]
}
