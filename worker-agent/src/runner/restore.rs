//! A restore: the repository gives streams, the mover writes databases.

use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::id::SessionId;
use haulier_domain::postgres::left_behind::LeftBehind;
use haulier_proto::worker::v1 as wire;

use super::Bench;
use super::backup::unwritable;
use super::streams::{RepositoryStreams, reference_to};
use super::work::Restore;
use crate::desk::Desk;
use crate::postgres::{self, PartSink, RestoreJob, RestoredPart, Stopped};
use crate::session::Report;

impl Bench<'_> {
    /// Restores the databases.
    pub(super) async fn restore(&self, work: Restore) -> Result<Report, Stopped> {
        let what = format!("restoring to {}", work.target.instance.id);
        let repeated = self.task.epoch.0 > 1;
        let prepared = async {
            let domain = self.domain(&work.place, None).await?;
            let streams = Arc::new(RepositoryStreams::reading(domain, self.task.desk.clone()));
            let context = self.context(&work.target, streams).await;
            let manifest = reference_to(&work.root.manifest).map_err(|error| unwritable(&what, &error))?;
            Ok::<_, Failure>((context, manifest))
        };
        let session = self.task.session_id.to_string();
        let (context, manifest) = match prepared.await {
            Ok(prepared) => prepared,
            // An earlier worker may have begun, and this one cannot look.
            Err(failure) if repeated => {
                let databases = postgres::restore::unrestored(&work.databases, &work.restored);
                let left = LeftBehind { key: &session, instance: &work.target.instance.id, databases: &databases };
                let is_cancelled = self.task.cancel.is_cancelled() && !databases.is_empty();
                let said = if is_cancelled { left.failure(failure.to_string()) } else { left.add_to(failure) };
                return Err(said.into());
            }
            Err(failure) => return Err(failure.into()),
        };
        let job = RestoreJob {
            key: session,
            target: work.target.instance,
            manifest,
            databases: work.databases,
            roles: work.roles,
            parallel_streams: work.parallel_streams,
            restored: work.restored,
            repeated,
        };
        let outcome = postgres::restore::run(job, &context).await?;
        Ok(Report {
            document: serde_json::to_vec(&outcome).map_err(|error| unwritable(&what, &error))?,
            warnings: outcome.warnings,
            proposal: None,
        })
    }
}

/// What such a restore may leave where it is broken off. An assignment that cannot be read leaves nothing.
pub(super) fn left_behind(message: &wire::RestorePostgres, session: &SessionId) -> Option<Failure> {
    let work = Restore::try_from(message.clone()).ok()?;
    let databases = postgres::restore::unrestored(&work.databases, &work.restored);
    let left = LeftBehind { key: session.as_str(), instance: &work.target.instance.id, databases: &databases };
    (!databases.is_empty()).then(|| left.failure("the restore was broken off before it had tidied up"))
}

#[async_trait]
impl PartSink for Desk {
    fn completed(&self, part: RestoredPart) {
        let report = serde_json::to_vec(&part).unwrap_or_default();
        let message = match part {
            RestoredPart::Roles(_) => wire::PartRestored { report, ..Default::default() },
            RestoredPart::Database(share) => wire::PartRestored {
                database: share.restored.database,
                target_name: share.target_name,
                restored_as: share.restored.restored_as,
                report,
            },
        };
        self.part_restored(message);
    }

    async fn remembered(&self) {
        self.safe().await;
    }
}
