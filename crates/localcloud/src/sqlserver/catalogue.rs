//! What can be selected from: the views of the catalogue, msdb's history, and the functions of the server.

mod history;
mod logs;

use super::database::{Database, Mode, Recovery};
use super::instance::{Instance, now};
use super::sql::Source;
use super::state::SYSTEM;
use super::value::{Table, Type, Value};
use super::{COLLATION, COMPATIBILITY, PRODUCT_LEVEL, PRODUCT_VERSION, SERVER_NAME};
use crate::sqlserver::error::SqlError;

const NAME: Type = Type::NVarChar(128);

/// The catalogue as one session sees it.
pub(crate) struct Catalogue<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) user: &'a str,
    /// The database in use.
    pub(crate) database: &'a str,
    /// Transactions that are open.
    pub(crate) transactions: u32,
}

impl Source for Catalogue<'_> {
    fn table(&self, name: &[String], arguments: Option<&[Value]>) -> Result<Table, SqlError> {
        let name: Vec<String> = name.iter().map(|part| part.to_lowercase()).collect();
        let name: Vec<&str> = name.iter().map(String::as_str).collect();
        match (name.as_slice(), arguments) {
            (["sys", view] | [_, "sys", view], None) => self.view(view),
            (["msdb", "dbo", "backupset"], None) => Ok(self.backups()),
            (["dbo", "backupset"] | ["backupset"], None) if self.database.eq_ignore_ascii_case("msdb") => {
                Ok(self.backups())
            }
            (["msdb", "dbo", "rds_fn_task_status"], Some([database, task])) => {
                Ok(self.status(database.text().as_deref(), task.number()))
            }
            (["dbo", "rds_fn_task_status"], Some([database, task])) if self.database.eq_ignore_ascii_case("msdb") => {
                Ok(self.status(database.text().as_deref(), task.number()))
            }
            (["msdb", "dbo", "rds_fn_list_tlog_backup_metadata"], Some([database])) => {
                Ok(self.log_backups(&database.text().unwrap_or_default()))
            }
            (["dbo", "rds_fn_list_tlog_backup_metadata"], Some([database]))
                if self.database.eq_ignore_ascii_case("msdb") =>
            {
                Ok(self.log_backups(&database.text().unwrap_or_default()))
            }
            _ => Err(SqlError::no_object(&name.join("."))),
        }
    }

    fn global(&self, name: &str) -> Option<Value> {
        Some(match name {
            "VERSION" => Value::Text(version(self.instance)),
            "SERVERNAME" => Value::from(SERVER_NAME),
            "TRANCOUNT" => Value::Int(self.transactions.into()),
            "ROWCOUNT" | "ERROR" => Value::Int(0),
            "SPID" => Value::Int(51),
            "LANGUAGE" => Value::from("us_english"),
            _ => return None,
        })
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        let text = |index: usize| arguments.get(index).and_then(Value::text);
        Some(match (name, arguments.len()) {
            ("SERVERPROPERTY", 1) => self.server_property(&text(0).unwrap_or_default()),
            ("DB_NAME", 0) => Value::from(self.database),
            ("DB_NAME", 1) => self.name_of(arguments[0].number()),
            ("DB_ID", 0) => self.id_of(self.database),
            ("DB_ID", 1) => text(0).map_or(Value::Null, |name| self.id_of(&name)),
            ("SUSER_SNAME" | "SUSER_NAME" | "SYSTEM_USER" | "ORIGINAL_LOGIN" | "CURRENT_USER" | "USER_NAME", 0) => {
                Value::from(self.user)
            }
            ("GETDATE" | "SYSDATETIME" | "GETUTCDATE" | "SYSUTCDATETIME", 0) => Value::DateTime(now()),
            // The one login is the master: no sysadmin, but processadmin and setupadmin as RDS's has.
            ("IS_SRVROLEMEMBER", 1 | 2) => Value::Int(i64::from(matches!(
                text(0)?.to_lowercase().as_str(),
                "processadmin" | "setupadmin" | "public"
            ))),
            ("HAS_DBACCESS", 1) => match text(0) {
                Some(name) => self.instance.read(|state| {
                    state
                        .get(&name)
                        .map_or(Value::Null, |database| Value::Int(i64::from(database.mode == Mode::Online)))
                }),
                None => Value::Null,
            },
            ("HAS_PERMS_BY_NAME", 3) => Value::Int(1),
            ("DATABASEPROPERTYEX", 2) => self.database_property(&text(0)?, &text(1)?),
            ("OBJECT_ID", 1 | 2) => match text(0)?.to_lowercase() {
                name if name.starts_with("msdb.dbo.rds_") => Value::Int(1_000),
                _ => Value::Null,
            },
            _ => return None,
        })
    }
}

