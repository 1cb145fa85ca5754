//! What the fake answers.

use haulier_proto::common::v1 as common;
use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::import_repository_response::Event as Imported;
use prost_types::Timestamp;

pub(super) fn at(seconds: i64) -> Option<Timestamp> {
    // 2026-11-20 14:00:00Z
    Some(Timestamp { seconds: 1_795_183_200 + seconds, nanos: 0 })
}

/// A session whose id says how it ends: `ses-ok`, `ses-warning`, `ses-failed`, `ses-cancelled`, `ses-cut`.
pub(super) fn session(id: &str, state: control::SessionState) -> control::Session {
    let ended = matches!(
        state,
        control::SessionState::Succeeded
            | control::SessionState::Warning
            | control::SessionState::Failed
            | control::SessionState::Cancelled
    );
    control::Session {
        id: id.to_owned(),
        kind: if id == "ses-prune" { control::SessionKind::Maintenance } else { control::SessionKind::Backup }.into(),
        state: state.into(),
        policy: "nightly".to_owned(),
        resource: "shop".to_owned(),
        step: if ended { String::new() } else { "transfer".to_owned() },
        epoch: 1,
        progress: Some(progress("data", 512)),
        failure: (state == control::SessionState::Failed).then(failure),
        warnings: match state {
            control::SessionState::Warning => vec!["role app needs a password".to_owned()],
            _ => Vec::new(),
        },
        point_id: "pnt-1".to_owned(),
        created_at: at(0),
        started_at: at(1),
        ended_at: if ended { at(76) } else { None },
        cancel_requested: state == control::SessionState::Cancelled,
        report: if id == "ses-prune" { PRUNED } else { r#"{"restored":["shop"]}"# }.into(),
        databases: if id == "ses-restored" { vec![target("shop", "shop_restored_1", true)] } else { Vec::new() },
        temporary_place: if id == "ses-native" { "temporary/haulier-1-native".to_owned() } else { String::new() },
        tasks: if id == "ses-native" { vec![task()] } else { Vec::new() },
    }
}

/// A task of RDS's own.
fn task() -> control::EngineTask {
    control::EngineTask {
        task_id: "5".to_owned(),
        kind: "BACKUP_DB".to_owned(),
        database: "crm".to_owned(),
        object_arn: "arn:aws:s3:::temporary/haulier-1-native/crm/file.bak".to_owned(),
        lifecycle: "ERROR".to_owned(),
        task_info: "Access Denied".to_owned(),
    }
}

/// What a prune has done.
const PRUNED: &str = r#"{"dry_run":false,"points":2,"figures":{"stored":{"objects":9,"bytes":4194304},"live_bytes":3145728,
"freed_now":{"objects":3,"bytes":1048576},"freed_later":{"objects":0,"bytes":0},"marked":{"objects":0,"bytes":0},
"repacked":{"objects":0,"bytes":0},"repacked_bytes":0,"rescued":{"objects":0,"bytes":0},"next_due":"2026-11-27T14:00:00Z"}}"#;

/// An import; of a repository `damaged` one that cannot read everything, of `cut` one that ends early.
pub(super) fn import(name: &str) -> Vec<Result<Imported, tonic::Status>> {
    let progress = |points_done| {
        let domain_id = "dom-1".to_owned();
        Ok(Imported::Progress(control::ImportProgress { domain_id, domain: 1, domains: 1, points_done, points: 3 }))
    };
    let missed = control::ImportMissed {
        domain_id: "dom-1".to_owned(),
        object: "pnt-2".to_owned(),
        failure: Some(common::Failure {
            code: "repository-damaged".to_owned(),
            what: "reading restore point pnt-2".to_owned(),
            cause: "it is cut off".to_owned(),
            remedy: "restore from another".to_owned(),
            retryable: false,
        }),
    };
    let damaged = u64::from(name == "damaged");
    let result = control::ImportResult {
        repository: Some(repository()),
        domains: 1,
        points_added: 2 - damaged,
        points_known: 1,
        points_in_work: 0,
        proofs: 1,
        missed: damaged,
    };
    let mut events = vec![progress(0)];
    if damaged > 0 {
        events.push(Ok(Imported::Missed(missed)));
    }
    events.push(progress(3));
    events.push(match name {
        "cut" => Err(tonic::Status::unavailable("the coordinator is shutting down")),
        _ => Ok(Imported::Result(result)),
    });
    events
}

pub(super) fn keys() -> Vec<control::RepositoryKey> {
    let key = |id: &str, kind: &str, detail: &str, in_use| control::RepositoryKey {
        id: id.to_owned(),
        kind: kind.to_owned(),
        detail: detail.to_owned(),
        created_at: at(0),
        in_use,
    };
    vec![key("0a1b", "kms", "arn:aws:kms:eu-central-1:111122223333:key/1", true), key("2c3d", "passphrase", "", false)]
}

pub(super) fn target(source: &str, target: &str, restored: bool) -> control::DatabaseTarget {
    let on_clash = haulier_proto::worker::v1::OnClash::Suffix.into();
    control::DatabaseTarget { source: source.to_owned(), target: target.to_owned(), on_clash, restored }
}

pub(super) fn missed(account: &str) -> control::MissedPlace {
    let failure = common::Failure {
        code: "cloud-denied".to_owned(),
        what: format!("listing the DB instances of account {account} in eu-central-1"),
        cause: "AssumeRole failed".to_owned(),
        remedy: "allow it".to_owned(),
        retryable: false,
    };
    control::MissedPlace { account: account.to_owned(), region: "eu-central-1".to_owned(), failure: Some(failure) }
}

