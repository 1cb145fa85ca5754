//! `pg_dump` into a stream: everything of a database but the rows of its large tables.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use bytes::BytesMut;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::archive::{Contents, Reader};
use haulier_domain::postgres::manifest::StreamReference;
use haulier_domain::postgres::plan::PlannedTable;
use haulier_domain::postgres::stderr::{self, Verdict};
use haulier_domain::postgres::{diagnosis, quote};
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use super::super::child::{Child, Ended, Surroundings, database_argument};
use super::super::context::{ProgressEvent, Severity, Stopped};
use super::super::streams::{StreamKind, StreamWriter};
use super::super::{encoding, failures};
use super::Scope;
use super::snapshot::{LOCK_TIMEOUT, Snapshot};

/// Read at once from the pipe.
const PIECE: usize = 256 << 10;

/// Dumps the database into a stream and verifies that the archive is whole.
pub(super) async fn dump(
    scope: &Scope,
    snapshot: &Snapshot,
    database: &str,
    apart: &[PlannedTable],
) -> Result<(StreamReference, Contents), Stopped> {
    let doing = format!("dumping database {database:?}");
    let _moving = scope.context.moving(format!("{database}: schema and small tables"));
    let password_file = scope.files.password_file();
    let surroundings = Surroundings {
        connector: &scope.connector,
        user: &scope.user,
        ca_file: &scope.context.settings.ca_file,
        password_file: &password_file,
    };
    let created = scope.context.streams.create(StreamKind::Archive, &format!("{database}/archive")).await;
    let mut stream = created.map_err(|error| failures::store(&error))?;
    let arguments = arguments(database, snapshot, exclusions(scope, snapshot, database, apart).await?);
    let mut child = Child::start(&scope.tools.bin, "pg_dump", &arguments, &surroundings, false)?;
    let stdout = child.stdout();
    let mut reader = Reader::new();
    let moved = tokio::select! {
        moved = pump(scope, &doing, stdout, &mut reader, stream.as_mut()) => moved,
        () = scope.context.cancel.cancelled() => Err(Stopped::Cancelled),
    };
    let damaged = match moved {
        // An archive that breaks off is explained by what `pg_dump` says, if it says anything.
        Ok(()) => None,
        Err(Stopped::Failed(failure)) if failure.code == "dump-incomplete" => Some(failure),
        Err(other) => {
            child.stop().await;
            return Err(other);
        }
    };
    let ended = tokio::select! {
        ended = child.wait() => Some(ended?),
        () = scope.context.cancel.cancelled() => None,
    };
    let Some(ended) = ended else {
        child.stop().await;
        return Err(Stopped::Cancelled);
    };
    judge(scope, &doing, &ended)?;
    if let Some(failure) = damaged {
        return Err(failure.into());
    }
    if let Some(foreign) = reader.foreign() {
        let session = scope.connector.connect(database).await?;
        reader.decode(&encoding::decode(&session, &foreign).await?);
    }
    let contents = reader.finish().map_err(|fault| incomplete(&doing, fault.to_string()))?;
    let reference = stream.finish().await.map_err(|error| failures::store(&error))?;
    Ok((reference, contents))
}

/// What leaves out the rows of tables that have streams of their own. `pg_dump` reads names in the database's encoding.
async fn exclusions(
    scope: &Scope,
    snapshot: &Snapshot,
    database: &str,
    apart: &[PlannedTable],
) -> Result<Vec<OsString>, Stopped> {
    let exclusion = |planned: &PlannedTable| {
        format!("--exclude-table-data={}", quote::dump_pattern(&planned.table.schema, &planned.table.name))
    };
    let exclusions: Vec<String> = apart.iter().map(exclusion).collect();
    if encoding::is_ours(&snapshot.encoding) {
        return Ok(exclusions.into_iter().map(OsString::from).collect());
    }
    let session = scope.connector.connect(database).await?;
    let encoded = encoding::encode(&session, &snapshot.encoding, &exclusions).await?;
    Ok(encoded.into_iter().map(OsString::from_vec).collect())
}

fn arguments(database: &str, snapshot: &Snapshot, exclusions: Vec<OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![
        "--format=custom".into(),
        "--compress=0".into(),
        "--no-password".into(),
        format!("--snapshot={}", snapshot.id).into(),
        format!("--lock-wait-timeout={LOCK_TIMEOUT}").into(),
        database_argument(database),
    ];
    arguments.extend(exclusions);
    arguments
}

async fn pump(
    scope: &Scope,
    doing: &str,
    stdout: Option<ChildStdout>,
    reader: &mut Reader,
    stream: &mut dyn StreamWriter,
) -> Result<(), Stopped> {
    let Some(mut stdout) = stdout else { return Ok(()) };
    let mut buffer = BytesMut::with_capacity(PIECE);
    loop {
        let count =
            stdout.read_buf(&mut buffer).await.map_err(|error| incomplete(doing, format!("its pipe: {error}")))?;
        if count == 0 || buffer.len() >= PIECE / 2 {
            let piece = buffer.split().freeze();
            let length = piece.len() as u64;
            reader.push(&piece).map_err(|fault| incomplete(doing, fault.to_string()))?;
            stream.write(piece).await.map_err(|error| failures::store(&error))?;
            scope.context.progress.report(ProgressEvent::Moved(length));
            buffer.reserve(PIECE);
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn incomplete(doing: &str, cause: String) -> Failure {
    failures::diagnosed(None, "dump-incomplete", doing, format!("pg_dump's archive: {cause}"))
}

/// Exit status and words together decide.
fn judge(scope: &Scope, doing: &str, ended: &Ended) -> Result<(), Failure> {
    let events = stderr::events("pg_dump", &ended.words);
    let mut errors = events.iter().filter(|event| stderr::judge_dump(event) == Verdict::Error);
    // A signal ends `pg_dump` before it can say why: its cause comes first, then what the first complaint means.
    if let Some(error) = errors.next() {
        let whole = stderr::full_text(error);
        return Err(failures::diagnosed(diagnosis::of_text(&whole), "pg-dump-failed", doing, error.text()));
    }
    if !ended.status.success() {
        return Err(failures::diagnosed(None, "pg-dump-failed", doing, format!("pg_dump ended with {}", ended.status))
            .retryable());
    }
    for event in events {
        scope.context.log.log(Severity::Info, &format!("pg_dump: {}", event.text()));
    }
    Ok(())
}
