//! Restore of databases into one instance.
//!
//! A database is restored under a working name, which no application looks for, and gets its final name as the last
//! step: whoever finds a database by its name finds a complete one. What was there under that name is only given up
//! then, and only where the operator asked for it. Whatever goes wrong before, the database under its working name is
//! dropped; an attempt that was killed is cleared away by the next one under the same key.
//!
//! The order within a database: schemas, everything else before data, then side by side on as many lanes as the job
//! allows: data (small tables from the archive, large ones by `COPY`), each table's indexes and constraints once it is
//! filled, triggers and foreign keys once all are, statistics; and after all that privileges, comments, and what looks at
//! the data again (materialised views). The archive's head, which is small, is kept in a private file, so that several
//! runs of `pg_restore` can work on it; its data is streamed.

mod archive;
mod data;
mod database;
mod filling;
mod finish;
mod membership;
mod phases;
mod roles;
mod statistics;
mod target;

use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clients;
use haulier_domain::postgres::manifest::{self, Database, Manifest, StreamReference};
use serde::Deserialize;

use super::connect::{Connector, Session};
use super::context::{Context, ProgressEvent, Severity, Stopped};
use super::failures;
use super::job::{RestoreJob, RestoreOutcome, Skipped};
use super::private_files::PrivateFiles;
use super::side_by_side::parallelism;
use super::tools::{self, Tools};
use membership::Memberships;
use target::{Target, Wanted};

/// Longest manifest that is read into memory.
const MOST_MANIFEST_BYTES: usize = 512 << 20;

/// What all parts of one restore share.
struct Scope {
    context: Context,
    connector: Connector,
    tools: Tools,
    files: PrivateFiles,
    target: Target,
    key: String,
    parallel: usize,
}

/// Restores the job's databases, each under a working name until it is complete.
///
/// # Errors
/// Whatever kept a database from being complete. A half-restored one is dropped, or the failure says that it stays.
pub async fn run(job: RestoreJob, context: &Context) -> Result<RestoreOutcome, Stopped> {
    // What fails first stops the rest, without touching the caller's token.
    let cancel = context.cancel.child_token();
    let outcome = run_within(&job, &Context { cancel: cancel.clone(), ..context.clone() }).await;
    cancel.cancel();
    match outcome {
        // A database that stays half-restored is said even where the operator cancelled.
        Err(Stopped::Failed(failure)) if failure.code == "restore-left-behind" => Err(failure.into()),
        Err(_) if context.cancel.is_cancelled() => Err(Stopped::Cancelled),
        other => other,
    }
}

async fn run_within(job: &RestoreJob, context: &Context) -> Result<RestoreOutcome, Stopped> {
    context.progress.report(ProgressEvent::Phase("preflight"));
    let manifest = read_manifest(&job.manifest, context).await?;
    let chosen = choose(&manifest, job)?;
    let connector = Connector::new(&job.target, context)?;
    let front = target::open_front(&connector).await?;
    let target = Target::read(&front).await?;
    let what = format!("restore to {}", job.target.id);
    let source_major = clients::major(manifest.server_version_num);
    let target_major = clients::major(target.server_version_num);
    if !clients::may_restore(source_major, target_major) {
        return Err(Failure::new(
            "restore-into-older-major",
            what,
            format!("the point is of PostgreSQL {source_major}, the target runs {target_major}, and a dump is meant for its own version or a newer one"),
            format!("restore into an instance of PostgreSQL {source_major} or newer"),
        )
        .into());
    }
    let written_by = manifest.client_version.split(['.', ' ']).next().and_then(|major| major.parse().ok());
    let wanted_tools = target_major.max(written_by.unwrap_or(target_major));
    let tools = tools::find(&context.settings.client_roots, wanted_tools, &what)?;
    let names = target::choose_names(&target, &chosen, &what)?;

    let mut outcome = RestoreOutcome::default();
    if job.roles {
        context.progress.report(ProgressEvent::Phase("roles"));
        roles::restore(&front, &manifest.roles, &target, &mut outcome).await?;
    }
    let scope = Arc::new(Scope {
        files: PrivateFiles::create(&context.settings.private_dir, &connector).await?,
        context: context.clone(),
        connector,
        tools,
        target,
        key: job.key.clone(),
        parallel: parallelism(job.parallel_streams),
    });
    let mut memberships = Memberships::new(&scope.target, &scope.key);
    let mut restored = Ok(());
    drop(front);
    for wanted in &names {
        restored = database::restore(&scope, wanted, &mut memberships, &mut outcome).await;
        if restored.is_err() {
            break;
        }
    }
    let left = memberships.give_back(&scope.connector).await;
    for text in &left {
        context.log.log(Severity::Warning, text);
    }
    restored?;
    outcome.warnings.extend(left);
    for skipped in &outcome.skipped {
        let text = format!("{}: left out {}: {}", skipped.place, skipped.what, skipped.reason);
        context.log.log(Severity::Warning, &text);
    }
    if !outcome.roles_without_password.is_empty() {
        let text = format!("these new roles have no password yet: {}", outcome.roles_without_password.join(", "));
        context.log.log(Severity::Warning, &text);
        outcome.warnings.push(text);
    }
    Ok(outcome)
}