pub(super) fn last_state(id: &str) -> control::SessionState {
    match id {
        "ses-warning" => control::SessionState::Warning,
        "ses-failed" => control::SessionState::Failed,
        "ses-cancelled" => control::SessionState::Cancelled,
        _ => control::SessionState::Succeeded,
    }
}

fn failure() -> common::Failure {
    common::Failure {
        code: "database-auth-failed".to_owned(),
        what: "logging in to shop".to_owned(),
        cause: "password authentication failed".to_owned(),
        remedy: "correct the secret".to_owned(),
        retryable: false,
    }
}

pub(super) fn progress(phase: &str, read: u64) -> common::Progress {
    common::Progress {
        phase: phase.to_owned(),
        current: "shop.public.orders".to_owned(),
        bytes_read: read,
        bytes_new: 256,
        bytes_stored: 128,
        bytes_total: 1024,
        rate: 2048,
        eta_seconds: Some(61),
        at: at(3),
    }
}

pub(super) fn log(text: &str, severity: common::Severity) -> common::LogLine {
    common::LogLine { at: at(2), severity: severity.into(), text: text.to_owned() }
}

pub(super) fn point() -> control::Point {
    let database = |name: &str| control::PointDatabase {
        name: name.to_owned(),
        consistent_at: at(4),
        restorable_from: None,
        bytes: 3 << 20,
        tables: 12,
    };
    control::Point {
        id: "pnt-1".to_owned(),
        repository: "main".to_owned(),
        resource: "shop".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        engine: "postgres 15.18".to_owned(),
        session_id: "ses-ok".to_owned(),
        policy: "nightly".to_owned(),
        consistent_at: at(4),
        published_at: at(70),
        databases: vec![database("shop"), database("odd \u{1b}[2J name")],
        bytes_read: 6 << 20,
        bytes_new: 1 << 20,
        bytes_stored: 300_000,
        snapshot_id: String::new(),
        remarks: vec!["databases are not consistent with each other".to_owned()],
        locked_until: None,
        retention_mode: 0,
        latest_proof: Some(proof()),
        copy_of: None,
        full_point_id: String::new(),
    }
}

/// A copy of it, whose repository this installation knows, or not.
pub(super) fn copy(repository: &str) -> control::Point {
    let copy_of = control::CopyOf {
        point_id: "pnt-1".to_owned(),
        repository_id: "rep-1".to_owned(),
        repository: repository.to_owned(),
    };
    control::Point { id: "pnt-copy".to_owned(), repository: "vault".to_owned(), copy_of: Some(copy_of), ..point() }
}

fn proof() -> control::Proof {
    control::Proof {
        session_id: "ses-ok".to_owned(),
        verified_at: at(90),
        server_version: "15.18".to_owned(),
        verdict: "verified except 1 entry that was not restored".to_owned(),
        databases: vec![control::ProofDatabase {
            name: "shop".to_owned(),
            tables: 12,
            rows: 4711,
            restore_seconds: 3,
            compare_seconds: 1,
            ..Default::default()
        }],
        exceptions: vec![control::ProofException {
            place: "shop".to_owned(),
            what: "EXTENSION aws_s3".to_owned(),
            reason: "the target does not offer the extension".to_owned(),
        }],
    }
}

pub(super) fn policy() -> control::Policy {
    control::Policy {
        name: "nightly".to_owned(),
        repository: "main".to_owned(),
        schedule: "0 3 * * * Europe/Berlin".to_owned(),
        next_run: at(43_200),
        applied_at: at(0),
        document: "version: 1\nname: nightly\n".to_owned(),
    }
}

pub(super) fn repository() -> control::Repository {
    control::Repository {
        name: "main".to_owned(),
        id: "rep-1".to_owned(),
        bucket: "backups".to_owned(),
        region: "eu-central-1".to_owned(),
        prefix: "haulier".to_owned(),
        key_arn: "arn:aws:kms:eu-central-1:111122223333:key/k".to_owned(),
        created_at: at(0),
        points: 2,
        immutability: Some(haulier_proto::common::v1::Immutability { mode: 1, days: 30 }),
    }
}

pub(super) fn resource() -> control::Resource {
    control::Resource {
        id: "shop".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        engine: "postgres 15.18".to_owned(),
        status: "available".to_owned(),
        policy: "nightly".to_owned(),
        last_point_id: String::new(),
    }
}

pub(super) fn worker() -> control::Worker {
    control::Worker {
        id: "wrk-1".to_owned(),
        session_id: "ses-ok".to_owned(),
        instance_id: "i-0abc".to_owned(),
        region: "eu-central-1".to_owned(),
        state: "attached".to_owned(),
        agent_version: "0.1.0".to_owned(),
        last_seen: at(5),
    }
}

pub(super) fn entry() -> control::LedgerEntry {
    control::LedgerEntry {
        session_id: "ses-ok".to_owned(),
        kind: "security-group".to_owned(),
        name: "haulier-1-db".to_owned(),
        resource_id: "sg-1".to_owned(),
        region: "eu-central-1".to_owned(),
        state: "removed".to_owned(),
        intended_at: at(1),
        removed_at: at(75),
    }
}
