//! A real restore test: every database of a point goes into a scratch server on this machine, by the very path that any
//! restore takes, and is read back and compared with what was recorded at backup.
//!
//! One database after another, each dropped before the next, so that the disk has to hold the largest and not all of
//! them. Nothing is written outside of the scratch server's folder, which is gone at the end, whatever the end is.
//! What such a server cannot hold (extensions that only RDS has, locales that this machine lacks) is reported as an exception,
//! and nothing that differs passes for one.

mod compare;
mod disk;
mod objects;
mod overlay;
mod read_back;
mod scratch;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clients;
use haulier_domain::postgres::manifest::{Database, Manifest};
use haulier_domain::proof::{DatabaseProof, Exception};

use super::context::{Context, ProgressEvent, Severity, Stopped, Unremembered};
use super::job::{DatabaseRestore, OnClash, RestoreJob, Skipped, VerifyJob, VerifyOutcome};
use super::restore;
use super::side_by_side::parallelism;
use super::tools;
use compare::Findings;
use scratch::Scratch;

/// Differences that are named in the failure; all of them are in the log.
const MOST_NAMED: usize = 20;

/// Restores every database of the point into a scratch server and compares.
///
/// # Errors
/// Whatever kept a database from being restored, and `verify-mismatch` where one is not what was backed up.
pub async fn run(job: VerifyJob, context: &Context) -> Result<VerifyOutcome, Stopped> {
    context.progress.report(ProgressEvent::Phase("preflight"));
    let manifest = restore::read_manifest(&job.manifest, context).await?;
    let what = "restoring into a scratch server";
    let major = clients::major(manifest.server_version_num);
    let bin = tools::find_server(&context.settings.client_roots, major, what)?;
    disk::must_hold(&job.scratch_dir, &manifest, what)?;
    let parallel = parallelism(job.parallel_streams);
    let scratch = Scratch::start(&bin, &job.scratch_dir, parallel, context).await?;
    let outcome = within(&scratch, &job, manifest, parallel, context).await;
    scratch.stop().await;
    outcome
}

async fn within(
    scratch: &Scratch,
    job: &VerifyJob,
    manifest: Manifest,
    parallel: usize,
    context: &Context,
) -> Result<VerifyOutcome, Stopped> {
    let connector = scratch.connector(context)?;
    let server_version = scratch.prepare(&connector, &manifest).await?;
    context.log.log(Severity::Info, &format!("a scratch server of PostgreSQL {server_version} is up"));
    let mut exceptions = Vec::new();
    let manifest = overlay::fit(manifest, &connector, &mut exceptions).await?;
    let (streams, reference) = overlay::over(context, &manifest)?;
    let context = Context {
        login: scratch.login(),
        streams: Arc::new(streams),
        // What a worker restored on its own disk is gone with it.
        parts: Arc::new(Unremembered),
        ..context.clone()
    };
    let mut databases = Vec::new();
    let mut differences = Vec::new();
    for (index, database) in manifest.databases.iter().enumerate() {
        let began = Instant::now();
        let restored = restore::run(
            RestoreJob {
                key: job.key.clone(),
                target: scratch.instance(),
                manifest: reference.clone(),
                databases: vec![whole(database)],
                roles: index == 0,
                parallel_streams: job.parallel_streams,
                restored: Vec::new(),
                repeated: false,
            },
            &context,
        )
        .await?;
        let restore_seconds = began.elapsed().as_secs();
        let began = Instant::now();
        context.progress.report(ProgressEvent::Phase("compare"));
        context.progress.report(ProgressEvent::Current(database.name.clone()));
        let name = restored.databases.first().map_or(database.name.as_str(), |restored| restored.restored_as.as_str());
        let findings = compare::database(&connector, database, name, &restored.skipped, parallel, &context).await?;
        scratch.drop_database(&connector, name).await?;
        exceptions.extend(restored.skipped.into_iter().map(exception));
        databases.push(proof(database, &findings, restore_seconds, began.elapsed().as_secs()));
        differences.extend(findings.differences);
        tell(context.log.as_ref(), databases.last());
    }
    match failure(&differences, &context) {
        Some(failure) => Err(failure.into()),
        None => Ok(VerifyOutcome { server_version, databases, exceptions }),
    }
}

/// A whole database under its own name, or near it: the scratch server has a `postgres` of its own.
fn whole(database: &Database) -> DatabaseRestore {
    DatabaseRestore {
        database: database.name.clone(),
        target_name: String::new(),
        on_clash: OnClash::Suffix,
        schemas: Vec::new(),
        tables: Vec::new(),
    }
}

fn exception(skipped: Skipped) -> Exception {
    Exception { place: skipped.place, what: skipped.what, reason: skipped.reason }
}

fn proof(database: &Database, findings: &Findings, restore_seconds: u64, compare_seconds: u64) -> DatabaseProof {
    DatabaseProof {
        name: database.name.clone(),
        tables: findings.equal,
        tables_counted: findings.counted,
        tables_unrecorded: findings.unrecorded,
        tables_skipped: findings.skipped,
        rows: findings.rows,
        large_objects: findings.large_objects,
        mismatches: findings.differences.len() as u64,
        restore_seconds,
        compare_seconds,
    }
}

fn tell(log: &dyn super::context::LogSink, proof: Option<&DatabaseProof>) {
    let Some(proof) = proof else { return };
    let severity = if proof.mismatches == 0 { Severity::Info } else { Severity::Error };
    let text = format!(
        "database {:?}: {} tables with {} rows compared, {} by their count alone, {} differ",
        proof.name,
        proof.tables + proof.tables_counted,
        proof.rows,
        proof.tables_counted,
        proof.mismatches
    );
    log.log(severity, &text);
}

/// What differs, as the failure of the whole.
fn failure(differences: &[String], context: &Context) -> Option<Failure> {
    if differences.is_empty() {
        return None;
    }
    for difference in differences {
        context.log.log(Severity::Error, difference);
    }
    let mut cause = differences.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join("; ");
    if let Some(more) = differences.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        cause.push_str(&format!("; and {more} more, named in the session's log"));
    }
    let remedy = "do not rely on this point: back up again, and report this with the session's log";
    Some(Failure::new("verify-mismatch", "comparing the restored copy with what was backed up", cause, remedy))
}

/// A private folder, made with those above it.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
