//! Restore of databases into one instance.
//!
//! A database is restored under a working name, which no application looks for, and gets its final name as the last
//! step: whoever finds a database by its name finds a complete one. What was there under that name is only given up
//! then, and only where the operator asked for it. Whatever goes wrong before, the database under its working name is
//! dropped.
//!
//! A worker can be killed at any time, and the next one of the session goes on: what was half-restored is cleared away, and
//! what was complete (the roles, a database that has its name) is left alone and stands in the report all the same. See
//! `done.rs` for how it knows.
//!
//! The order within a database: schemas, everything else before data, then side by side on as many lanes as the job
//! allows: data (small tables from the archive, large ones by `COPY`), each table's indexes and constraints once it is
//! filled, triggers and foreign keys once all are, statistics; and after all that privileges, comments, and what looks at
//! the data again (materialised views). The archive's head, which is small, is kept in a private file, so that several
//! runs of `pg_restore` can work on it; its data is streamed.

mod archive;
mod data;
mod database;
mod done;
mod filling;
mod finish;
mod membership;
mod naming;
mod note;
mod others;
mod phases;
mod remains;
mod roles;
mod statistics;
mod target;

use std::sync::Arc;
use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clients;
use haulier_domain::postgres::manifest::{Database, Manifest, StreamReference};
use tokio_util::sync::CancellationToken;

use super::connect::{Connector, Session};
use super::context::{Context, ProgressEvent, Severity, Stopped};
use super::failures;
use super::job::{RestoreJob, RestoreOutcome, RestoredPart, Skipped};
use super::private_files::PrivateFiles;
use super::side_by_side::parallelism;
use super::tools::{self, Tools};
use done::Done;
use membership::Memberships;
use note::Note;
use remains::Remains;
pub(crate) use remains::unrestored;
use target::{Named, Target, Wanted};

/// How long a restore that ends early waits to be remembered.
const REMEMBERED: Duration = Duration::from_secs(10);
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
    let mut remains = Remains::of(&job);
    let outcome = run_within(&job, &Context { cancel: cancel.clone(), ..context.clone() }, &mut remains).await;
    cancel.cancel();
    match outcome {
        Ok(outcome) => Ok(outcome),
        Err(_) if context.cancel.is_cancelled() => Err(remains.clear_away(&job, context, Stopped::Cancelled).await),
        Err(stopped) => Err(remains.clear_away(&job, context, stopped).await),
    }
}

async fn run_within(job: &RestoreJob, context: &Context, remains: &mut Remains) -> Result<RestoreOutcome, Stopped> {
    context.progress.report(ProgressEvent::Phase("preflight"));
    let manifest = tokio::select! {
        manifest = read_manifest(&job.manifest, context) => manifest?,
        () = context.cancel.cancelled() => return Err(Stopped::Cancelled),
    };
    let wanted = choose(&manifest, job)?;
    let connector = Connector::new(&job.target, context)?.under(&job.key);
    let front = target::open_front(&connector).await?;
    others::end(&front, &connector).await?;
    let target = Target::read(&front).await?;
    let what = format!("restore to {}", job.target.id);
    let tools = choose_tools(&manifest, &target, context, &what)?;

    let mut note = Note::read(&front, &job.key).await?;
    let mut done = Done::earlier(&front, job, &note, context).await?;
    let open: Vec<Wanted<'_>> =
        done.of(&wanted).into_iter().filter(|(_, share)| share.is_none()).map(|(wanted, _)| wanted.clone()).collect();
    remains.clear_past(&front, context, open.iter().map(Wanted::asked).collect()).await?;
    let names = target::choose_names(&target.databases, &done.names(), &open, &what)?;
    if job.roles && done.roles.is_none() {
        context.progress.report(ProgressEvent::Phase("roles"));
        let share = roles::restore(&front, &manifest.roles, &target, &mut note).await?;
        context.parts.completed(RestoredPart::Roles(share.clone()));
        done.roles = Some(share);
    }
    let mut memberships = Memberships::resume(&front, &target, note).await?;
    drop(front);
    let scope = Arc::new(Scope {
        files: PrivateFiles::create(&context.settings.private_dir, &connector).await?,
        context: context.clone(),
        connector,
        tools,
        target,
        key: job.key.clone(),
        parallel: parallelism(job.parallel_streams),
    });
    let mut warnings = drop_replaced_earlier(&scope, &done, &wanted).await;
    let restored = restore_each(&scope, &names, &mut memberships, &mut done, remains).await;
    let left = conclude(&scope, &done, &wanted, memberships, restored.is_ok()).await;
    for text in &left {
        context.log.log(Severity::Warning, text);
    }
    warnings.extend(restored?);
    warnings.extend(left);
    Ok(report(done.outcome(&wanted, warnings), context))
}

