//! Domain and state as wire messages.

use haulier_domain::point::PointSummary;
use haulier_domain::proof::{DatabaseProof, Exception, Proof};
use haulier_domain::session::{Progress, SessionKind, SessionState, Severity};
use haulier_proto::common::v1 as common;
use haulier_proto::control::v1 as wire;
use haulier_proto::to_timestamp;
use haulier_proto::worker::v1 as worker;
use serde_json::Value;

use crate::ledger::Entry;
use crate::policies::Missed;
use crate::sessions::{DatabaseSelection, OnClash, Request, RestoreRequest};
use crate::state::{LogLine, Point, Repository, Session, Worker};
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

pub(super) fn session(session: Session) -> wire::Session {
    let databases = databases_of(&session);
    let completed = session.completed();
    // One that makes a point knows its id from the start; there is such a point once it has ended well.
    let makes_one = matches!(session.kind, SessionKind::Backup | SessionKind::Replicate);
    let has_point = !makes_one || completed.is_some();
    wire::Session {
        point_id: session.point.as_ref().filter(|_| has_point).map(ToString::to_string).unwrap_or_default(),
        warnings: completed.map(|completed| completed.warnings.clone()).unwrap_or_default(),
        report: completed.and_then(|completed| completed.report.clone()).unwrap_or_default().into_bytes(),
        failure: session.failure().cloned().map(common::Failure::from),
        id: session.id.to_string(),
        kind: match session.kind {
            SessionKind::Backup => wire::SessionKind::Backup,
            SessionKind::DatabaseRestore => wire::SessionKind::DatabaseRestore,
            SessionKind::Verify => wire::SessionKind::Verify,
            SessionKind::Maintenance => wire::SessionKind::Maintenance,
            SessionKind::Replicate => wire::SessionKind::Replicate,
        }
        .into(),
        state: match session.state {
            SessionState::Queued => wire::SessionState::Queued,
            SessionState::Running => wire::SessionState::Running,
            SessionState::TearingDown => wire::SessionState::TearingDown,
            SessionState::Succeeded => wire::SessionState::Succeeded,
            SessionState::Warning => wire::SessionState::Warning,
            SessionState::Failed => wire::SessionState::Failed,
            SessionState::Cancelled => wire::SessionState::Cancelled,
        }
        .into(),
        policy: session.policy,
        resource: session.resource,
        step: session.step,
        epoch: session.epoch.0,
        progress: session.progress.map(progress),
        created_at: Some(to_timestamp(session.created_at)),
        started_at: session.started_at.map(to_timestamp),
        ended_at: session.ended_at.map(to_timestamp),
        cancel_requested: session.cancel_requested,
        databases,
        temporary_place: String::new(),
        tasks: Vec::new(),
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

fn databases_of(session: &Session) -> Vec<wire::DatabaseTarget> {
    let report = session.completed().and_then(|completed| completed.report.as_deref());
    match &session.request {
        Request::DatabaseRestore(request) => targets(request, report),
        Request::Backup(_) | Request::Verify(_) | Request::Maintenance(_) | Request::Replicate(_) => Vec::new(),
    }
}

/// The databases of a restore: as they were asked for, and once they are there under the names they have got.
pub(super) fn targets(request: &RestoreRequest, report: Option<&str>) -> Vec<wire::DatabaseTarget> {
    let report: Value = report.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let restored = |place: usize, source: &str| {
        let one = report["databases"].get(place).filter(|one| one["database"] == source)?;
        one["restored-as"].as_str().map(str::to_owned)
    };
    let target = |(place, wanted): (usize, &DatabaseSelection)| {
        let restored = restored(place, &wanted.database);
        let asked = if wanted.target_name.is_empty() { &wanted.database } else { &wanted.target_name };
        wire::DatabaseTarget {
            source: wanted.database.clone(),
            restored: restored.is_some(),
            target: restored.unwrap_or_else(|| asked.clone()),
            on_clash: match wanted.on_clash {
                OnClash::Refuse => worker::OnClash::Refuse,
                OnClash::Suffix => worker::OnClash::Suffix,
                OnClash::Replace => worker::OnClash::Replace,
            }
            .into(),
        }
    };
    request.databases.iter().enumerate().map(target).collect()
}

/// The states a filter names; unknown numbers of a newer client are left out.
pub(super) fn states(numbers: &[i32]) -> Vec<SessionState> {
    let known = |number: &i32| match wire::SessionState::try_from(*number).ok()? {
        wire::SessionState::Unspecified => None,
        wire::SessionState::Queued => Some(SessionState::Queued),
        wire::SessionState::Running => Some(SessionState::Running),
        wire::SessionState::TearingDown => Some(SessionState::TearingDown),
        wire::SessionState::Succeeded => Some(SessionState::Succeeded),
        wire::SessionState::Warning => Some(SessionState::Warning),
        wire::SessionState::Failed => Some(SessionState::Failed),
        wire::SessionState::Cancelled => Some(SessionState::Cancelled),
    };
    numbers.iter().filter_map(known).collect()
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

/// A restore test that went well.
pub(super) fn proof(proof: Proof) -> wire::Proof {
    let database = |database: DatabaseProof| wire::ProofDatabase {
        name: database.name,
        tables: database.tables,
        tables_counted: database.tables_counted,
        tables_unrecorded: database.tables_unrecorded,
        tables_skipped: database.tables_skipped,
        rows: database.rows,
        large_objects: database.large_objects,
        mismatches: database.mismatches,
        restore_seconds: database.restore_seconds,
        compare_seconds: database.compare_seconds,
    };
    let exception = |Exception { place, what, reason }| wire::ProofException { place, what, reason };
    wire::Proof {
        verdict: proof.verdict(),
        session_id: proof.session.to_string(),
        verified_at: Some(to_timestamp(proof.verified_at)),
        server_version: proof.server_version,
        databases: proof.databases.into_iter().map(database).collect(),
        exceptions: proof.exceptions.into_iter().map(exception).collect(),
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
