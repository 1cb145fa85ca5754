//! The target: what it is, what it has, and under which names databases are restored there.

use std::collections::BTreeSet;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clash::{self, NameRefused, OnClash, TargetName};
use haulier_domain::postgres::left_behind::Asked;
use haulier_domain::postgres::manifest::Database;
use haulier_domain::postgres::selection::Selection;
use haulier_domain::postgres::{quote, roles, toc_filter};

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;
use super::super::job::DatabaseRestore;

/// What the target is and has.
pub(super) struct Target {
    pub(super) server_version_num: u32,
    pub(super) login: String,
    pub(super) superuser: bool,
    pub(super) rds: bool,
    pub(super) roles: BTreeSet<String>,
    pub(super) databases: BTreeSet<String>,
    pub(super) extensions: BTreeSet<String>,
}

/// A database to restore, as asked for.
#[derive(Clone)]
pub(super) struct Wanted<'a> {
    pub(super) database: &'a Database,
    pub(super) name: &'a str,
    pub(super) on_clash: OnClash,
    pub(super) selection: Selection,
}

/// A database to restore, with the name it gets.
pub(super) struct Named<'a> {
    pub(super) database: &'a Database,
    pub(super) asked: Asked,
    pub(super) target: TargetName,
    pub(super) selection: Selection,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(database: &'a Database, asked: &'a DatabaseRestore) -> Result<Self, Failure> {
        let tables = asked.tables.iter().map(|text| quote::parse_qualified(text)).collect::<Result<_, _>>();
        let tables = tables.map_err(|error| {
            Failure::new(
                "restore-table-name",
                format!("restore of tables of database {:?}", asked.database),
                error.to_string(),
                "write tables as schema.table, with double quotes around names that need them in SQL",
            )
        })?;
        let name = if asked.target_name.is_empty() { &asked.database } else { &asked.target_name };
        let schemas = asked.schemas.iter().cloned().collect();
        Ok(Self { database, name, on_clash: asked.on_clash, selection: Selection { schemas, tables } })
    }

    pub(super) fn asked(&self) -> Asked {
        Asked {
            database: self.database.name.clone(),
            name: self.name.to_owned(),
            replaces: self.on_clash == OnClash::Replace,
        }
    }
}

/// Connects to a database that is there whatever is restored.
pub(super) async fn open_front(connector: &Connector) -> Result<Session, Stopped> {
    match connector.connect("postgres").await {
        Err(Stopped::Failed(failure)) if failure.code == "db-missing" => connector.connect("template1").await,
        other => other,
    }
}

impl Target {
    pub(super) async fn read(front: &Session) -> Result<Self, Stopped> {
        let doing = "reading what the target is";
        let sql = "SELECT current_setting('server_version_num')::int4, current_user::text,
            (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
            current_setting('rds.extensions', true) IS NOT NULL";
        let row = front.query_one(doing, sql, &[]).await?;
        Ok(Self {
            server_version_num: row.get::<_, i32>(0).unsigned_abs(),
            login: row.get(1),
            superuser: row.get(2),
            rds: row.get(3),
            roles: names(front, "SELECT rolname::text FROM pg_catalog.pg_roles").await?,
            databases: names(front, "SELECT datname::text FROM pg_catalog.pg_database").await?,
            extensions: names(front, "SELECT name::text FROM pg_catalog.pg_available_extensions").await?,
        })
    }

    pub(super) fn for_entries(&self) -> toc_filter::Target {
        toc_filter::Target { superuser: self.superuser, rds: self.rds, extensions: self.extensions.clone() }
    }

    pub(super) fn for_roles(&self) -> roles::Target {
        roles::Target {
            existing: self.roles.clone(),
            login: self.login.clone(),
            superuser: self.superuser,
            server_version_num: self.server_version_num,
        }
    }
}

async fn names(front: &Session, sql: &str) -> Result<BTreeSet<String>, Stopped> {
    let rows = front.query("reading what the target has", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Gives every database that is still to be restored its final name, before anything is changed on the target. `own` are
/// the names of those that this session has restored already.
pub(super) fn choose_names<'a>(
    on_target: &BTreeSet<String>,
    own: &BTreeSet<String>,
    wanted: &[Wanted<'a>],
    what: &str,
) -> Result<Vec<Named<'a>>, Failure> {
    let mut taken: BTreeSet<String> = on_target.union(own).cloned().collect();
    let foreign: BTreeSet<&String> = on_target.difference(own).collect();
    wanted
        .iter()
        .map(|wanted| {
            // Two databases of one restore never replace each other.
            let is_own = taken.contains(wanted.name) && !foreign.contains(&wanted.name.to_owned());
            let on_clash = match wanted.on_clash {
                OnClash::Replace if is_own => OnClash::Refuse,
                other => other,
            };
            let target = clash::choose(wanted.name, on_clash, &taken).map_err(|refused| refusal(&refused, what))?;
            taken.insert(target.name.clone());
            let selection = wanted.selection.clone();
            Ok(Named { database: wanted.database, asked: wanted.asked(), target, selection })
        })
        .collect()
}

/// A name that cannot be used.
pub(super) fn refusal(refused: &NameRefused, what: &str) -> Failure {
    let (code, remedy) = match refused {
        NameRefused::Taken(_) => (
            "restore-name-taken",
            "give another target name, ask for a suffix, or ask for the existing database to be replaced",
        ),
        NameRefused::Reserved(_) => ("restore-name-reserved", "give another target name"),
        NameRefused::TooLong(_) => ("restore-name-too-long", "give a target name of 1 to 63 bytes"),
    };
    Failure::new(code, what, refused.to_string(), remedy)
}

#[cfg(test)]
mod tests {
    use haulier_domain::postgres::manifest::{Properties, StreamReference};

    use super::*;

    fn database() -> Database {
        Database {
            name: "shop".into(),
            consistent_at: jiff::Timestamp::UNIX_EPOCH,
            properties: Properties::default(),
            archive: StreamReference(serde_json::Value::Null),
            archive_bytes: 0,
            archive_tables: 0,
            tables: Vec::new(),
            archive_contents: Vec::new(),
            large_objects: None,
            server_bytes: None,
        }
    }

    #[test]
    fn a_later_attempt_replaces_nothing_that_the_first_has_restored() {
        let database = database();
        let wanted = |name: &'static str, on_clash| Wanted {
            database: &database,
            name,
            on_clash,
            selection: Selection::default(),
        };
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let chosen = |name, on_clash| {
            choose_names(&set(&["own", "foreign"]), &set(&["own"]), &[wanted(name, on_clash)], "x")
                .map(|named| (named[0].target.name.clone(), named[0].target.replaces))
                .map_err(|failure| failure.code)
        };
        assert_eq!(chosen("foreign", OnClash::Replace), Ok(("foreign".to_owned(), true)));
        assert_eq!(chosen("own", OnClash::Replace), Err("restore-name-taken".to_owned()));
        assert_eq!(chosen("own", OnClash::Suffix), Ok(("own_restored_1".to_owned(), false)));
        let both = [wanted("new", OnClash::Replace), wanted("new", OnClash::Replace)];
        assert!(choose_names(&set(&[]), &set(&[]), &both, "x").is_err());
    }
}