/// The client tools that can restore the point into the target.
fn choose_tools(manifest: &Manifest, target: &Target, context: &Context, what: &str) -> Result<Tools, Failure> {
    let source_major = clients::major(manifest.server_version_num);
    let target_major = clients::major(target.server_version_num);
    if !clients::may_restore(source_major, target_major) {
        return Err(Failure::new(
            "restore-into-older-major",
            what,
            format!(
                "the point is of PostgreSQL {source_major}, the target runs {target_major}, and a dump is meant for its own version or a newer one"
            ),
            format!("restore into an instance of PostgreSQL {source_major} or newer"),
        ));
    }
    let written_by = manifest.client_version.split(['.', ' ']).next().and_then(|major| major.parse().ok());
    tools::find(&context.settings.client_roots, target_major.max(written_by.unwrap_or(target_major)), what)
}

/// Drops what databases have replaced that an earlier attempt restored, and was killed before it could.
async fn drop_replaced_earlier(scope: &Scope, done: &Done, wanted: &[Wanted<'_>]) -> Vec<String> {
    let mut left = Vec::new();
    for (wanted, share) in done.of(wanted) {
        let asked = wanted.asked();
        if let Some(share) = share.filter(|_| asked.replaces) {
            let working = asked.working_name(&scope.key);
            left.extend(naming::drop_replaced(scope, &share.restored.restored_as, &working).await);
        }
    }
    left
}

/// Restores one database after the other. Gives what an operator should know besides.
async fn restore_each(
    scope: &Arc<Scope>,
    names: &[Named<'_>],
    memberships: &mut Memberships,
    done: &mut Done,
    remains: &mut Remains,
) -> Result<Vec<String>, Stopped> {
    let mut warnings = Vec::new();
    for wanted in names {
        let (share, left) = database::restore(scope, wanted, memberships, remains).await?;
        done.add(share);
        warnings.extend(left);
    }
    Ok(warnings)
}

/// Takes away what the restore had on the target for its own use, whatever its end is. A later attempt would need it, until it
/// would be told of what is complete: that is waited for, though not for ever where there is hardly to be one. Answers what
/// stays.
async fn conclude(
    scope: &Scope,
    done: &Done,
    wanted: &[Wanted<'_>],
    mut memberships: Memberships,
    complete: bool,
) -> Vec<String> {
    let patience = async {
        match complete {
            true => scope.context.cancel.cancelled().await,
            false => tokio::time::sleep(REMEMBERED).await,
        }
    };
    tokio::select! {
        () = scope.context.parts.remembered() => {}
        () = patience => {}
    }
    let connector = scope.connector.obeying(CancellationToken::new());
    let unmarked = async {
        let front = target::open_front(&connector).await?;
        done.unmark(&front, &scope.key, wanted, &mut memberships).await
    };
    let mut left = match unmarked.await {
        Ok(left) => left,
        Err(stopped) => {
            vec![format!("comments of restored databases may be notes of the restore instead of their own: {stopped}")]
        }
    };
    left.extend(memberships.give_back(&connector).await);
    left
}

/// Says in the log what the report says.
fn report(mut outcome: RestoreOutcome, context: &Context) -> RestoreOutcome {
    for skipped in &outcome.skipped {
        let text = format!("{}: left out {}: {}", skipped.place, skipped.what, skipped.reason);
        context.log.log(Severity::Warning, &text);
    }
    if !outcome.roles_without_password.is_empty() {
        let text = format!("these new roles have no password yet: {}", outcome.roles_without_password.join(", "));
        context.log.log(Severity::Warning, &text);
        outcome.warnings.push(text);
    }
    outcome
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

/// Reads a point's manifest.
pub(super) async fn read_manifest(reference: &StreamReference, context: &Context) -> Result<Manifest, Stopped> {
    let mut bytes = Vec::new();
    let mut stream = context.streams.open(reference).await.map_err(|error| failures::store(&error))?;
    while let Some(piece) = stream.next().await.map_err(|error| failures::store(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > Manifest::MOST_BYTES {
            return Err(unreadable("it is beyond all measure").into());
        }
    }
    Manifest::read(&bytes).map_err(|error| unreadable(&error.to_string()).into())
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
