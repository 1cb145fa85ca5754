//! Restore points.

use haulier_domain::point::DatabaseSummary;
use haulier_proto::control::v1::{CopyOf, Point, PointDatabase};
use haulier_repository::PointRoot;
use jiff::Timestamp;
use serde::Serialize;

use super::proof::ProofView;
use super::{filled, retention_mode, time};
use crate::output::{Row, bytes, moment};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PointView {
    pub(crate) id: String,
    pub(crate) repository: String,
    pub(crate) resource: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) engine: String,
    pub(crate) session_id: String,
    pub(crate) policy: Option<String>,
    pub(crate) consistent_at: Option<Timestamp>,
    pub(crate) published_at: Option<Timestamp>,
    pub(crate) databases: Vec<PointDatabaseView>,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_new: u64,
    pub(crate) bytes_stored: u64,
    pub(crate) snapshot_id: Option<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) locked_until: Option<Timestamp>,
    pub(crate) lock_mode: Option<&'static str>,
    pub(crate) latest_proof: Option<ProofView>,
    pub(crate) copy_of: Option<CopyOfView>,
    pub(crate) full_point_id: Option<String>,
}

/// What a point is a copy of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CopyOfView {
    pub(crate) point_id: String,
    pub(crate) repository_id: String,
    pub(crate) repository: Option<String>,
}

impl From<CopyOf> for CopyOfView {
    fn from(copied: CopyOf) -> Self {
        let CopyOf { point_id, repository_id, repository } = copied;
        Self { point_id, repository_id, repository: filled(repository) }
    }
}

impl CopyOfView {
    fn origin(&self) -> String {
        format!("{} in {}", self.point_id, self.repository.as_ref().unwrap_or(&self.repository_id))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PointDatabaseView {
    pub(crate) name: String,
    pub(crate) restorable_from: Option<Timestamp>,
    pub(crate) consistent_at: Option<Timestamp>,
    pub(crate) bytes: u64,
    pub(crate) tables: u64,
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        Self {
            consistent_at: time(point.consistent_at.as_ref()),
            published_at: time(point.published_at.as_ref()),
            locked_until: time(point.locked_until.as_ref()),
            lock_mode: retention_mode(point.retention_mode()),
            id: point.id,
            repository: point.repository,
            resource: point.resource,
            account: point.account,
            region: point.region,
            engine: point.engine,
            session_id: point.session_id,
            policy: filled(point.policy),
            databases: point.databases.into_iter().map(PointDatabaseView::from).collect(),
            bytes_read: point.bytes_read,
            bytes_new: point.bytes_new,
            bytes_stored: point.bytes_stored,
            snapshot_id: filled(point.snapshot_id),
            remarks: point.remarks,
            latest_proof: point.latest_proof.map(ProofView::from),
            copy_of: point.copy_of.map(CopyOfView::from),
            full_point_id: filled(point.full_point_id),
        }
    }
}

impl From<PointDatabase> for PointDatabaseView {
    fn from(database: PointDatabase) -> Self {
        Self {
            restorable_from: time(database.restorable_from.as_ref()),
            consistent_at: time(database.consistent_at.as_ref()),
            name: database.name,
            bytes: database.bytes,
            tables: database.tables,
        }
    }
}

impl From<DatabaseSummary> for PointDatabaseView {
    fn from(database: DatabaseSummary) -> Self {
        Self {
            restorable_from: database.restorable_from,
            consistent_at: Some(database.consistent_at),
            name: database.name,
            bytes: database.bytes,
            tables: database.tables,
        }
    }
}

impl PointView {
    /// A point as its own root describes it. It lies in this repository.
    pub(crate) fn of_root(root: PointRoot, repository: &str) -> Self {
        let label = |name: &str| root.labels.get(name).cloned().unwrap_or_default();
        let copied = filled(label("copy-of")).zip(filled(label("copy-of-repository")));
        Self {
            copy_of: copied.map(|(point_id, repository_id)| CopyOfView { point_id, repository_id, repository: None }),
            repository: repository.to_owned(),
            resource: label("instance"),
            account: label("account"),
            region: label("region"),
            engine: format!("{} {}", root.engine, root.summary.server_version).trim_end().to_owned(),
            session_id: root.session.to_string(),
            policy: filled(label("policy")),
            full_point_id: root.stands_on.as_ref().map(ToString::to_string),
            consistent_at: root.summary.databases.first().map(|database| database.consistent_at),
            published_at: Some(root.created),
            snapshot_id: filled(label("snapshot")),
            id: root.point.to_string(),
            databases: root.summary.databases.into_iter().map(PointDatabaseView::from).collect(),
            bytes_read: root.totals.bytes_read,
            bytes_new: root.totals.bytes_new,
            bytes_stored: root.totals.bytes_stored,
            remarks: root.summary.remarks,
            locked_until: root.locked_until,
            lock_mode: None,
            latest_proof: None,
        }
    }

    /// The point as names and values, without its databases.
    pub(crate) fn record(&self) -> Vec<(&'static str, String)> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut fields = vec![
            ("point", self.id.clone()),
            ("repository", self.repository.clone()),
            ("resource", self.resource.clone()),
            ("account", self.account.clone()),
            ("region", self.region.clone()),
            ("engine", self.engine.clone()),
            ("session", self.session_id.clone()),
            ("policy", text(&self.policy)),
            ("consistent", moment(self.consistent_at)),
            ("published", moment(self.published_at)),
            ("read", bytes(self.bytes_read)),
            ("new", bytes(self.bytes_new)),
            ("stored", bytes(self.bytes_stored)),
            ("snapshot", text(&self.snapshot_id)),
        ];
        if let Some(full) = &self.full_point_id {
            fields.push(("stands on", full.clone()));
        }
        if let Some(copied) = &self.copy_of {
            fields.push(("copy of", copied.origin()));
        }
        if let Some(until) = self.locked_until {
            let mode = self.lock_mode.map_or_else(String::new, |mode| format!(" ({mode})"));
            fields.push(("locked until", format!("{}{mode}", moment(Some(until)))));
        }
        if let Some(proof) = &self.latest_proof {
            fields.extend(proof.record());
        }
        fields.extend(self.remarks.iter().map(|remark| ("remark", remark.clone())));
        fields
    }
}

impl Row for PointView {
    const HEAD: &'static [&'static str] =
        &["ID", "RESOURCE", "REPOSITORY", "CONSISTENT AT", ">DATABASES", ">READ", ">NEW", ">STORED", "COPY OF"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.resource.clone(),
            self.repository.clone(),
            moment(self.consistent_at),
            self.databases.len().to_string(),
            bytes(self.bytes_read),
            bytes(self.bytes_new),
            bytes(self.bytes_stored),
            self.copy_of.as_ref().map(CopyOfView::origin).unwrap_or_default(),
        ]
    }
}

impl Row for PointDatabaseView {
    const HEAD: &'static [&'static str] = &["DATABASE", "CONSISTENT AT", ">TABLES", ">BYTES"];

    fn cells(&self) -> Vec<String> {
        let at = moment(self.consistent_at);
        let at = self.restorable_from.map_or(at.clone(), |from| format!("{} to {at}", moment(Some(from))));
        vec![self.name.clone(), at, self.tables.to_string(), bytes(self.bytes)]
    }
}
