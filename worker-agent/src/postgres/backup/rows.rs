//! The rows of one large table, or of a range of its pages, through `COPY` into a stream.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::content::Tally;
use haulier_domain::postgres::manifest::{DataStream, PageRange};
use haulier_domain::postgres::plan::TableFacts;
use haulier_domain::postgres::quote;

use super::super::context::{ProgressEvent, Stopped};
use super::super::failures;
use super::super::streams::StreamKind;
use super::Scope;
use super::snapshot::Snapshot;

/// Rows are handed on in pieces of this size: a server sends them one by one.
const PIECE: usize = 256 << 10;

/// The statement that reads them. In a session whose encoding is not UTF-8, names are written in ASCII.
pub(super) fn statement(table: &TableFacts, range: Option<PageRange>, encoding: &str) -> String {
    let identifier = |name: &str| quote::identifier_in(encoding, name);
    let name = format!("{}.{}", identifier(&table.schema), identifier(&table.name));
    let columns: Vec<_> = table.columns.iter().map(|column| identifier(column)).collect();
    let columns = columns.join(", ");
    match range {
        None => format!("COPY {name} ({columns}) TO STDOUT"),
        Some(PageRange { from, to }) => {
            let end = to.map(|to| format!(" AND ctid < '({to},0)'::pg_catalog.tid")).unwrap_or_default();
            format!(
                "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({from},0)'::pg_catalog.tid{end}) TO STDOUT"
            )
        }
    }
}

/// Reads them into a stream.
pub(super) async fn copy(
    scope: &Scope,
    snapshot: &Snapshot,
    database: &str,
    table: &TableFacts,
    range: Option<PageRange>,
) -> Result<DataStream, Stopped> {
    let name = quote::qualified(&table.schema, &table.name);
    let part = range.map(|range| format!(" from page {}", range.from)).unwrap_or_default();
    let doing = format!("reading table {name} of database {database:?}{part}");
    let session = snapshot.join(&scope.connector, database).await?;
    let _moving = scope.context.moving(format!("{database}: {name}{part}"));
    let failed = |error: &tokio_postgres::Error| Stopped::from(failures::database(&doing, error));
    let stored = |error| Stopped::from(failures::store(&error));
    let sql = statement(table, range, &snapshot.encoding);
    let rows = session.obey(session.client().copy_out(&sql)).await?.map_err(|error| failed(&error))?;
    futures::pin_mut!(rows);
    let mut stream = scope
        .context
        .streams
        .create(StreamKind::TableRows, &format!("{database}/{name}{part}"))
        .await
        .map_err(stored)?;
    let (mut tally, mut bytes) = (Tally::default(), 0);
    let mut piece = BytesMut::with_capacity(PIECE);
    let mut hand_on = async |piece: Bytes| -> Result<(), Stopped> {
        let length = piece.len() as u64;
        session.obey(stream.write(piece)).await?.map_err(stored)?;
        scope.context.progress.report(ProgressEvent::Moved(length));
        Ok(())
    };
    while let Some(row) = session.obey_where_waiting(rows.try_next()).await?.map_err(|error| failed(&error))? {
        tally.push(&row);
        bytes += row.len() as u64;
        if row.len() >= PIECE {
            // A row of many megabytes is not copied once more.
            if !piece.is_empty() {
                hand_on(piece.split().freeze()).await?;
            }
            hand_on(row).await?;
        } else {
            piece.extend_from_slice(&row);
            if piece.len() >= PIECE {
                hand_on(piece.split().freeze()).await?;
                piece.reserve(PIECE);
            }
        }
    }
    if !piece.is_empty() {
        hand_on(piece.freeze()).await?;
    }
    // An answer after the last row proves that the server ended it, not a cut connection.
    session.query_one(&doing, "SELECT 1", &[]).await?;
    let stream = session.obey(stream.finish()).await?.map_err(stored)?;
    let content = tally.finish().ok_or_else(|| incomplete(&doing))?;
    Ok(DataStream { stream, pages: range, rows: content.rows, bytes, hash: content.hash })
}

fn incomplete(doing: &str) -> Failure {
    failures::diagnosed(None, "dump-incomplete", doing, "the server's rows end within a row")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableFacts {
        TableFacts {
            oid: 1,
            schema: "a\"b".into(),
            name: "t é".into(),
            bytes: 0,
            pages: 0,
            columns: vec!["x".into(), "y; --".into()],
            heap: true,
            load_into: None,
        }
    }

    #[test]
    fn statements_quote_what_they_name() {
        assert_eq!(statement(&table(), None, "UTF8"), "COPY \"a\"\"b\".\"t é\" (\"x\", \"y; --\") TO STDOUT");
        let range = Some(PageRange { from: 5, to: Some(9) });
        assert_eq!(
            statement(&table(), range, "LATIN1"),
            "COPY (SELECT \"x\", \"y; --\" FROM ONLY \"a\"\"b\".U&\"t \\+0000E9\" WHERE ctid >= '(5,0)'::pg_catalog.tid \
             AND ctid < '(9,0)'::pg_catalog.tid) TO STDOUT"
        );
    }
}
