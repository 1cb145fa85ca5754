//! What surrounds the archive's own phases: rights lent to owners while their objects are made, the database's own
//! properties, and the final name.

use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clash::{self, NameRefused};
use haulier_domain::postgres::manifest::{Privilege, Properties, Setting};
use haulier_domain::postgres::quote::{identifier, literal};
use haulier_domain::postgres::roles::assignment;

use super::super::connect::Session;
use super::super::context::{Severity, Stopped};
use super::super::job::RestoreOutcome;
use super::archive::Head;
use super::database::drop_statement;
use super::target::{self, Named};
use super::{Scope, attempt};

/// How long connections to a replaced database may take to go.
const GOING: Duration = Duration::from_secs(10);

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

/// Gives the database its own properties: settings, comment, limits, owner, privileges.
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
    let comment = properties.comment.as_deref().map_or_else(|| "NULL".to_owned(), literal);
    front.execute("commenting on the database", &format!("COMMENT ON DATABASE {name} IS {comment}")).await?;
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

/// Gives the database its final name: the last step, in one transaction with the end of the one it replaces.
pub(super) async fn rename(scope: &Scope, front: &Session, wanted: &Named<'_>, working: &str) -> Result<(), Stopped> {
    let name = &wanted.target.name;
    let doing = format!("giving database {working:?} its name {name:?}");
    let rename = |from: &str, to: &str| format!("ALTER DATABASE {} RENAME TO {}", identifier(from), identifier(to));
    if !wanted.target.replaces {
        return match front.execute(&doing, &rename(working, name)).await {
            Err(Stopped::Failed(failure)) if failure.cause.contains("already exists") => {
                Err(target::refusal(&NameRefused::Taken(name.clone()), &doing).into())
            }
            other => other,
        };
    }
    let old = clash::replaced_name(working);
    front.execute(&doing, &drop_statement(&old, scope.target.server_version_num)).await?;
    // Nobody may come in between the last one thrown out and the swap.
    let allow = |allow: bool, name: &str| format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {allow}", identifier(name));
    front.execute(&doing, &allow(false, name)).await?;
    let swap = format!("BEGIN; {}; {}; COMMIT", rename(name, &old), rename(working, name));
    let swapped = async {
        throw_out(front, name).await?;
        front.execute(&doing, &swap).await
    };
    if let Err(stopped) = swapped.await {
        // The old database stays as it was.
        let again = scope.connector.obeying(tokio_util::sync::CancellationToken::new());
        let reopened = async { target::open_front(&again).await?.execute(&doing, &allow(true, name)).await };
        if let Err(failed) = reopened.await {
            let text = format!("database {name:?} still refuses connections: {failed}");
            scope.context.log.log(Severity::Error, &text);
        }
        return Err(in_use(stopped, name));
    }
    let doing = format!("dropping the replaced database, now {old:?}");
    front.execute(&doing, &drop_statement(&old, scope.target.server_version_num)).await
}

async fn throw_out(front: &Session, name: &str) -> Result<(), Stopped> {
    let doing = format!("ending the connections to database {name:?}");
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid)
        FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()";
    // Backends take a moment to go. A lock on the database cannot be waited for, so they are asked again until the time
    // is up; the swap itself says who stayed.
    let until = tokio::time::Instant::now() + GOING;
    while !front.query(&doing, sql, &[&name]).await?.is_empty() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn in_use(stopped: Stopped, name: &str) -> Stopped {
    match stopped {
        Stopped::Failed(failure) => Failure::new(
            "restore-target-in-use",
            failure.what,
            failure.cause,
            format!(
                "end the connections to {name:?}, or give the login pg_signal_backend, then run again; it is as it was"
            ),
        )
        .into(),
        Stopped::Cancelled => Stopped::Cancelled,
    }
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
