//! What must be true before the first byte is read: a database that answers, names that exist, rights to everything.

use haulier_domain::failure::Failure;

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;

/// Names shown at most when something is missing.
const MOST_NAMES: i64 = 20;

/// Schemas that belong to the server, and what belongs to an extension, are not dumped.
pub(super) const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')";

/// The server.
pub(super) struct Server {
    pub(super) version_num: u32,
    pub(super) version: String,
    pub(super) user: String,
}

/// Connects to the first database that answers.
pub(super) async fn open_front(connector: &Connector, chosen: &[String]) -> Result<Session, Stopped> {
    let candidates = ["postgres", "template1"];
    let candidates = chosen.iter().map(String::as_str).take(1).chain(candidates);
    let mut missing = None;
    for name in candidates {
        match connector.connect(name).await {
            Err(Stopped::Failed(failure)) if failure.code == "db-missing" => {
                missing.get_or_insert(failure);
            }
            other => return other,
        }
    }
    let none = || Failure::new("db-missing", "connecting", "no database answers", "check the instance");
    Err(missing.unwrap_or_else(none).into())
}

/// What the server is.
pub(super) async fn server(session: &Session) -> Result<Server, Stopped> {
    let sql =
        "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), current_user::text";
    let row = session.query_one("reading the server's version", sql, &[]).await?;
    Ok(Server { version_num: row.get::<_, i32>(0).unsigned_abs(), version: row.get(1), user: row.get(2) })
}

/// The databases to dump: those chosen, or all that may be connected to.
pub(super) async fn databases(session: &Session, chosen: &[String], what: &str) -> Result<Vec<String>, Stopped> {
    let sql = "SELECT datname::text FROM pg_catalog.pg_database
        WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin' ORDER BY datname";
    let doing = "listing databases";
    let all: Vec<String> = session.query(doing, sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    if chosen.is_empty() {
        return Ok(all);
    }
    let missing: Vec<_> = chosen.iter().filter(|name| !all.contains(name)).map(|name| format!("{name:?}")).collect();
    if missing.is_empty() {
        return Ok(chosen.to_vec());
    }
    let cause = format!("the instance has no database {} that may be connected to", missing.join(", "));
    Err(Failure::new("db-missing", what, cause, "correct the policy's list of databases").into())
}

/// Refuses a database that this login could not read whole.
pub(super) async fn may_read_all(session: &Session, database: &str) -> Result<(), Stopped> {
    let doing = format!("checking what may be read of database {database:?}");
    let unreadable = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND {OURS}
           AND NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind
                WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END)
         ORDER BY 1 LIMIT {MOST_NAMES}"
    );
    refuse(
        session,
        &doing,
        &unreadable,
        "db-privileges-missing",
        "the login may not read",
        "grant the login pg_read_all_data, or membership in the owners' roles",
    )
    .await?;
    let hidden = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND {OURS} AND row_security_active(c.oid)
         ORDER BY 1 LIMIT {MOST_NAMES}"
    );
    refuse(
        session,
        &doing,
        &hidden,
        "db-row-security",
        "row security would hide rows of",
        "give the login BYPASSRLS, or make it a member of the tables' owner without FORCE ROW LEVEL SECURITY",
    )
    .await?;
    let objects = format!(
        "SELECT m.oid::text FROM pg_catalog.pg_largeobject_metadata m
         WHERE NOT (current_setting('lo_compat_privileges')::bool OR pg_has_role(m.lomowner, 'USAGE')
            OR EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
                AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))))
         ORDER BY m.oid LIMIT {MOST_NAMES}"
    );
    refuse(
        session,
        &doing,
        &objects,
        "db-large-objects-unreadable",
        "the login may not read the large objects",
        "make the login a member of the large objects' owner, or set lo_compat_privileges",
    )
    .await
}

async fn refuse(
    session: &Session,
    doing: &str,
    sql: &str,
    code: &str,
    cause: &str,
    remedy: &str,
) -> Result<(), Stopped> {
    let names: Vec<String> = session.query(doing, sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let more = if i64::try_from(names.len()).is_ok_and(|count| count >= MOST_NAMES) { " and perhaps more" } else { "" };
    Err(Failure::new(code, doing, format!("{cause} {}{more}", names.join(", ")), remedy).into())
}
