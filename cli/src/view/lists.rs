//! What is only ever listed: repositories, resources, workers, the ledger.

use haulier_proto::control::v1::{HiddenObject, LedgerEntry, Repository, Resource, Worker};
use jiff::Timestamp;
use serde::Serialize;

use super::{filled, retention_mode, time};
use crate::output::{Row, bytes, moment};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RepositoryView {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) prefix: String,
    pub(crate) key_arn: String,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) points: u64,
    pub(crate) object_lock: Option<LockView>,
}

/// Immutability of a repository.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LockView {
    pub(crate) mode: &'static str,
    pub(crate) retention_days: u32,
}

impl LockView {
    fn text(lock: Option<&Self>) -> String {
        lock.map(|lock| format!("{}, {} days", lock.mode, lock.retention_days)).unwrap_or_default()
    }
}

impl From<Repository> for RepositoryView {
    fn from(repository: Repository) -> Self {
        Self {
            created_at: time(repository.created_at.as_ref()),
            name: repository.name,
            id: repository.id,
            bucket: repository.bucket,
            region: repository.region,
            prefix: repository.prefix,
            key_arn: repository.key_arn,
            points: repository.points,
            object_lock: repository
                .immutability
                .and_then(|terms| Some(LockView { mode: retention_mode(terms.mode())?, retention_days: terms.days })),
        }
    }
}

impl RepositoryView {
    fn location(&self) -> String {
        if self.prefix.is_empty() { self.bucket.clone() } else { format!("{}/{}", self.bucket, self.prefix) }
    }

    /// The repository as names and values.
    pub(crate) fn record(&self) -> Vec<(&'static str, String)> {
        vec![
            ("repository", self.name.clone()),
            ("id", self.id.clone()),
            ("location", format!("s3://{}", self.location())),
            ("region", self.region.clone()),
            ("key", self.key_arn.clone()),
            ("lock", LockView::text(self.object_lock.as_ref())),
            ("created", moment(self.created_at)),
        ]
    }
}

impl Row for RepositoryView {
    const HEAD: &'static [&'static str] = &["NAME", "LOCATION", "REGION", ">POINTS", "OBJECT LOCK", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            format!("s3://{}", self.location()),
            self.region.clone(),
            self.points.to_string(),
            LockView::text(self.object_lock.as_ref()),
            moment(self.created_at),
        ]
    }
}

/// An object under a delete marker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HiddenView {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) hidden_since: Option<Timestamp>,
}

impl From<HiddenObject> for HiddenView {
    fn from(HiddenObject { key, size, hidden_since }: HiddenObject) -> Self {
        Self { key, size, hidden_since: time(hidden_since.as_ref()) }
    }
}

impl Row for HiddenView {
    const HEAD: &'static [&'static str] = &["KEY", ">SIZE", "HIDDEN SINCE"];

    fn cells(&self) -> Vec<String> {
        vec![self.key.clone(), bytes(self.size), moment(self.hidden_since)]
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ResourceView {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) engine: String,
    pub(crate) status: String,
    pub(crate) policy: Option<String>,
    pub(crate) last_point_id: Option<String>,
}

impl From<Resource> for ResourceView {
    fn from(resource: Resource) -> Self {
        let Resource { id, account, region, engine, status, policy, last_point_id } = resource;
        Self { id, account, region, engine, status, policy: filled(policy), last_point_id: filled(last_point_id) }
    }
}

impl Row for ResourceView {
    const HEAD: &'static [&'static str] = &["ID", "ACCOUNT", "REGION", "ENGINE", "STATUS", "POLICY", "LAST POINT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.account.clone(),
            self.region.clone(),
            self.engine.clone(),
            self.status.clone(),
            self.policy.clone().unwrap_or_default(),
            self.last_point_id.clone().unwrap_or_default(),
        ]
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WorkerView {
    pub(crate) id: String,
    pub(crate) session_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) region: String,
    pub(crate) state: String,
    pub(crate) agent_version: Option<String>,
    pub(crate) last_seen: Option<Timestamp>,
}

impl From<Worker> for WorkerView {
    fn from(worker: Worker) -> Self {
        Self {
            last_seen: time(worker.last_seen.as_ref()),
            id: worker.id,
            session_id: worker.session_id,
            instance_id: filled(worker.instance_id),
            region: worker.region,
            state: worker.state,
            agent_version: filled(worker.agent_version),
        }
    }
}

impl Row for WorkerView {
    const HEAD: &'static [&'static str] = &["ID", "SESSION", "INSTANCE", "REGION", "STATE", "VERSION", "LAST SEEN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.session_id.clone(),
            self.instance_id.clone().unwrap_or_default(),
            self.region.clone(),
            self.state.clone(),
            self.agent_version.clone().unwrap_or_default(),
            moment(self.last_seen),
        ]
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LedgerView {
    pub(crate) session_id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) resource_id: Option<String>,
    pub(crate) region: String,
    pub(crate) state: String,
    pub(crate) intended_at: Option<Timestamp>,
    pub(crate) removed_at: Option<Timestamp>,
}

impl From<LedgerEntry> for LedgerView {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            intended_at: time(entry.intended_at.as_ref()),
            removed_at: time(entry.removed_at.as_ref()),
            session_id: entry.session_id,
            kind: entry.kind,
            name: entry.name,
            resource_id: filled(entry.resource_id),
            region: entry.region,
            state: entry.state,
        }
    }
}

impl Row for LedgerView {
    const HEAD: &'static [&'static str] =
        &["SESSION", "KIND", "RESOURCE", "NAME", "REGION", "STATE", "INTENDED", "REMOVED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.session_id.clone(),
            self.kind.clone(),
            self.resource_id.clone().unwrap_or_default(),
            self.name.clone(),
            self.region.clone(),
            self.state.clone(),
            moment(self.intended_at),
            moment(self.removed_at),
        ]
    }
}
