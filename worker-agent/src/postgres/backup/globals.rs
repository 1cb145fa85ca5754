//! What lies outside of a database's archive: roles, and what belongs to the database itself. Read from the catalogue
//! as data, not as `pg_dumpall`'s script: a restore under another name, to a server that forbids half of it, has to
//! take it apart in any case (`docs/adr` says more).

use std::collections::BTreeMap;

use haulier_domain::postgres::manifest::{Privilege, Properties, Setting};
use haulier_domain::postgres::roles::{self, Membership, Role};

use super::super::connect::Session;
use super::super::context::Stopped;

/// Every role that is not the server's own.
pub(super) async fn roles(session: &Session, server_version_num: u32) -> Result<Vec<Role>, Stopped> {
    let doing = "reading roles";
    let options =
        if server_version_num >= 160_000 { "m.inherit_option, m.set_option" } else { "NULL::bool, NULL::bool" };
    let sql = format!(
        "SELECT member.rolname::text, role.rolname::text, bool_or(m.admin_option), bool_or({inherit}), bool_or({set})
         FROM pg_catalog.pg_auth_members m
         JOIN pg_catalog.pg_roles role ON role.oid = m.roleid
         JOIN pg_catalog.pg_roles member ON member.oid = m.member
         GROUP BY 1, 2 ORDER BY 1, 2",
        inherit = options.split(", ").next().unwrap_or_default(),
        set = options.split(", ").nth(1).unwrap_or_default(),
    );
    let mut memberships: BTreeMap<String, Vec<Membership>> = BTreeMap::new();
    for row in session.query(doing, &sql, &[]).await? {
        let membership = Membership { role: row.get(1), admin: row.get(2), inherit: row.get(3), set: row.get(4) };
        memberships.entry(row.get(0)).or_default().push(membership);
    }
    let sql = "SELECT r.rolname::text, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
            r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
            pg_catalog.shobj_description(r.oid, 'pg_authid'), s.setconfig
        FROM pg_catalog.pg_roles r
        LEFT JOIN pg_catalog.pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0
        ORDER BY 1";
    let rows = session.query(doing, sql, &[]).await?;
    let all = rows.iter().map(|row| {
        let name: String = row.get(0);
        Role {
            superuser: row.get(1),
            inherit: row.get(2),
            create_role: row.get(3),
            create_database: row.get(4),
            login: row.get(5),
            replication: row.get(6),
            bypass_row_security: row.get(7),
            connection_limit: row.get(8),
            valid_until: row.get(9),
            comment: row.get(10),
            settings: assignments(row.get(11)),
            member_of: memberships.remove(&name).unwrap_or_default(),
            name,
        }
    });
    Ok(all.filter(|role| !roles::is_reserved(&role.name)).collect())
}

/// What belongs to the session's database itself.
pub(super) async fn properties(session: &Session, server_version_num: u32) -> Result<Properties, Stopped> {
    let doing = "reading the database's properties";
    let provider = if server_version_num >= 150_000 { "d.datlocprovider::text" } else { "''::text" };
    let locale = match server_version_num {
        170_000.. => "d.datlocale::text",
        150_000.. => "d.daticulocale::text",
        _ => "NULL::text",
    };
    let rules = if server_version_num >= 160_000 { "d.daticurules::text" } else { "NULL::text" };
    let sql = format!(
        "SELECT pg_get_userbyid(d.datdba)::text, pg_encoding_to_char(d.encoding)::text, d.datcollate::text,
            d.datctype::text, {provider}, {locale}, {rules}, d.datconnlimit, d.datistemplate,
            pg_catalog.shobj_description(d.oid, 'pg_database'), d.datacl IS NOT NULL,
            NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public')
         FROM pg_catalog.pg_database d WHERE d.datname = current_database()"
    );
    let row = session.query_one(doing, &sql, &[]).await?;
    let privileges = if row.get(10) { Some(privileges(session).await?) } else { None };
    Ok(Properties {
        owner: row.get(0),
        encoding: row.get(1),
        collate: row.get(2),
        ctype: row.get(3),
        locale_provider: row.get(4),
        locale: row.get(5),
        icu_rules: row.get(6),
        connection_limit: row.get(7),
        is_template: row.get(8),
        without_public: row.get(11),
        comment: row.get(9),
        privileges,
        settings: settings(session).await?,
    })
}

/// Bytes that the session's database takes, indexes and bloat included.
pub(super) async fn size(session: &Session) -> Result<u64, Stopped> {
    let sql = "SELECT pg_catalog.pg_database_size(current_database())";
    let row = session.query_one("reading the database's size", sql, &[]).await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

async fn privileges(session: &Session) -> Result<Vec<Privilege>, Stopped> {
    let sql = "SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END,
            pg_get_userbyid(a.grantor)::text, a.privilege_type, a.is_grantable
        FROM pg_catalog.pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database()";
    let rows = session.query("reading the database's privileges", sql, &[]).await?;
    let privilege = |row: &tokio_postgres::Row| Privilege {
        grantee: row.get(0),
        grantor: row.get(1),
        privilege: row.get(2),
        grantable: row.get(3),
    };
    Ok(rows.iter().map(privilege).collect())
}

async fn settings(session: &Session) -> Result<Vec<Setting>, Stopped> {
    let sql = "SELECT CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole)::text END, s.setconfig
        FROM pg_catalog.pg_db_role_setting s
        WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        ORDER BY s.setrole";
    let rows = session.query("reading the database's settings", sql, &[]).await?;
    let of_row = |row: &tokio_postgres::Row| {
        let role: Option<String> = row.get(0);
        assignments(row.get(1)).into_iter().map(move |(name, value)| Setting { role: role.clone(), name, value })
    };
    Ok(rows.iter().flat_map(of_row).collect())
}

fn assignments(stored: Option<Vec<String>>) -> Vec<(String, String)> {
    let split = |text: String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    stored.unwrap_or_default().into_iter().filter_map(split).collect()
}
