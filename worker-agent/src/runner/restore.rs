//! A restore: the repository gives streams, the mover writes databases.

use std::sync::Arc;

use super::Bench;
use super::backup::unwritable;
use super::streams::{RepositoryStreams, reference_to};
use super::work::Restore;
use crate::postgres::{self, RestoreJob, Stopped};
use crate::session::Report;

impl Bench<'_> {
    /// Restores the databases.
    pub(super) async fn restore(&self, work: Restore) -> Result<Report, Stopped> {
        let what = format!("restoring to {}", work.target.instance.id);
        let domain = self.domain(&work.place, None).await?;
        let streams = Arc::new(RepositoryStreams::reading(domain, self.task.desk.clone()));
        let context = self.context(&work.target, streams).await;
        let job = RestoreJob {
            key: self.task.session_id.to_string(),
            target: work.target.instance,
            manifest: reference_to(&work.root.manifest).map_err(|error| unwritable(&what, &error))?,
            databases: work.databases,
            roles: work.roles,
            parallel_streams: work.parallel_streams,
        };
        let outcome = postgres::restore::run(job, &context).await?;
        Ok(Report {
            document: serde_json::to_vec(&outcome).map_err(|error| unwritable(&what, &error))?,
            warnings: outcome.warnings,
            proposal: None,
        })
    }
}
