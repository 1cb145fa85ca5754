//! One database: its snapshot, its archive, its large tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::archive::{Contents, Entry};
use haulier_domain::postgres::manifest::{DataStream, Database, StreamReference, Table, TableContent};
use haulier_domain::postgres::plan::{self, PlannedTable, TableFacts};
use haulier_domain::postgres::quote;
use tokio::task::JoinSet;

use super::super::context::{ProgressEvent, Severity, Stopped};
use super::super::side_by_side::{all_or_why, together};
use super::snapshot::Snapshot;
use super::{Scope, archive, globals, preflight, rows, tables};

/// What one task brings back.
enum Part {
    Archive(StreamReference, Contents),
    Rows(usize, DataStream),
}

/// Dumps one database. Also says which version of `pg_dump` wrote the archive.
pub(super) async fn dump(scope: Arc<Scope>, database: String) -> Result<(Database, String), Stopped> {
    let cancel = scope.context.cancel.clone();
    together(&cancel, dump_within(scope, database)).await
}

async fn dump_within(scope: Arc<Scope>, database: String) -> Result<(Database, String), Stopped> {
    let snapshot = Snapshot::export(&scope.connector, &database).await?;
    let consistent_at = snapshot.taken_at;
    preflight::may_read_all(&snapshot.holder, &database).await?;
    let properties = globals::properties(&snapshot.holder, scope.server_version_num).await?;
    let all = tables::list(&snapshot.holder, &database).await?;
    let server_bytes = globals::size(&snapshot.holder).await?;
    let bytes: u64 = all.iter().map(|table| table.bytes).sum();
    scope.expected.fetch_add(bytes, Ordering::AcqRel);
    // What is expected is known once every database has been looked into.
    if scope.to_come.fetch_sub(1, Ordering::AcqRel) == 1 {
        scope.context.progress.report(ProgressEvent::Expected(scope.expected.load(Ordering::Acquire)));
    }
    let apart = plan::cut(all.clone(), scope.thresholds, scope.server_version_num);
    tables::lock(&snapshot.holder, &database, &apart).await?;
    let text = format!(
        "database {database:?}: snapshot of {consistent_at}, {} tables, {} of them in {} streams of their own",
        all.len(),
        apart.len(),
        apart.iter().map(|planned| planned.ranges.len()).sum::<usize>(),
    );
    scope.context.log.log(Severity::Info, &text);

    let snapshot = Arc::new(snapshot);
    let apart = Arc::new(apart);
    let (archive, contents, mut streams) = read_all(&scope, &snapshot, &database, &apart).await?;
    verify(&database, &contents, &all, &apart)?;
    if let Ok(snapshot) = Arc::try_unwrap(snapshot) {
        snapshot.end(&database).await?;
    }
    let version = contents.header.client_version.clone();
    let archive_contents = contents_of_tables(&contents, &all);
    let tables = apart
        .iter()
        .zip(&mut streams)
        .map(|(planned, streams)| Table {
            schema: planned.table.schema.clone(),
            name: planned.table.name.clone(),
            columns: planned.table.columns.clone(),
            load_into: planned.table.load_into.clone(),
            encoding: properties.encoding.clone(),
            streams: std::mem::take(streams),
        })
        .collect();
    let database = Database {
        name: database,
        consistent_at,
        archive,
        archive_bytes: contents.bytes,
        archive_tables: contents.entries.iter().filter(|entry| entry.kind == "TABLE DATA").count() as u64,
        tables,
        properties,
        archive_contents,
        large_objects: Some(contents.large_objects),
        server_bytes: Some(server_bytes),
    };
    Ok((database, version))
}

/// What each table of the archive holds. Rows of an extension's own tables are left out: the extension brings some of
/// them itself, wherever it is created.
fn contents_of_tables(contents: &Contents, all: &[TableFacts]) -> Vec<TableContent> {
    let by_name: BTreeMap<_, _> =
        all.iter().map(|table| ((table.schema.as_str(), table.name.as_str()), table)).collect();
    let of_entry = |entry: &Entry| {
        let table = by_name.get(&(entry.schema.as_deref()?, entry.tag.as_str()))?;
        Some(TableContent {
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: table.columns.clone(),
            load_into: table.load_into.clone(),
            content: *contents.rows.get(&entry.id)?,
        })
    };
    contents.entries.iter().filter_map(of_entry).collect()
}

