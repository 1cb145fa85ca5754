//! Are two databases the same? Asked of stock `pg_dump` and of `psql`; no code is shared with the product.
//!
//! A picture of a database is a map from the name of an aspect to its content: each definition of the schema, the rows of
//! each table as a count and an order-free hash, each sequence, each large object, the database's own settings and
//! grants, and the cluster's roles. Two databases are the same where their pictures are.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::process;
use crate::psql::Database;

/// What there is to know of a database, by aspect.
pub type Picture = BTreeMap<String, String>;

/// Tables with their rows as a count and two independent sums of row hashes.
const TABLES: &str = "
    SELECT format('SELECT %L, count(*)::text, coalesce(sum(hashtextextended(t::text, 1)::numeric), 0)::text,
                   coalesce(sum(hashtextextended(t::text, 2)::numeric), 0)::text FROM ONLY %I.%I AS t',
                  format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast|^pg_temp'
    ORDER BY 1";

/// Which materialized views have rows at all: a dump says so in no other way.
const MATERIALIZED_VIEWS: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), c.relispopulated::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' ORDER BY 1";

const SEQUENCES: &str = "
    SELECT format('SELECT %L, last_value::text, is_called::text FROM %I.%I',
                  format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' ORDER BY 1";

const LARGE_OBJECTS: &str = "
    SELECT oid::text, pg_get_userbyid(lomowner), coalesce(lomacl::text, ''), md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid";

const DATABASE: &str = "
    SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit::text,
           coalesce((SELECT string_agg(acl::text, ' ' ORDER BY acl::text) FROM unnest(datacl) AS acl), ''),
           coalesce(shobj_description(oid, 'pg_database'), '')
    FROM pg_database WHERE datname = current_database()";

const SETTINGS: &str = "
    SELECT coalesce((SELECT rolname FROM pg_roles WHERE oid = setrole), ''), array_to_string(setconfig, ' ')
    FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2";

const ROLES: &str = "
    SELECT r.rolname, r.rolinherit::text, r.rolcreaterole::text, r.rolcreatedb::text, r.rolcanlogin::text, r.rolconnlimit::text,
           coalesce(r.rolvaliduntil::text, ''), coalesce(shobj_description(r.oid, 'pg_authid'), ''),
           coalesce((SELECT string_agg(setting, ' ' ORDER BY setting) FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
                     WHERE s.setrole = r.oid AND s.setdatabase = 0), ''),
           coalesce((SELECT string_agg(g.rolname || CASE WHEN m.admin_option THEN '*' ELSE '' END, ' ' ORDER BY g.rolname)
                     FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), '')
    FROM pg_roles r WHERE r.rolname !~ '^pg_|^rds' ORDER BY 1";

/// Draws the picture of a database. Ask as a superuser: others do not see everything.
///
/// # Errors
/// Where the database cannot be read.
pub fn picture(database: &Database) -> Result<Picture> {
    let mut picture = schema(database)?;
    for (kind, listing) in [("rows of", TABLES), ("sequence", SEQUENCES)] {
        let statements: Vec<String> = database.rows(listing)?.into_iter().flatten().collect();
        // Slices of bounded length: each is one statement, and a statement's depth is limited.
        for slice in statements.chunks(200) {
            for row in database.rows(&slice.join("\nUNION ALL\n"))? {
                let [name, values @ ..] = row.as_slice() else { continue };
                picture.insert(format!("{kind} {name}"), values.join(" "));
            }
        }
    }
    for row in database.rows(MATERIALIZED_VIEWS)? {
        picture.insert(format!("materialized view {}", row[0]), format!("populated: {}", row[1]));
    }
    for row in database.rows(LARGE_OBJECTS)? {
        picture.insert(format!("large object {}", row[0]), row[1..].join(" "));
    }
    picture.insert("database".to_owned(), format!("{:?}", database.rows(DATABASE)?));
    picture.insert("database settings".to_owned(), format!("{:?}", database.rows(SETTINGS)?));
    Ok(picture)
}

/// Draws the picture of a server's roles, memberships and role settings. Passwords are not in it: RDS gives none.
///
/// # Errors
/// Where the server cannot be read.
pub fn roles(database: &Database) -> Result<Picture> {
    Ok(database.rows(ROLES)?.into_iter().map(|row| (format!("role {}", row[0]), row[1..].join("|"))).collect())
}

/// Every aspect in which the second differs from the first, a line each; none where they are the same.
pub fn differences(first: &Picture, second: &Picture) -> Vec<String> {
    let missing =
        first.keys().filter(|aspect| !second.contains_key(*aspect)).map(|aspect| format!("missing: {aspect}"));
    let surplus =
        second.keys().filter(|aspect| !first.contains_key(*aspect)).map(|aspect| format!("surplus: {aspect}"));
    let changed = first.iter().filter_map(|(aspect, content)| {
        let other = second.get(aspect)?;
        (other != content).then(|| format!("differs: {aspect}\n  first:  {content}\n  second: {other}"))
    });
    missing.chain(surplus).chain(changed).collect()
}

/// Shows that the oracle sees what it is there to see: on a copy of the database it changes one row, takes one grant away
/// and drops one index, and wants each to be noticed. The statements must fit the database.
///
/// # Errors
/// Where a change goes unnoticed.
pub fn prove(database: &Database, changes: &[(&str, &str)]) -> Result<()> {
    let truth = picture(database)?;
    let copy = database.sibling("haulier oracle control");
    let maintenance = database.sibling("postgres");
    let (quoted_copy, quoted) = (quote(&copy.name), quote(&database.name));
    for (what, statement) in changes {
        maintenance.execute(&format!("DROP DATABASE IF EXISTS {quoted_copy};"))?;
        maintenance.execute(&format!("CREATE DATABASE {quoted_copy} TEMPLATE {quoted};"))?;
        let before = differences(&truth, &picture(&copy)?).len();
        copy.execute(statement)?;
        let after = differences(&truth, &picture(&copy)?).len();
        maintenance.execute(&format!("DROP DATABASE {quoted_copy};"))?;
        ensure!(after > before, "the oracle did not notice: {what}");
    }
    Ok(())
}

/// An SQL identifier in quotes.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// The schema as stock `pg_dump` writes it, an entry for each of its definitions.
fn schema(database: &Database) -> Result<Picture> {
    let mut command = database.program("pg_dump");
    let text = process::output(command.args(["--schema-only", "--dbname"]).arg(database.dsn()))?;
    let mut picture = Picture::new();
    let mut title = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("-- Name: ") {
            title = format!("definition of {name}");
            continue;
        }
        // \restrict and \unrestrict carry a random word in every dump (CVE-2025-8714).
        if title.is_empty() || line.is_empty() || line.starts_with("--") || line.starts_with('\\') {
            continue;
        }
        let body = picture.entry(title.clone()).or_default();
        body.push_str(line);
        body.push('\n');
    }
    Ok(picture)
}