/// The databases of the point that the job names.
fn choose<'a>(manifest: &'a Manifest, job: &'a RestoreJob) -> Result<Vec<Wanted<'a>>, Failure> {
    if job.databases.is_empty() {
        return Err(Failure::new(
            "restore-database-unknown",
            "restore",
            "the assignment names no database",
            "name at least one of the point's databases",
        ));
    }
    job.databases
        .iter()
        .map(|wanted| {
            let database = manifest.databases.iter().find(|database| database.name == wanted.database);
            let database: &Database = database.ok_or_else(|| {
                let names: Vec<_> = manifest.databases.iter().map(|database| format!("{:?}", database.name)).collect();
                Failure::new(
                    "restore-database-unknown",
                    format!("restore of database {:?}", wanted.database),
                    format!("the point has the databases {}", names.join(", ")),
                    "name one of the point's databases",
                )
            })?;
            Wanted::new(database, wanted)
        })
        .collect()
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads a point's manifest.
pub(super) async fn read_manifest(reference: &StreamReference, context: &Context) -> Result<Manifest, Stopped> {
    let mut bytes = Vec::new();
    let mut stream = context.streams.open(reference).await.map_err(|error| failures::store(&error))?;
    while let Some(piece) = stream.next().await.map_err(|error| failures::store(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MOST_MANIFEST_BYTES {
            return Err(unreadable("it is beyond all measure").into());
        }
    }
    let version: Version = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error.to_string()))?;
    if version.version != manifest::VERSION {
        let cause = format!("it has version {}, and this worker reads {}", version.version, manifest::VERSION);
        return Err(unreadable(&cause).into());
    }
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error.to_string()).into())
}

fn unreadable(cause: &str) -> Failure {
    let remedy = "use a worker image at least as new as the one that made the point; else run a check of the point";
    Failure::new("manifest-unreadable", "reading the restore point's manifest", cause, remedy)
}

/// Notes something left out.
fn skip(outcome: &mut RestoreOutcome, place: &str, what: impl Into<String>, reason: impl Into<String>) {
    outcome.skipped.push(Skipped { place: place.to_owned(), what: what.into(), reason: reason.into() });
}

/// Runs a statement that may be refused; a refusal is noted.
async fn attempt(
    session: &Session,
    sql: &str,
    place: &str,
    what: &str,
    outcome: &mut RestoreOutcome,
) -> Result<bool, Stopped> {
    match session.attempt(what, sql).await? {
        Ok(()) => Ok(true),
        Err(refusal) => {
            skip(outcome, place, what, format!("the target refuses it: {refusal}"));
            Ok(false)
        }
    }
}
