//! Backup of databases of one instance.
//!
//! For each database: RDS writes its native backup into the temporary bucket, and the files go from there into the repository.
//! RDS carries out two tasks of an instance at once, and the files of two databases are moved at once, so that the instance
//! and the worker are both busy. The first thing that fails stops all the others.
//!
//! What RDS has written stays in the temporary bucket until the session is over: before the restore point is published, a
//! worker that takes over must find it, or RDS would have to write everything again.

mod choice;
mod database;
mod log_encryption;
mod logs;
mod taken_over;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use haulier_domain::failure::Failure;
use haulier_domain::point::{DatabaseSummary, PointSummary};
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::log_target;
use haulier_domain::sqlserver::manifest::{self, Manifest};
use haulier_domain::sqlserver::preflight;
use haulier_domain::sqlserver::restore::PointManifest;
use haulier_domain::sqlserver::selection::{self, Refused};
use haulier_domain::sqlserver::server::{DatabaseFacts, ServerFacts};
use jiff::{RoundMode, TimestampRound, Unit};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::job::{BackupJob, BackupOutcome};
use super::log_target::LogTarget;
use super::{manifests, tasks};
use crate::mover::side_by_side::{all_or_why, together};
use crate::mover::sinks::Stopped;
use logs::Plan;

/// Tasks of one instance that RDS carries out at once.
const TASKS: usize = 2;
/// Databases whose files are moved at once. Each may hold six ranges of 8 MiB in memory.
const MOVES: usize = 2;

/// What all databases of one backup share.
struct Scope<'a> {
    job: &'a BackupJob,
    server: ServerFacts,
    full: Option<PointManifest>,
    /// What the point before has, in a session of log backups.
    before: Option<Manifest>,
    /// Where RDS copies log backups to.
    target: &'a LogTarget,
    /// How each database is backed up, by name, where it is by log backups.
    logs: BTreeMap<String, Plan>,
    tasks: Semaphore,
    moves: Semaphore,
    /// Bytes of all files that are known of.
    expected: AtomicU64,
}

/// Has the job's databases backed up into streams and writes the manifest that names them. Publishes nothing.
///
/// # Errors
/// Whatever kept it from being complete; nothing of it may become a restore point then. Tasks of RDS that ran are
/// cancelled, as far as that can be had in time. Where the instance's place for log backups could not be put back, the failure
/// says so, after a cancellation too.
pub async fn run(job: BackupJob, context: &Context) -> Result<BackupOutcome, Stopped> {
    // What fails first stops the rest, without touching the caller's token.
    let cancel = context.cancel.child_token();
    let target = LogTarget::new(&job.instance, &job.place, job.log_target.clone());
    let outcome = run_within(&job, &target, &context.obeying(cancel.clone())).await;
    cancel.cancel();
    let last = context.obeying(CancellationToken::new());
    let (began, tidying) = (Instant::now(), context.pace.tidying);
    if outcome.is_err() {
        // RDS puts nothing back while a task is pending, and a task that will not end must not leave it no time at all.
        let limit = if target.has_replaced() { tidying * 2 / 3 } else { tidying };
        end_tasks(&job, &last, limit).await;
    }
    let unset = target.put_back(&last, tidying.saturating_sub(began.elapsed())).await;
    if let Some(left) = &unset {
        context.warn(&left.to_string());
    }
    match (outcome, unset) {
        (Ok(mut outcome), unset) => {
            outcome.warnings.extend(unset.as_ref().map(ToString::to_string));
            Ok(BackupOutcome { log_target_left: unset, ..outcome })
        }
        (Err(_), None) if context.cancel.is_cancelled() => Err(Stopped::Cancelled),
        (Err(stopped), None) => Err(stopped),
        (Err(Stopped::Failed(failure)), Some(left)) if !context.cancel.is_cancelled() => {
            Err(log_target::add_to(failure, &left).into())
        }
        (Err(_), Some(left)) => Err(left.into()),
    }
}

async fn end_tasks(job: &BackupJob, context: &Context, limit: Duration) {
    let open = timeout(limit, tasks::cancel_open(context, &job.place)).await;
    for task in open.unwrap_or_default() {
        context.warn(&format!("{task} may go on"));
    }
}

