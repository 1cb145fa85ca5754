//! Backup of databases of one instance.
//!
//! For each database: one exported snapshot, held by a connection of its own; under it one `pg_dump` for everything
//! but the rows of large tables, and those by `COPY` in streams of their own. Databases and streams run side by side,
//! as many as the job allows. The first thing that fails stops all the others, and nothing is written that a restore
//! point could name.

mod archive;
mod database;
mod globals;
mod preflight;
mod rows;
mod snapshot;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use bytes::Bytes;
use futures::{StreamExt, stream};
use haulier_domain::failure::Failure;
use haulier_domain::point::{DatabaseSummary, PointSummary};
use haulier_domain::postgres::manifest::{self, Database, Manifest, StreamReference};
use haulier_domain::postgres::{clients, plan::Thresholds};
use tokio::sync::Semaphore;

use super::connect::Connector;
use super::context::{Context, ProgressEvent, Severity, Stopped};
use super::failures;
use super::job::{BackupJob, BackupOutcome};
use super::private_files::PrivateFiles;
use super::side_by_side::{all_or_why, parallelism};
use super::streams::StreamKind;
use super::tools::{self, Tools};

/// Oldest server this mover reads.
const OLDEST_MAJOR: u32 = 12;

/// What all parts of one backup share.
struct Scope {
    context: Context,
    connector: Connector,
    tools: Tools,
    files: PrivateFiles,
    user: String,
    thresholds: Thresholds,
    server_version_num: u32,
    /// Bytes expected of the databases begun so far.
    expected: AtomicU64,
    /// Databases that have not begun.
    to_come: AtomicUsize,
    /// One permit for each stream that is read at once.
    streams: Arc<Semaphore>,
}

/// Dumps the job's databases into streams and writes the manifest that names them. Publishes nothing.
///
/// # Errors
/// Whatever kept the dump from being complete; nothing of it may become a restore point then.
pub async fn run(job: BackupJob, context: &Context) -> Result<BackupOutcome, Stopped> {
    // What fails first stops the rest, without touching the caller's token.
    let cancel = context.cancel.child_token();
    let outcome = run_within(&job, &Context { cancel: cancel.clone(), ..context.clone() }).await;
    cancel.cancel();
    match outcome {
        Err(_) if context.cancel.is_cancelled() => Err(Stopped::Cancelled),
        other => other,
    }
}

async fn run_within(job: &BackupJob, context: &Context) -> Result<BackupOutcome, Stopped> {
    context.progress.report(ProgressEvent::Phase("preflight"));
    let connector = Connector::new(&job.instance, context)?;
    let front = preflight::open_front(&connector, &job.databases).await?;
    let server = preflight::server(&front).await?;
    let what = format!("backup of {}", job.instance.id);
    if clients::major(server.version_num) < OLDEST_MAJOR {
        let cause =
            format!("the server runs PostgreSQL {}, and {OLDEST_MAJOR} is the oldest this mover reads", server.version);
        return Err(Failure::new("db-too-old", what, cause, "upgrade the instance").into());
    }
    let tools = tools::find(&context.settings.client_roots, clients::major(server.version_num), &what)?;
    let mut warnings = Vec::new();
    if tools.newer {
        let text = format!("PostgreSQL {} is read by the clients of version {}", server.version, tools.major);
        context.log.log(Severity::Warning, &text);
        warnings.push(text);
    }
    let names = preflight::databases(&front, &job.databases, &what).await?;
    let roles = globals::roles(&front, server.version_num).await?;
    drop(front);

    let parallel = parallelism(job.parallel_streams);
    let scope = Arc::new(Scope {
        files: PrivateFiles::create(&context.settings.private_dir, &connector).await?,
        context: context.clone(),
        tools,
        user: server.user.clone(),
        thresholds: Thresholds::new(job.large_table_bytes, job.split_table_bytes),
        server_version_num: server.version_num,
        expected: AtomicU64::new(0),
        to_come: AtomicUsize::new(names.len()),
        streams: Arc::new(Semaphore::new(parallel)),
        connector,
    });
    context.progress.report(ProgressEvent::Phase("data"));
    let dumped: Vec<_> =
        stream::iter(names).map(|name| database::dump(Arc::clone(&scope), name)).buffered(parallel).collect().await;
    let dumped = all_or_why(dumped)?;
    let client_version = dumped.first().map(|(_, version)| version.clone()).unwrap_or_default();
    let databases: Vec<Database> = dumped.into_iter().map(|(database, _)| database).collect();
    let manifest = Manifest {
        version: manifest::VERSION,
        server_version_num: server.version_num,
        server_version: server.version,
        client_version,
        read_as: server.user,
        roles,
        databases,
    };
    let manifest_stream = write_manifest(&manifest, context).await?;
    let summary = summarise(&manifest);
    Ok(BackupOutcome { manifest_stream, summary, manifest, warnings })
}

async fn write_manifest(manifest: &Manifest, context: &Context) -> Result<StreamReference, Failure> {
    let json = serde_json::to_vec(manifest).map_err(|error| {
        Failure::new("mover-defect", "writing the manifest", error.to_string(), "report this with the session's log")
    })?;
    let write = async {
        let mut stream = context.streams.create(StreamKind::Document, "manifest").await?;
        stream.write(Bytes::from(json)).await?;
        stream.finish().await
    };
    write.await.map_err(|error| failures::store(&error))
}

fn summarise(manifest: &Manifest) -> PointSummary {
    let databases: Vec<_> = manifest
        .databases
        .iter()
        .map(|database| DatabaseSummary {
            name: database.name.clone(),
            consistent_at: database.consistent_at,
            restorable_from: None,
            bytes: database.archive_bytes
                + database.tables.iter().flat_map(|table| &table.streams).map(|stream| stream.bytes).sum::<u64>(),
            tables: database.archive_tables + database.tables.len() as u64,
            server_bytes: database.server_bytes,
        })
        .collect();
    let mut remarks = Vec::new();
    if databases.len() > 1 {
        remarks.push("Each database is consistent in itself, at its own time; there is no common moment.".to_owned());
    }
    let logins: Vec<_> = manifest.roles.iter().filter(|role| role.login).map(|role| role.name.as_str()).collect();
    if !logins.is_empty() {
        remarks.push(format!(
            "Roles were read outside of the databases' snapshots. Passwords cannot be read on RDS: where a restore \
             creates these roles, they need one: {}.",
            logins.join(", ")
        ));
    }
    PointSummary {
        bytes_read: databases.iter().map(|database| database.bytes).sum(),
        server_version: manifest.server_version.clone(),
        roles: manifest.roles.len() as u64,
        databases,
        remarks,
    }
}
