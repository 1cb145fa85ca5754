//! Statistics, without which a restored database plans badly until the server comes round to it.

use std::collections::BTreeMap;

use haulier_domain::postgres::course::{Relation, RelationKind};
use haulier_domain::postgres::quote;

use super::super::connect::Session;
use super::super::context::Stopped;
use super::Scope;
use super::phases::Refused;

/// Most names in one statement: a failure should not take too many along.
const MOST: usize = 100;

/// Relations of the session's database that statistics can be gathered of. Partitions go with the table they are of:
/// gathering its statistics gathers theirs. A table that others inherit from, which may be filled later, comes late.
pub(super) async fn relations(inside: &Session) -> Result<Vec<Relation>, Stopped> {
    let sql = "SELECT n.nspname::text, c.relname::text, rn.nspname::text, root.relname::text, c.relkind = 'm',
            n.nspname IN ('pg_catalog', 'information_schema') OR c.relkind = 'r'
                AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_class root
            ON root.oid = CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) ELSE c.oid END
        JOIN pg_catalog.pg_namespace rn ON rn.oid = root.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relisshared AND c.relpersistence <> 't'
        ORDER BY root.oid, c.oid";
    let mut tables: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
    let mut relations = Vec::new();
    for row in inside.query("listing what statistics are gathered of", sql, &[]).await? {
        let (name, root) = ((row.get(0), row.get(1)), (row.get(2), row.get(3)));
        if row.get(4) {
            relations.push(Relation { name, kind: RelationKind::View });
        } else if row.get(5) {
            relations.push(Relation { name, kind: RelationKind::Late });
        } else if name == root {
            tables.entry(root).or_default();
        } else {
            tables.entry(root).or_default().push(name);
        }
    }
    let table = |(name, partitions)| Relation { name, kind: RelationKind::Table(partitions) };
    relations.extend(tables.into_iter().map(table));
    Ok(relations)
}

/// Gathers statistics of these relations. A refusal is not the end of a restore.
pub(super) async fn gather(
    scope: &Scope,
    relations: impl Iterator<Item = &Relation>,
    working: &str,
) -> Result<Vec<Refused>, Stopped> {
    let names: Vec<String> = relations.map(|relation| quote::qualified(&relation.name.0, &relation.name.1)).collect();
    let inside = scope.connector.connect(working).await?;
    let mut refused = Vec::new();
    for names in names.chunks(MOST) {
        let names = names.join(", ");
        if let Err(refusal) = inside.attempt("gathering statistics", &format!("ANALYZE {names}")).await? {
            let reason = format!("the target refuses it: {refusal}");
            refused.push(Refused { what: format!("statistics of {names}"), reason });
        }
    }
    Ok(refused)
}
