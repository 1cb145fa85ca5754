//! Backups and restores of SQL Server: RDS writes and reads the files, the mover moves them.

use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::id::SessionId;
use haulier_domain::native_backup::Engine;
use haulier_domain::sqlserver::left_behind::LeftBehind;
use haulier_domain::sqlserver::log_target;
use haulier_domain::sqlserver::task::{Lifecycle, Submitted, Task};
use haulier_proto::worker::v1 as wire;
use haulier_repository::PointRoot;

use super::backup::{Made, base_point, unwritable};
use super::streams::{RepositoryStreams, reference_to};
use super::work::{LoginMethod, Source};
use super::work_native::{BackupNatively, RestoreNatively, Temporary};
use super::{Bench, failures, login};
use crate::desk::Desk;
use crate::mover::sinks::Stopped;
use crate::session::Report;
use crate::sqlserver::restore::unrestored;
use crate::sqlserver::{self, BackupJob, Context, FullPoint, PartSink, RestoreJob, RestoredDatabase, Server, TaskSink};

impl Bench<'_> {
    /// Has RDS back up the databases, and proposes the point.
    pub(super) async fn backup_natively(&self, work: BackupNatively) -> Result<Report, Stopped> {
        let what = format!("storing the backup of {}", work.source.instance.id);
        self.task.desk.phase("index");
        let prepared = async {
            let domain = self.domain(&work.place, work.level).await?;
            let base = base_point(&domain, work.base.as_ref(), &self.task.desk).await;
            let before = base.as_ref().map(|base| reference_to(base.manifest())).transpose();
            let before = before.map_err(|error| unwritable(&what, &error))?;
            let streams = RepositoryStreams::writing(domain, base, work.full.as_ref(), self.task.desk.clone())
                .await
                .map_err(|error| failures::repository("loading the repository's index", &error))?;
            let streams = Arc::new(streams);
            let full = work.full.as_ref().map(|root| point(root, &what)).transpose()?;
            let context = self.native_context(&work.source, &work.temporary, streams.clone()).await?;
            Ok::<_, Failure>((streams, full, before, context))
        };
        let (streams, full, before, context) = match (prepared.await, &work.log_target) {
            (Ok(prepared), _) => prepared,
            // An earlier worker has replaced it, and this one cannot put it back.
            (Err(failure), before) => {
                let why =
                    if self.task.cancel.is_cancelled() { &failure.to_string() } else { "this worker could not begin" };
                let left = before.as_ref().map(|before| log_target::left(&work.source.instance.id, before, why));
                return Err(self.leaving(failure, left).into());
            }
        };
        let job = BackupJob {
            instance: work.source.instance.id,
            databases: work.databases,
            place: work.temporary.place,
            backup_type: work.backup_type,
            files: work.files,
            kms_key_arn: work.kms_key_arn,
            log_kms_key_arn: work.log_kms_key_arn,
            full,
            before,
            submitted: work.submitted,
            log_target: work.log_target,
        };
        let outcome = sqlserver::backup::run(job, &context).await?;
        let made = Made {
            point: work.point,
            engine: outcome.manifest.engine,
            manifest: outcome.manifest_stream,
            summary: outcome.summary,
            warnings: outcome.warnings,
        };
        let proposed = self.proposed(&what, made, &streams).await;
        Ok(proposed.map_err(|failure| self.leaving(failure, outcome.log_target_left))?)
    }

    /// The failure of a backup, with what it leaves of the instance's place for log backups. Of one that is cancelled, only that
    /// is told.
    fn leaving(&self, failure: Failure, left: Option<Failure>) -> Failure {
        match left {
            Some(left) if self.task.cancel.is_cancelled() => left,
            Some(left) => log_target::add_to(failure, &left),
            None => failure,
        }
    }

    /// Restores the databases.
    pub(super) async fn restore_natively(&self, work: RestoreNatively) -> Result<Report, Stopped> {
        let what = format!("restoring to {}", work.target.instance.id);
        let repeated = self.task.epoch.0 > 1;
        let session = self.task.session_id.to_string();
        let prepared = async {
            let domain = self.domain(&work.place, None).await?;
            let streams = Arc::new(RepositoryStreams::reading(domain, self.task.desk.clone()));
            let points = work.roots.iter().map(|root| point(root, &what)).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, Failure>((self.native_context(&work.target, &work.temporary, streams).await?, points))
        };
        let (context, points) = match prepared.await {
            Ok(prepared) => prepared,
            // An earlier worker may have begun, and this one cannot look.
            Err(failure) if repeated => {
                let databases = unrestored(&work.databases, &work.restored);
                let left = LeftBehind { key: &session, instance: &work.target.instance.id, databases: &databases };
                let is_cancelled = self.task.cancel.is_cancelled() && !databases.is_empty();
                let said = if is_cancelled { left.failure(failure.to_string()) } else { left.add_to(failure) };
                return Err(said.into());
            }
            Err(failure) => return Err(failure.into()),
        };
        let job = RestoreJob {
            key: session,
            instance: work.target.instance.id,
            place: work.temporary.place,
            points,
            databases: work.databases,
            options: work.options,
            restored: work.restored,
            repeated,
        };
        let outcome = sqlserver::restore::run(job, &context).await?;
        Ok(Report {
            document: serde_json::to_vec(&outcome).map_err(|error| unwritable(&what, &error))?,
            warnings: outcome.warnings,
            proposal: None,
        })
    }

    async fn native_context(
        &self,
        source: &Source,
        temporary: &Temporary,
        streams: Arc<RepositoryStreams>,
    ) -> Result<Context, Failure> {
        let task = &self.task;
        if let LoginMethod::Iam(user) = &source.login {
            let cause = format!("the policy logs in as {user} by IAM, which SQL Server does not have");
            let what = format!("logging in to {}", source.instance.id);
            return Err(Failure::new("db-iam-unsupported", what, cause, "name a secret in the policy"));
        }
        let login = login::provider(self.ports, task, source).await;
        let (bundle, key) = (&self.settings.ca_bundle, task.session_id.as_str());
        let server: Arc<dyn Server> = self.ports.sql_server(&source.instance, login, bundle, key).await?;
        let bucket = self.ports.object_store(&task.credentials, &temporary.place.bucket, &temporary.region).await;
        Ok(Context {
            server,
            streams,
            bucket,
            progress: Arc::new(task.desk.clone()),
            log: Arc::new(task.desk.clone()),
            tasks: Arc::new(task.desk.clone()),
            parts: Arc::new(task.desk.clone()),
            cancel: task.cancel.clone(),
            pace: self.ports.pace(),
        })
    }
}