impl Catalogue<'_> {
    fn view(&self, name: &str) -> Result<Table, SqlError> {
        match name {
            "databases" => Ok(self.databases()),
            "master_files" => Ok(self.files(None)),
            "database_files" => Ok(self.files(Some(self.database))),
            _ => Err(SqlError::no_object(&format!("sys.{name}"))),
        }
    }

    fn databases(&self) -> Table {
        let mut table = Table::new(&[
            ("name", NAME),
            ("database_id", Type::Int),
            ("create_date", Type::DateTime),
            ("compatibility_level", Type::TinyInt),
            ("collation_name", NAME),
            ("user_access", Type::TinyInt),
            ("user_access_desc", Type::NVarChar(60)),
            ("is_read_only", Type::Bit),
            ("state", Type::TinyInt),
            ("state_desc", Type::NVarChar(60)),
            ("is_in_standby", Type::Bit),
            ("recovery_model", Type::TinyInt),
            ("recovery_model_desc", Type::NVarChar(60)),
            ("is_encrypted", Type::Bit),
            ("is_cdc_enabled", Type::Bit),
            ("source_database_id", Type::Int),
            ("snapshot_isolation_state", Type::TinyInt),
        ]);
        let mut row = |id: i64, name: &str, database: Option<&Database>| {
            let restoring = database.is_some_and(|database| database.mode == Mode::Restoring);
            let single = database.is_some_and(|database| database.single_user);
            let (recovery, recovery_name) = database.map_or(Recovery::Simple, |database| database.recovery).shown();
            let created =
                database.map_or_else(|| jiff::civil::date(2003, 4, 8).at(9, 13, 36, 0), |database| database.created);
            let compatibility = database.map_or(COMPATIBILITY, |database| database.compatibility);
            table.rows.push(vec![
                Value::from(name),
                Value::Int(id),
                Value::DateTime(created),
                Value::Int(compatibility.into()),
                if restoring { Value::Null } else { Value::from(COLLATION) },
                Value::Int(i64::from(single)),
                Value::from(if single { "SINGLE_USER" } else { "MULTI_USER" }),
                Value::Bit(false),
                Value::Int(i64::from(restoring)),
                Value::from(if restoring { "RESTORING" } else { "ONLINE" }),
                Value::Bit(false),
                Value::Int(recovery),
                Value::from(recovery_name),
                Value::Bit(false),
                Value::Bit(database.is_some_and(|database| database.placing.keep_cdc)),
                Value::Null,
                Value::Int(0),
            ]);
        };
        for (name, id) in SYSTEM {
            row(id, name, None);
        }
        self.instance.read(|state| {
            for database in state.databases.values() {
                row(database.id, &database.name, Some(database));
            }
        });
        table
    }

    fn files(&self, of: Option<&str>) -> Table {
        let mut table = Table::new(&[
            ("database_id", Type::Int),
            ("file_id", Type::Int),
            ("file_guid", Type::Guid),
            ("type", Type::TinyInt),
            ("type_desc", Type::NVarChar(60)),
            ("data_space_id", Type::Int),
            ("name", NAME),
            ("physical_name", Type::NVarChar(260)),
            ("state", Type::TinyInt),
            ("state_desc", Type::NVarChar(60)),
            ("size", Type::Int),
            ("max_size", Type::Int),
            ("growth", Type::Int),
        ]);
        self.instance.read(|state| {
            let wanted = |database: &&Database| of.is_none_or(|of| database.name.eq_ignore_ascii_case(of));
            for database in state.databases.values().filter(wanted) {
                let (data, log) = database.sizes();
                let restoring = database.mode == Mode::Restoring;
                let placing = database.placing;
                for (number, guid, kind, volume, ending, pages) in [
                    (1, database.data_file, "ROWS", placing.data, "mdf", data),
                    (2, database.log_file, "LOG", placing.log, "ldf", log),
                ] {
                    let is_log = i64::from(kind == "LOG");
                    let name = if kind == "LOG" { format!("{}_log", database.name) } else { database.name.clone() };
                    table.rows.push(vec![
                        Value::Int(database.id),
                        Value::Int(number),
                        Value::Guid(guid),
                        Value::Int(is_log),
                        Value::from(kind),
                        Value::Int(1 - is_log),
                        Value::Text(name.clone()),
                        Value::Text(format!("{volume}:\\rdsdbdata\\DATA\\{name}.{ending}")),
                        Value::Int(i64::from(restoring)),
                        Value::from(if restoring { "RESTORING" } else { "ONLINE" }),
                        Value::Int(pages.into()),
                        Value::Int(-1),
                        Value::Int(8192),
                    ]);
                }
            }
        });
        table
    }

    fn id_of(&self, name: &str) -> Value {
        let system = SYSTEM.iter().find(|(system, _)| system.eq_ignore_ascii_case(name)).map(|(_, id)| *id);
        let id = system.or_else(|| self.instance.read(|state| state.get(name).map(|database| database.id)));
        id.map_or(Value::Null, Value::Int)
    }

    fn name_of(&self, id: Option<i128>) -> Value {
        let is = |own: i64| id == Some(i128::from(own));
        let system = SYSTEM.iter().find(|(_, own)| is(*own)).map(|(name, _)| (*name).to_owned());
        let found = system.or_else(|| {
            self.instance.read(|state| {
                state.databases.values().find(|database| is(database.id)).map(|database| database.name.clone())
            })
        });
        found.into()
    }

    fn server_property(&self, name: &str) -> Value {
        match name.to_lowercase().as_str() {
            "productversion" => Value::from(PRODUCT_VERSION),
            "productlevel" => Value::from(PRODUCT_LEVEL),
            "productmajorversion" => Value::from("16"),
            "edition" => Value::from(self.instance.edition.name()),
            "engineedition" => Value::Int(self.instance.edition.number()),
            "collation" => Value::from(COLLATION),
            "servername" | "machinename" => Value::from(SERVER_NAME),
            "isclustered" | "ishadrenabled" | "isintegratedsecurityonly" => Value::Int(0),
            _ => Value::Null,
        }
    }

    fn database_property(&self, name: &str, property: &str) -> Value {
        self.instance.read(|state| {
            let Some(database) = state.get(name) else { return Value::Null };
            match property.to_lowercase().as_str() {
                "status" if database.mode == Mode::Restoring => Value::from("RESTORING"),
                "status" => Value::from("ONLINE"),
                "recovery" => Value::from(database.recovery.shown().1),
                "collation" => Value::from(COLLATION),
                "useraccess" if database.single_user => Value::from("SINGLE_USER"),
                "useraccess" => Value::from("MULTI_USER"),
                _ => Value::Null,
            }
        })
    }
}

fn version(instance: &Instance) -> String {
    format!(
        "Microsoft SQL Server 2022 ({PRODUCT_LEVEL}) - {PRODUCT_VERSION} (X64) \n\t{} (stand-in of the local cloud)",
        instance.edition.name()
    )
}