/// Reads archive and rows side by side. What fails first stops the others, which are waited for.
async fn read_all(
    scope: &Arc<Scope>,
    snapshot: &Arc<Snapshot>,
    database: &str,
    apart: &Arc<Vec<PlannedTable>>,
) -> Result<(StreamReference, Contents, Vec<Vec<DataStream>>), Stopped> {
    let mut tasks: JoinSet<Result<Part, Stopped>> = JoinSet::new();
    let shared = || (Arc::clone(scope), Arc::clone(snapshot), database.to_owned(), Arc::clone(apart));
    {
        let (scope, snapshot, database, apart) = shared();
        tasks.spawn(async move {
            let work = async {
                let _permit = permit(&scope).await?;
                let (reference, contents) = archive::dump(&scope, &snapshot, &database, &apart).await?;
                Ok(Part::Archive(reference, contents))
            };
            together(&scope.context.cancel, work).await
        });
    }
    for (index, planned) in apart.iter().enumerate() {
        for range in planned.ranges.iter().copied() {
            let (scope, snapshot, database, apart) = shared();
            tasks.spawn(async move {
                let work = async {
                    let _permit = permit(&scope).await?;
                    let stream = rows::copy(&scope, &snapshot, &database, &apart[index].table, range).await?;
                    Ok(Part::Rows(index, stream))
                };
                together(&scope.context.cancel, work).await
            });
        }
    }
    let mut done = Vec::new();
    while let Some(one) = tasks.join_next().await {
        done.push(one.map_err(|error| Stopped::from(defect(&error.to_string()))).flatten());
    }
    let mut archive = None;
    let mut streams = vec![Vec::new(); apart.len()];
    for part in all_or_why(done)? {
        match part {
            Part::Archive(reference, contents) => archive = Some((reference, contents)),
            Part::Rows(index, stream) => streams[index].push(stream),
        }
    }
    for list in &mut streams {
        list.sort_by_key(|stream| stream.pages.map(|range| range.from));
    }
    let (reference, contents) = archive.ok_or_else(|| defect("the archive's task ended without a word"))?;
    Ok((reference, contents, streams))
}

async fn permit(scope: &Scope) -> Result<tokio::sync::OwnedSemaphorePermit, Stopped> {
    tokio::select! {
        permit = Arc::clone(&scope.streams).acquire_owned() => permit.map_err(|error| defect(&error.to_string()).into()),
        () = scope.context.cancel.cancelled() => Err(Stopped::Cancelled),
    }
}

fn defect(cause: &str) -> Failure {
    Failure::new("mover-defect", "reading a database", cause, "report this with the session's log")
}

/// The archive must hold the rows of every table that has no stream of its own, and of no other.
fn verify(database: &str, contents: &Contents, all: &[TableFacts], apart: &[PlannedTable]) -> Result<(), Failure> {
    let data = || contents.entries.iter().filter(|entry| entry.kind == "TABLE DATA");
    if let Some(twice) = data().find(|entry| tables::is_among(apart, entry.schema.as_deref(), &entry.tag)) {
        let cause = format!("pg_dump wrote the rows of {twice}, which has a stream of its own");
        return Err(tables::mismatch(database, cause));
    }
    let inside: std::collections::BTreeSet<_> =
        data().map(|entry| (entry.schema.as_deref(), entry.tag.as_str())).collect();
    let lost = all.iter().find(|table| {
        let schema = Some(table.schema.as_str());
        !tables::is_among(apart, schema, &table.name) && !inside.contains(&(schema, table.name.as_str()))
    });
    match lost {
        Some(table) => {
            let name = quote::qualified(&table.schema, &table.name);
            Err(tables::mismatch(database, format!("pg_dump's archive lacks the rows of table {name}")))
        }
        None => Ok(()),
    }
}
