//! A backup: the mover writes streams, the repository makes them durable, and what comes of it is proposed as a point.

use std::collections::BTreeMap;
use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::id::PointId;
use haulier_domain::manifest::StreamReference;
use haulier_domain::point::PointSummary;
use haulier_repository::{BasePoint, Domain, PointRoot, WriteStats};
use jiff::Timestamp;
use serde::Serialize;

use super::streams::{RepositoryStreams, root_of};
use super::work::Backup;
use super::{Bench, failures};
use crate::desk::{Desk, Severity};
use crate::postgres::{self, BackupJob, Stopped};
use crate::session::Report;

/// The report of a backup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BackupReport<'a> {
    summary: &'a PointSummary,
    totals: WriteStats,
}

impl Bench<'_> {
    /// Dumps the databases and proposes the point.
    pub(super) async fn backup(&self, work: Backup) -> Result<Report, Stopped> {
        let what = format!("storing the backup of {}", work.source.instance.id);
        self.task.desk.phase("index");
        let domain = self.domain(&work.place, work.level).await?;
        let base = base_point(&domain, work.base.as_ref(), &self.task.desk).await;
        let streams = RepositoryStreams::writing(domain, base, None, self.task.desk.clone())
            .await
            .map_err(|error| failures::repository("loading the repository's index", &error))?;
        let streams = Arc::new(streams);
        let context = self.context(&work.source, streams.clone()).await;
        let job = BackupJob {
            instance: work.source.instance,
            databases: work.databases,
            large_table_bytes: work.large_table_bytes,
            split_table_bytes: work.split_table_bytes,
            parallel_streams: work.parallel_streams,
        };
        let outcome = postgres::backup::run(job, &context).await?;
        let made = Made {
            point: work.point,
            engine: "postgres".to_owned(),
            manifest: outcome.manifest_stream,
            summary: outcome.summary,
            warnings: outcome.warnings,
        };
        Ok(self.proposed(&what, made, &streams).await?)
    }

    /// Makes what a mover has written durable, and a point of it.
    pub(super) async fn proposed(
        &self,
        what: &str,
        made: Made,
        streams: &RepositoryStreams,
    ) -> Result<Report, Failure> {
        self.task.desk.phase("store");
        let stored = streams.finish().await.map_err(|error| failures::repository(what, &error))?;
        let root = PointRoot {
            version: PointRoot::VERSION,
            point: made.point,
            session: self.task.session_id.clone(),
            epoch: self.task.epoch,
            created: Timestamp::now(),
            engine: made.engine,
            manifest: root_of(&made.manifest).map_err(|error| unwritable(what, &error))?,
            catalogue: stored.catalogue,
            required_features: stored.required_features,
            locked_until: stored.locked_until,
            // That is for the coordinator to say.
            stands_on: None,
            totals: stored.totals,
            summary: made.summary,
            labels: BTreeMap::new(),
        };
        let report = BackupReport { summary: &root.summary, totals: root.totals };
        Ok(Report {
            warnings: made.warnings,
            document: serde_json::to_vec(&report).map_err(|error| unwritable(what, &error))?,
            proposal: Some(serde_json::to_vec(&root).map_err(|error| unwritable(what, &error))?),
        })
    }
}

/// What a mover has made, for a point.
pub(super) struct Made {
    pub(super) point: PointId,
    /// As RDS names it.
    pub(super) engine: String,
    pub(super) manifest: StreamReference,
    pub(super) summary: PointSummary,
    pub(super) warnings: Vec<String>,
}

/// The streams of an earlier point. Without them the backup is larger, so whatever keeps them away is no failure.
pub(super) async fn base_point(domain: &Domain, id: Option<&PointId>, desk: &Desk) -> Option<BasePoint> {
    let id = id?;
    match domain.base_point(id).await {
        Ok(base) => {
            tracing::info!(point = %id, streams = base.streams(), "storing what is new as deltas on an earlier point");
            Some(base)
        }
        Err(error) => {
            tracing::warn!(point = %id, error = %error, "the earlier point cannot be read");
            let text = format!("storing without deltas: restore point {id}, the one before, cannot be read: {error}");
            desk.log(Severity::Warning, &text);
            None
        }
    }
}

/// A document that is no JSON: a defect.
pub(super) fn unwritable(what: &str, error: &serde_json::Error) -> Failure {
    Failure::new("worker-internal-error", what, error.to_string(), "report it with the worker's log")
}
