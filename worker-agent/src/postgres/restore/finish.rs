//! What surrounds the archive's own phases: rights lent to owners while their objects are made, and the database's own
//! properties.

use haulier_domain::postgres::manifest::{Privilege, Properties, Setting};
use haulier_domain::postgres::quote::identifier;
use haulier_domain::postgres::roles::assignment;

use super::super::connect::Session;
use super::super::context::Stopped;
use super::super::job::RestoreOutcome;
use super::archive::Head;
use super::target::Named;
use super::{Scope, attempt};

/// Settings that say what a value means.
const MEANINGS: [&str; 7] =
    ["TimeZone", "DateStyle", "IntervalStyle", "lc_monetary", "lc_numeric", "default_text_search_config", "xmloption"];

/// A right lent to a role: on a schema, until its objects are made.
pub(super) struct Lent {
    schema: String,
    role: String,
    privilege: &'static str,
}

/// An owner must be allowed to create in a schema before an object in it can be given to him.
pub(super) async fn lend_schemas(inside: &Session, scope: &Scope, head: &Head) -> Result<Vec<Lent>, Stopped> {
    let mut lent = Vec::new();
    if scope.target.superuser {
        return Ok(lent);
    }
    let pairs: std::collections::BTreeSet<_> =
        head.kept().filter_map(|entry| entry.schema.clone().zip(entry.owner.clone())).collect();
    for (schema, role) in pairs {
        for privilege in ["CREATE", "USAGE"] {
            let doing = format!("letting {role:?} create in schema {schema:?} for a while");
            let sql = "SELECT pg_catalog.has_schema_privilege(r.oid, n.oid, $3)
                FROM pg_catalog.pg_roles r, pg_catalog.pg_namespace n WHERE r.rolname = $1 AND n.nspname = $2";
            let found = inside.query(&doing, sql, &[&role, &schema, &privilege]).await?;
            // A role or schema that is not there is explained by what fails for want of it.
            if found.first().is_none_or(|row| row.get::<_, bool>(0)) {
                continue;
            }
            let sql = format!("GRANT {privilege} ON SCHEMA {} TO {}", identifier(&schema), identifier(&role));
            inside.execute(&doing, &sql).await?;
            lent.push(Lent { schema: schema.clone(), role: role.clone(), privilege });
        }
    }
    Ok(lent)
}

/// Takes the rights back, before the restored privileges are set.
pub(super) async fn take_back_schemas(inside: &Session, lent: &[Lent]) -> Result<(), Stopped> {
    for Lent { schema, role, privilege } in lent {
        let doing = format!("taking back what was lent to {role:?} on schema {schema:?}");
        let sql = format!("REVOKE {privilege} ON SCHEMA {} FROM {}", identifier(schema), identifier(role));
        inside.execute(&doing, &sql).await?;
    }
    Ok(())
}

/// Gives the database those of its settings that say what a value means, before there are any values: what a check compares,
/// what a materialized view shows and how an amount of money is read depend on them. `pg_restore --create` sets them then, too.
pub(super) async fn meanings(
    front: &Session,
    wanted: &Named<'_>,
    working: &str,
    outcome: &mut RestoreOutcome,
) -> Result<(), Stopped> {
    let database = wanted.database;
    for setting in database.properties.settings.iter().filter(|setting| is_meaning(setting)) {
        set(front, &database.name, working, setting, outcome).await?;
    }
    Ok(())
}

fn is_meaning(setting: &Setting) -> bool {
    setting.role.is_none() && MEANINGS.iter().any(|name| setting.name.eq_ignore_ascii_case(name))
}

async fn set(
    front: &Session,
    place: &str,
    working: &str,
    setting: &Setting,
    outcome: &mut RestoreOutcome,
) -> Result<(), Stopped> {
    let name = identifier(working);
    let assigned = assignment(&setting.name, &setting.value);
    let (sql, what) = match &setting.role {
        None => (format!("ALTER DATABASE {name} SET {assigned}"), format!("set {} of the database", setting.name)),
        Some(role) => (
            format!("ALTER ROLE {} IN DATABASE {name} SET {assigned}", identifier(role)),
            format!("set {} of role {role:?} in the database", setting.name),
        ),
    };
    attempt(front, &sql, place, &what, outcome).await?;
    Ok(())
}

/// Gives the database its own properties: settings, limits, owner, privileges. Its comment comes last of all: until the
/// restore is over, another stands there.
pub(super) async fn properties(
    scope: &Scope,
    front: &Session,
    wanted: &Named<'_>,
    working: &str,
    outcome: &mut RestoreOutcome,
) -> Result<(), Stopped> {
    let properties = &wanted.database.properties;
    let place = wanted.database.name.as_str();
    let name = identifier(working);
    // All of them once more, so that they stand in the order they had.
    if properties.settings.iter().any(is_meaning) {
        attempt(front, &format!("ALTER DATABASE {name} RESET ALL"), place, "settings of the database", outcome).await?;
    }
    for setting in &properties.settings {
        set(front, place, working, setting, outcome).await?;
    }
    if properties.connection_limit >= 0 {
        let sql = format!("ALTER DATABASE {name} CONNECTION LIMIT {}", properties.connection_limit);
        attempt(front, &sql, place, "connection limit of the database", outcome).await?;
    }
    if properties.owner != scope.target.login {
        let sql = format!("ALTER DATABASE {name} OWNER TO {}", identifier(&properties.owner));
        let what = format!("give the database to {:?}", properties.owner);
        attempt(front, &sql, place, &what, outcome).await?;
    }
    if let Some(privileges) = &properties.privileges {
        for sql in privilege_statements(&name, properties, privileges) {
            attempt(front, &sql, place, "privileges on the database", outcome).await?;
        }
    }
    if properties.is_template {
        let sql = format!("ALTER DATABASE {name} IS_TEMPLATE true");
        attempt(front, &sql, place, "template flag of the database", outcome).await?;
    }
    Ok(())
}

/// What `PUBLIC` and the owner have by default goes first, then what was granted comes.
fn privilege_statements(name: &str, properties: &Properties, privileges: &[Privilege]) -> Vec<String> {
    let mut statements = vec![
        format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
        format!("REVOKE ALL ON DATABASE {name} FROM {}", identifier(&properties.owner)),
    ];
    statements.extend(privileges.iter().map(|privilege| {
        let grantee = privilege.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), identifier);
        let option = if privilege.grantable { " WITH GRANT OPTION" } else { "" };
        format!("GRANT {} ON DATABASE {name} TO {grantee}{option}", privilege.privilege)
    }));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_replace_the_defaults() {
        let properties = Properties { owner: "app".into(), ..Properties::default() };
        let grant = |grantee: Option<&str>, privilege: &str, grantable| Privilege {
            grantee: grantee.map(str::to_owned),
            grantor: "app".into(),
            privilege: privilege.into(),
            grantable,
        };
        let privileges = [grant(None, "CONNECT", false), grant(Some("r\"x"), "CREATE", true)];
        assert_eq!(
            privilege_statements("\"w\"", &properties, &privileges),
            [
                "REVOKE ALL ON DATABASE \"w\" FROM PUBLIC",
                "REVOKE ALL ON DATABASE \"w\" FROM \"app\"",
                "GRANT CONNECT ON DATABASE \"w\" TO PUBLIC",
                "GRANT CREATE ON DATABASE \"w\" TO \"r\"\"x\" WITH GRANT OPTION",
            ]
        );
    }
}
