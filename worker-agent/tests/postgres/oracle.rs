//! Whether two databases are the same, by stock `pg_dump` and `psql` alone.

use std::collections::BTreeMap;

use crate::server::Server;

/// Everything by which databases are compared.
pub(crate) type Portrait = BTreeMap<String, String>;

/// Where a row of a table that is partitioned by hash belongs may depend on oids (of an enum's values, say), which are others
/// on another server: such a table is compared as a whole.
const TABLES: &str = "SELECT CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND (
        c.oid IN (SELECT partrelid FROM pg_partitioned_table WHERE partstrat = 'h')
        OR c.relkind IN ('r', 'm') AND c.relispopulated AND NOT EXISTS (
            SELECT FROM pg_inherits i JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
            WHERE i.inhrelid = c.oid AND p.partstrat = 'h'))
    ORDER BY 1";

/// Draws a database: its schema as `pg_dump` writes it, each table's rows as a hash, sequences, large objects.
pub(crate) fn portrait(server: &Server, database: &str) -> Portrait {
    let mut portrait = Portrait::new();
    portrait.insert("schema".into(), dump(server, database, &["--schema-only"]));
    for table in
        records(&server.sql(database, &format!("SELECT encode(convert_to(t, 'UTF8'), 'hex') FROM ({TABLES}) x(t)")))
    {
        let sql = format!(
            "SELECT count(*), md5(coalesce(string_agg(h, '' ORDER BY h), '')) FROM
            (SELECT md5(t::text) FROM {table} t) x(h)"
        );
        portrait.insert(format!("rows of {table}"), server.sql(database, &sql));
    }
    let sequences = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2";
    portrait.insert("sequences".into(), server.sql(database, sequences));
    let objects =
        "SELECT oid, pg_get_userbyid(lomowner), lomacl, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid";
    portrait.insert("large objects".into(), server.sql(database, objects));
    portrait
}

fn records(hexes: &str) -> Vec<String> {
    hexes.lines().map(|line| String::from_utf8(hex::decode(line).unwrap()).unwrap()).collect()
}

/// The statements that make the database itself, by `pg_dump --create`: locale, owner, settings, privileges, comment.
pub(crate) fn create_statements(server: &Server, database: &str) -> String {
    // Nothing of the content: no schema, no table.
    let text = dump(server, database, &["--create", "--schema-only", "--exclude-schema=*"]);
    text.lines().filter(|line| line.contains("DATABASE")).collect::<Vec<_>>().join("\n")
}

/// Roles, their settings and memberships.
pub(crate) fn roles(server: &Server) -> String {
    let mut command = server.program("pg_dumpall", "rdsadmin", "postgres");
    let output = command.args(["--roles-only", "--no-role-passwords"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tidy(&String::from_utf8_lossy(&output.stdout)).replace(" GRANTED BY rdsadmin", "").replace(" GRANTED BY master", "")
}

fn dump(server: &Server, database: &str, arguments: &[&str]) -> String {
    let mut command = server.program("pg_dump", "rdsadmin", database);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tidy(&String::from_utf8_lossy(&output.stdout))
}

/// Without the random words that some minors put around a script.
fn tidy(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The portraits' differences, short enough to read.
pub(crate) fn differences(one: &Portrait, other: &Portrait) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    keys.into_iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .map(|key| {
            let lines = |portrait: &Portrait| -> Vec<String> {
                portrait.get(key).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
            };
            let (ours, theirs) = (lines(one), lines(other));
            let missing = ours.iter().filter(|line| !theirs.contains(line)).take(8);
            let added = theirs.iter().filter(|line| !ours.contains(line)).take(8);
            format!("{key}: missing {:?}, added {:?}", missing.collect::<Vec<_>>(), added.collect::<Vec<_>>())
        })
        .collect()
}

/// Both are the same.
pub(crate) fn assert_same(source: (&Server, &str), copy: (&Server, &str)) {
    let (one, other) = (portrait(source.0, source.1), portrait(copy.0, copy.1));
    assert!(one.len() > 3 || one["schema"].lines().count() < 40, "nothing was compared: {one:?}");
    let differences = differences(&one, &other);
    assert!(differences.is_empty(), "{differences:#?}");
}