async fn run_within(job: &BackupJob, target: &LogTarget, context: &Context) -> Result<BackupOutcome, Stopped> {
    context.phase("preflight");
    let what = format!("backup of {}", job.instance);
    let server = context.read(&what, || context.server.facts()).await?;
    let all = context.read(&what, || context.server.databases()).await?;
    let selected = selection::choose(&all, &job.databases).map_err(|refused| not_there(&what, &refused))?;
    let mut warnings = preflight::backup(&server, &selected.chosen)?;
    let passed_over = selected.passed_over.iter().map(|(name, why)| format!("database {name:?} is left out: it {why}"));
    warnings.extend(passed_over);
    if selected.chosen.is_empty() {
        let cause = warnings.join("; ");
        return Err(Failure::new("db-missing", what, cause, "bring a database online, or correct the policy").into());
    }
    let full = match (&job.full, job.backup_type) {
        (Some(full), BackupType::Differential | BackupType::Log) => {
            let manifest = manifests::read(context, &full.manifest).await?;
            Some(PointManifest { point: full.point.clone(), manifest })
        }
        _ => None,
    };
    for text in &warnings {
        context.warn(text);
    }
    let (tasks, moves) = (Semaphore::new(TASKS), Semaphore::new(MOVES));
    let logs = BTreeMap::new();
    let mut scope = Scope { job, server, full, before: None, target, logs, tasks, moves, expected: AtomicU64::new(0) };
    if job.backup_type == BackupType::Log {
        scope.before = taken_over::read(&scope, context).await?;
        scope.logs = plan_logs(&scope, &selected.chosen, context).await?;
        // That may have waited for an hour, in which the clock may have been changed for summer or winter.
        scope.server = context.read(&what, || context.server.facts()).await?;
    }
    context.phase("data");
    let backed_up = each(&scope, &selected.chosen, context).await?;
    let mut databases = Vec::new();
    for done in backed_up {
        warnings.extend(done.warnings);
        databases.push(done.database);
    }
    let manifest = Manifest {
        version: manifest::VERSION,
        engine: scope.server.edition().engine().to_owned(),
        edition: scope.server.edition.clone(),
        server_version: scope.server.version.clone(),
        utc_offset_minutes: scope.server.utc_offset_minutes,
        read_as: scope.server.login.clone(),
        databases,
    };
    let manifest_stream = manifests::write(context, &manifest).await?;
    let summary = summarise(&manifest, scope.full.as_ref());
    Ok(BackupOutcome { manifest_stream, summary, manifest, warnings, log_target_left: None })
}

/// Decides how each database is backed up in a session of log backups, and has RDS copy them here: where nobody has ever said
/// where they go, it does not list them either.
async fn plan_logs(
    scope: &Scope<'_>,
    chosen: &[&DatabaseFacts],
    context: &Context,
) -> Result<BTreeMap<String, Plan>, Stopped> {
    scope.target.take(context).await?;
    let mut plans = BTreeMap::new();
    for database in chosen {
        plans.insert(database.name.clone(), logs::plan(scope, database, context).await?);
    }
    Ok(plans)
}

async fn each(scope: &Scope<'_>, chosen: &[&DatabaseFacts], context: &Context) -> Result<Vec<database::Done>, Stopped> {
    let mut work = Vec::new();
    for database in chosen {
        work.push(together(&context.cancel, database::back_up(scope, database, context)).boxed());
    }
    all_or_why(stream::iter(work).buffered(TASKS + MOVES).collect().await)
}

fn not_there(what: &str, refused: &Refused) -> Failure {
    let code = match refused {
        Refused::Unknown(_) | Refused::None => "db-missing",
        Refused::Unfit { .. } => "sqlserver-database-unfit",
    };
    Failure::new(code, what, refused.to_string(), "correct the policy's list of databases, or the database's state")
}

fn summarise(manifest: &Manifest, full: Option<&PointManifest>) -> PointSummary {
    // The first whole second: moments have no fractions.
    let second = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    let full_at = |name: &str| full?.manifest.database(name)?.consistent_at.round(second).ok();
    let databases: Vec<_> = manifest
        .databases
        .iter()
        .map(|database| DatabaseSummary {
            name: database.name.clone(),
            consistent_at: database.consistent_at,
            restorable_from: full_at(&database.name).filter(|_| database.backup_type == BackupType::Log),
            bytes: database.bytes(),
            // A native backup does not tell.
            tables: 0,
            server_bytes: Some(database.server_bytes),
        })
        .collect();
    let mut remarks = Vec::new();
    if databases.len() > 1 {
        remarks.push("Each database is consistent in itself, at its own time; there is no common moment.".to_owned());
    }
    let mut types: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for database in &manifest.databases {
        types.entry(database.backup_type.as_str()).or_default().push(&database.name);
    }
    remarks.extend(types.into_iter().map(|(kind, names)| format!("Native backups, {kind}: {}.", names.join(", "))));
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for database in &manifest.databases {
        if let Some(key) = &database.kms_key_arn {
            keys.entry(key).or_default().push(&database.name);
        }
    }
    remarks.extend(
        keys.into_iter().map(|(key, names)| format!("Encrypted by RDS with KMS key {key}: {}.", names.join(", "))),
    );
    PointSummary {
        bytes_read: databases.iter().map(|database| database.bytes).sum(),
        server_version: manifest.server_version.clone(),
        roles: 0,
        databases,
        remarks,
    }
}