/// A point of SQL Server.
fn point(root: &PointRoot, what: &str) -> Result<FullPoint, Failure> {
    if Engine::of_point(&root.engine) != Some(Engine::SqlServer) {
        let cause = format!("restore point {} is of {}, not of SQL Server", root.point, root.engine);
        return Err(Failure::new("restore-into-other-engine", what, cause, "name a point of SQL Server"));
    }
    let manifest = reference_to(&root.manifest).map_err(|error| unwritable(what, &error))?;
    Ok(FullPoint { point: root.point.clone(), manifest })
}

/// What such a restore may leave where it is broken off. An assignment that cannot be read leaves nothing.
pub(super) fn left_behind(message: &wire::RestoreSqlServer, session: &SessionId) -> Option<Failure> {
    let work = RestoreNatively::try_from(message.clone()).ok()?;
    let databases = unrestored(&work.databases, &work.restored);
    let left = LeftBehind { key: session.as_str(), instance: &work.target.instance.id, databases: &databases };
    (!databases.is_empty()).then(|| left.failure("the restore was broken off before it had tidied up"))
}

/// What such a backup may leave where it is broken off: the place of log backups that this worker or earlier ones have replaced.
pub(super) fn log_target_left(message: &wire::BackupSqlServer, desk: &Desk) -> Option<Failure> {
    let instance = message.instance.as_ref()?;
    let why = "the backup was broken off before it had put it back";
    let before = desk.log_target().unwrap_or_else(|| message.log_target_arn.clone());
    (!before.is_empty()).then(|| log_target::left(&instance.id, &before, why))
}

#[async_trait]
impl TaskSink for Desk {
    fn submitted(&self, task: &Submitted) {
        self.task_submitted(wire::TaskSubmitted {
            kind: task.kind.as_str().to_owned(),
            task_id: task.id.to_string(),
            database: task.database.clone(),
            object_arn: task.object_arn.clone(),
        });
    }

    fn ended(&self, task: &Task) {
        let lifecycle = match &task.lifecycle {
            Lifecycle::Success => "SUCCESS",
            Lifecycle::Error => "ERROR",
            Lifecycle::Cancelled => "CANCELLED",
            Lifecycle::Created | Lifecycle::InProgress | Lifecycle::CancelRequested | Lifecycle::Unknown(_) => return,
        };
        self.task_ended(wire::TaskEnded {
            task_id: task.id.to_string(),
            lifecycle: lifecycle.to_owned(),
            task_info: task.info.clone(),
        });
    }

    async fn log_target_replaced(&self, before: &str) {
        Self::log_target_replaced(self, wire::LogTargetReplaced { target_arn: before.to_owned() });
        self.safe().await;
    }

    fn log_target_put_back(&self) {
        Self::log_target_replaced(self, wire::LogTargetReplaced::default());
    }
}

#[async_trait]
impl PartSink for Desk {
    fn completed(&self, part: &RestoredDatabase) {
        self.part_restored(wire::PartRestored {
            database: part.database.clone(),
            target_name: part.target_name.clone(),
            restored_as: part.restored_as.clone(),
            report: serde_json::to_vec(part).unwrap_or_default(),
        });
    }

    async fn remembered(&self) {
        self.safe().await;
    }
}
