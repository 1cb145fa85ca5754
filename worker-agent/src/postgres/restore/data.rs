//! Rows of a large table, by `COPY`. Those that arrive are counted and compared with those that were read.

use bytes::Bytes;
use futures::SinkExt;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::{DataStream, Table};
use haulier_domain::postgres::quote;

use super::super::context::{ProgressEvent, Stopped};
use super::super::failures;
use super::Scope;

/// Largest message sent to a server.
const PIECE: usize = 256 << 10;

/// A server that refuses a row says so only when a `COPY` ends, so one takes about this much.
const SLICE: usize = 64 << 20;

/// Writes one stream into its table.
pub(super) async fn copy(scope: &Scope, table: &Table, stream: &DataStream, working: &str) -> Result<u64, Stopped> {
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
    let identifier = |name: &str| quote::identifier_in(&table.encoding, name);
    let (schema, name) = table.load_into.as_ref().map_or((&table.schema, &table.name), |(schema, name)| (schema, name));
    let columns: Vec<_> = table.columns.iter().map(|column| identifier(column)).collect();
    format!("COPY {}.{} ({}) FROM STDIN", identifier(schema), identifier(name), columns.join(", "))
}
