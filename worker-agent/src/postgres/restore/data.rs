//! Data: the archive's by `pg_restore`, the large tables' by `COPY`, side by side. The rows that arrive are counted
//! and compared with those that were read.

use std::sync::Arc;

use bytes::Bytes;
use futures::SinkExt;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::{DataStream, Table};
use haulier_domain::postgres::quote;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::context::{ProgressEvent, Stopped};
use super::super::failures;
use super::super::side_by_side::{all_or_why, together};
use super::Scope;
use super::archive::Head;
use super::phases::{self, Phase, Refused};
use super::target::Named;

/// Largest message sent to a server.
const PIECE: usize = 256 << 10;

/// A server that refuses a row says so only when a `COPY` ends, so one takes about this much.
const SLICE: usize = 64 << 20;

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counted {
    pub(super) tables: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Restores all data of the database.
pub(super) async fn restore(
    scope: &Arc<Scope>,
    head: &Head,
    wanted: &Named<'_>,
    working: &str,
) -> Result<(Counted, Vec<Refused>), Stopped> {
    let database = wanted.database;
    let tables: Vec<_> =
        database.tables.iter().filter(|table| head.has_table(&table.schema, &table.name)).cloned().collect();
    let streams = tables.iter().flat_map(|table| &table.streams);
    let expected: u64 = streams.map(|stream| stream.bytes).sum();
    let from_archive = if head.kept().any(|entry| entry.has_data) { database.archive_bytes } else { 0 };
    scope.context.progress.report(ProgressEvent::Expected(expected + from_archive));

    let permits = Arc::new(Semaphore::new(scope.parallel));
    let mut tasks: JoinSet<Result<u64, Stopped>> = JoinSet::new();
    for table in &tables {
        for stream in &table.streams {
            let (scope, permits) = (Arc::clone(scope), Arc::clone(&permits));
            let (table, stream, working) = (table.clone(), stream.clone(), working.to_owned());
            let shown = format!("{}: {}", wanted.target.name, quote::qualified(&table.schema, &table.name));
            tasks.spawn(async move {
                let _permit = permits.acquire_owned().await.map_err(|error| defect(&error.to_string()))?;
                let _moving = scope.context.moving(shown);
                together(&scope.context.cancel, copy(&scope, &table, &stream, &working)).await
            });
        }
    }
    let archive = async {
        let _moving = (from_archive > 0).then(|| scope.context.moving(format!("{}: small tables", wanted.target.name)));
        let fed = phases::run(scope, head, Phase::Data, working, Some(&database.archive));
        together(&scope.context.cancel, fed).await
    };
    let rows = async {
        let mut done = Vec::new();
        while let Some(one) = tasks.join_next().await {
            done.push(one.map_err(|error| Stopped::from(defect(&error.to_string()))).flatten());
        }
        all_or_why(done).map(|rows| rows.into_iter().sum::<u64>())
    };
    let (refused, rows) = match tokio::join!(archive, rows) {
        (Ok(refused), Ok(rows)) => (refused, rows),
        (Err(failed @ Stopped::Failed(_)), _) | (_, Err(failed)) | (Err(failed), _) => return Err(failed),
    };
    Ok((Counted { tables: tables.len() as u64, rows, bytes: expected + database.archive_bytes }, refused))
}

/// Writes one stream into its table.
async fn copy(scope: &Scope, table: &Table, stream: &DataStream, working: &str) -> Result<u64, Stopped> {
    let name = quote::qualified(&table.schema, &table.name);
    let doing = format!("writing table {name} of database {working:?}");
    let session = scope.connector.connect(working).await?;
    let settings = format!(
        "SET row_security = off; SET datestyle = ISO; SET intervalstyle = postgres; SET client_encoding = {}",
        quote::literal(&table.encoding)
    );
    session.execute(&doing, &settings).await?;
    let failed = |error: &tokio_postgres::Error| Stopped::from(failures::database(&doing, error));
    let stored = |error| Stopped::from(failures::store(&error));
    let sql = statement(table);
    let begin = async || -> Result<_, Stopped> {
        let sink = session.obey(session.client().copy_in::<_, Bytes>(&sql)).await?;
        Ok(Box::pin(sink.map_err(|error| failed(&error))?))
    };
    let mut sink = begin().await?;
    let (mut rows, mut sent) = (0, 0);
    let mut source = scope.context.streams.open(&stream.stream).await.map_err(stored)?;
    while let Some(mut piece) = session.obey(source.next()).await?.map_err(stored)? {
        while !piece.is_empty() {
            let mut part = piece.split_to(piece.len().min(PIECE));
            let end_of_row = if sent >= SLICE { part.iter().rposition(|byte| *byte == b'\n') } else { None };
            let rest = part.split_off(end_of_row.map_or(part.len(), |end| end + 1));
            for (part, ends) in [(part, end_of_row.is_some()), (rest, false)] {
                let length = part.len();
                session.obey(sink.as_mut().feed(part)).await?.map_err(|error| failed(&error))?;
                sent += length;
                scope.context.progress.report(ProgressEvent::Moved(length as u64));
                if ends {
                    rows += session.obey(sink.as_mut().finish()).await?.map_err(|error| failed(&error))?;
                    sink = begin().await?;
                    sent = 0;
                }
            }
        }
    }
    rows += session.obey(sink.as_mut().finish()).await?.map_err(|error| failed(&error))?;
    if rows != stream.rows {
        let cause = format!("{rows} rows arrived where {} were read", stream.rows);
        let remedy = "run a check of the restore point; report this with the session's log";
        return Err(Failure::new("restore-count-mismatch", doing, cause, remedy).into());
    }
    Ok(rows)
}

/// The statement that takes the rows.
fn statement(table: &Table) -> String {
    let identifier = if table.encoding == "UTF8" { quote::identifier } else { quote::ascii_identifier };
    let (schema, name) = table.load_into.as_ref().map_or((&table.schema, &table.name), |(schema, name)| (schema, name));
    let columns: Vec<_> = table.columns.iter().map(|column| identifier(column)).collect();
    format!("COPY {}.{} ({}) FROM STDIN", identifier(schema), identifier(name), columns.join(", "))
}

fn defect(cause: &str) -> Failure {
    Failure::new("mover-defect", "writing a database", cause, "report this with the session's log")
}
