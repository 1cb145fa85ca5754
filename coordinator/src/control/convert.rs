//! Domain and state as wire messages.

use haulier_domain::point::PointSummary;
use haulier_domain::session::{Progress, Severity};
use haulier_proto::common::v1 as common;
use haulier_proto::control::v1 as wire;
use haulier_proto::to_timestamp;
use haulier_proto::worker::v1 as worker;

use crate::ledger::Entry;
use crate::policies::Missed;
use crate::sessions::{DatabaseSelection, OnClash};
use crate::state::{LogLine, Point, Repository, Worker};
use crate::workers::tasks::Task;
use crate::yaml::DocumentFault;

pub(super) fn fault(fault: DocumentFault) -> wire::Fault {
    wire::Fault {
        line: fault.place.line,
        column: fault.place.column,
        field: fault.fault.field,
        message: fault.fault.message,
        remedy: fault.fault.remedy,
    }
}

/// A task of RDS's own.
pub(super) fn task(task: Task) -> wire::EngineTask {
    let Task { submitted, ended } = task;
    let ended = ended.unwrap_or_default();
    wire::EngineTask {
        task_id: submitted.task_id,
        kind: submitted.kind,
        database: submitted.database,
        object_arn: submitted.object_arn,
        lifecycle: ended.lifecycle,
        task_info: ended.task_info,
    }
}

pub(super) fn progress(progress: Progress) -> common::Progress {
    common::Progress {
        phase: progress.phase,
        current: progress.current,
        bytes_read: progress.bytes_read,
        bytes_new: progress.bytes_new,
        bytes_stored: progress.bytes_stored,
        bytes_total: progress.bytes_total,
        rate: progress.rate,
        eta_seconds: progress.eta_seconds,
        at: progress.at.map(to_timestamp),
    }
}

pub(super) fn log_line(line: LogLine) -> common::LogLine {
    let severity = match line.severity {
        Severity::Info => common::Severity::Info,
        Severity::Warning => common::Severity::Warning,
        Severity::Error => common::Severity::Error,
    };
    common::LogLine { at: Some(to_timestamp(line.at)), severity: severity.into(), text: line.text }
}

pub(super) fn missed(missed: Missed) -> wire::MissedPlace {
    wire::MissedPlace {
        account: missed.place.account.id,
        region: missed.place.region,
        failure: Some(missed.failure.into()),
    }
}

/// What the catalogue holds of a point's content.
pub(super) fn summary(point: &Point) -> PointSummary {
    serde_json::from_value(point.summary.clone()).unwrap_or_default()
}

/// `repositories` are those of this installation, by which the origin of a copy is named.
pub(super) fn point(point: Point, repositories: &[Repository]) -> wire::Point {
    let total = |name: &str| point.summary["totals"][name].as_u64().unwrap_or_default();
    let (bytes_read, bytes_new, bytes_stored) = (total("bytes_read"), total("bytes_new"), total("bytes_stored"));
    let summary = summary(&point);
    let database = |database: haulier_domain::point::DatabaseSummary| wire::PointDatabase {
        name: database.name,
        consistent_at: Some(to_timestamp(database.consistent_at)),
        restorable_from: database.restorable_from.map(to_timestamp),
        bytes: database.bytes,
        tables: database.tables,
    };
    wire::Point {
        id: point.id.to_string(),
        repository: point.repository,
        resource: point.resource,
        account: point.account,
        region: point.region,
        engine: point.engine,
        session_id: point.session.to_string(),
        policy: point.policy,
        consistent_at: point.consistent_at.map(to_timestamp),
        published_at: Some(to_timestamp(point.published_at)),
        databases: summary.databases.into_iter().map(database).collect(),
        bytes_read,
        bytes_new,
        bytes_stored,
        snapshot_id: point.snapshot_id,
        remarks: summary.remarks,
        locked_until: point.locked_until.map(to_timestamp),
        retention_mode: 0,
        latest_proof: None,
        full_point_id: point.full_point.as_ref().map(ToString::to_string).unwrap_or_default(),
        copy_of: point.copy_of.map(|copied| wire::CopyOf {
            repository: repositories
                .iter()
                .find(|repository| repository.id == copied.repository)
                .map(|repository| repository.name.clone())
                .unwrap_or_default(),
            point_id: copied.point.to_string(),
            repository_id: copied.repository.to_string(),
        }),
    }
}

pub(super) fn repository(repository: Repository, points: usize) -> wire::Repository {
    wire::Repository {
        name: repository.name,
        id: repository.id.to_string(),
        bucket: repository.bucket,
        region: repository.region,
        prefix: repository.prefix,
        key_arn: repository.key_arn,
        created_at: Some(to_timestamp(repository.created_at)),
        points: points as u64,
        immutability: repository.immutability.map(Into::into),
    }
}

pub(super) fn worker(worker: Worker) -> wire::Worker {
    wire::Worker {
        id: worker.id.to_string(),
        session_id: worker.session.to_string(),
        instance_id: worker.instance_id.unwrap_or_default(),
        region: worker.region,
        state: worker.state.as_str().to_owned(),
        agent_version: worker.agent_version,
        last_seen: worker.last_seen.map(to_timestamp),
    }
}

pub(super) fn ledger_entry(entry: Entry) -> wire::LedgerEntry {
    wire::LedgerEntry {
        session_id: entry.session.to_string(),
        kind: entry.resource.kind().to_owned(),
        name: entry.name,
        resource_id: entry.resource_id.unwrap_or_default(),
        region: entry.region,
        state: entry.state.as_str().to_owned(),
        intended_at: Some(to_timestamp(entry.intended_at)),
        removed_at: entry.removed_at.map(to_timestamp),
    }
}

pub(super) fn database_selection(wanted: worker::DatabaseRestore) -> DatabaseSelection {
    let on_clash = match wanted.on_clash() {
        worker::OnClash::Unspecified | worker::OnClash::Refuse => OnClash::Refuse,
        worker::OnClash::Suffix => OnClash::Suffix,
        worker::OnClash::Replace => OnClash::Replace,
    };
    DatabaseSelection {
        database: wanted.database,
        target_name: wanted.target_name,
        on_clash,
        schemas: wanted.schemas,
        tables: wanted.tables,
    }
}
