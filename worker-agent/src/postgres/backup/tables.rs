//! The tables of a database, as the snapshot shows them, and the locks that keep the large ones as they are.

use haulier_domain::failure::Failure;
use haulier_domain::postgres::plan::{PlannedTable, TableFacts};
use haulier_domain::postgres::quote;

use super::super::connect::Session;
use super::super::context::Stopped;
use super::super::failures;
use super::preflight::OURS;

/// Every table with rows of its own that `pg_dump` dumps.
pub(super) async fn list(session: &Session, database: &str) -> Result<Vec<TableFacts>, Stopped> {
    let doing = format!("listing the tables of database {database:?}");
    // Rows of a partition by hash of an enum go in by the root: the hash of an enum's value differs between databases.
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text,
            coalesce(pg_catalog.pg_table_size(c.oid), 0)::int8,
            coalesce(pg_catalog.pg_relation_size(c.oid), 0)::int8 / current_setting('block_size')::int8,
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                ORDER BY a.attnum),
            coalesce(am.amname = 'heap', true),
            root_schema.nspname::text, root.relname::text
         FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
         LEFT JOIN pg_catalog.pg_class root ON root.oid = CASE WHEN c.relispartition AND EXISTS (
                SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) above
                JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = above.relid AND p.partstrat = 'h'
                JOIN pg_catalog.pg_attribute key ON key.attrelid = p.partrelid AND key.attnum = ANY (p.partattrs::int2[])
                JOIN pg_catalog.pg_type t ON t.oid = key.atttypid AND t.typtype = 'e')
            THEN pg_catalog.pg_partition_root(c.oid) END
         LEFT JOIN pg_catalog.pg_namespace root_schema ON root_schema.oid = root.relnamespace
         WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {OURS}"
    );
    let rows = session.query(&doing, &sql, &[]).await?;
    let facts = |row: &tokio_postgres::Row| TableFacts {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        bytes: row.get::<_, i64>(3).unsigned_abs(),
        pages: row.get::<_, i64>(4).unsigned_abs(),
        columns: row.get(5),
        heap: row.get(6),
        load_into: row.get::<_, Option<String>>(7).zip(row.get(8)),
    };
    Ok(rows.iter().map(facts).collect())
}

/// Locks the large tables against being dropped, truncated or rewritten while they are read, and makes sure that none
/// was between the snapshot and the lock: `TRUNCATE` does not respect snapshots.
pub(super) async fn lock(session: &Session, database: &str, tables: &[PlannedTable]) -> Result<(), Stopped> {
    for planned in tables {
        let name = quote::qualified(&planned.table.schema, &planned.table.name);
        let doing = format!("locking table {name} of database {database:?} against changes of its structure");
        session.execute(&doing, &format!("LOCK TABLE ONLY {name} IN ACCESS SHARE MODE")).await?;
        // The row of pg_class is the snapshot's, the function looks at the present.
        let sql = "SELECT coalesce(pg_catalog.pg_relation_filenode(oid) = relfilenode, false)
            FROM pg_catalog.pg_class WHERE oid = $1";
        let same: bool = session.query_one(&doing, sql, &[&planned.table.oid]).await?.get(0);
        if !same {
            let cause = format!("table {name} was truncated or rewritten right after the snapshot was taken");
            let failure = Failure::new("db-object-dropped", doing, cause, "run again when the migration is done");
            return Err(failure.retryable().into());
        }
    }
    Ok(())
}

/// Whether the table an entry of the archive speaks of is one of these.
pub(super) fn is_among(tables: &[PlannedTable], schema: Option<&str>, name: &str) -> bool {
    tables.iter().any(|planned| Some(planned.table.schema.as_str()) == schema && planned.table.name == name)
}

/// A dump that does not hold what it must hold.
pub(super) fn mismatch(database: &str, cause: String) -> Failure {
    failures::diagnosed(None, "dump-incomplete", format!("checking the dump of database {database:?}"), cause)
}
