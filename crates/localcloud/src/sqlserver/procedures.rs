//! The procedures of RDS: what they take, and what they answer at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::agent;
use super::backup::Kind;
use super::catalogue::Catalogue;
use super::database::Mode;
use super::error::SqlError;
use super::instance::Instance;
use super::location::Location;
use super::tasks::{Order, Placing, Work};
use super::value::{Table, Type, Value};

/// An argument by name, or by its place.
pub(crate) type Given = (Option<String>, Value);

/// What a procedure has to say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) tables: Vec<Table>,
    pub(crate) messages: Vec<String>,
}

/// Parameters of each procedure, and how many of the first must be given.
const SIGNATURES: [(&str, usize, &[&str]); 10] = [
    (
        "rds_backup_database",
        2,
        &[
            "source_db_name",
            "s3_arn_to_backup_to",
            "kms_master_key_arn",
            "overwrite_s3_backup_file",
            "type",
            "number_of_files",
            "block_size",
            "max_transfer_size",
            "buffer_count",
            "enable_bucket_default_encryption",
        ],
    ),
    (
        "rds_restore_database",
        2,
        &[
            "restore_db_name",
            "s3_arn_to_restore_from",
            "with_norecovery",
            "keep_cdc",
            "data_file_volume",
            "log_file_volume",
            "kms_master_key_arn",
            "type",
            "block_size",
            "max_transfer_size",
            "buffer_count",
        ],
    ),
    (
        "rds_restore_log",
        2,
        &["restore_db_name", "s3_arn_to_restore_from", "kms_master_key_arn", "with_norecovery", "stopat", "keep_cdc"],
    ),
    ("rds_finish_restore", 1, &["db_name"]),
    ("rds_drop_database", 1, &["db_name"]),
    ("rds_cancel_task", 1, &["task_id"]),
    ("rds_task_status", 0, &["db_name", "task_id"]),
    ("rds_modify_db_name", 2, &["old_db_name", "new_db_name"]),
    ("rds_show_configuration", 0, &["name"]),
    ("rds_set_configuration", 2, &["name", "value"]),
];

/// Drive letters, and the names under which volumes are added to an instance. The first one is there from the beginning.
const VOLUMES: [(char, &str); 4] = [('D', ""), ('H', "rdsdbdata2"), ('I', "rdsdbdata3"), ('J', "rdsdbdata4")];

/// The database that a procedure lives in, by its name.
fn home(procedure: &str) -> &'static str {
    match procedure {
        "rds_modify_db_name" | "rds_show_configuration" | "rds_set_configuration" => "rdsadmin",
        _ => "msdb",
    }
}

/// Arguments by the names of parameters.
struct Arguments {
    procedure: &'static str,
    values: Vec<(&'static str, Value)>,
}

impl Arguments {
    fn bind(procedure: &str, given: &[Given]) -> Result<Self, SqlError> {
        let missing = || SqlError::new(2812, 16, format!("Could not find stored procedure '{procedure}'."));
        let (procedure, needed, parameters) =
            *SIGNATURES.iter().find(|(name, _, _)| *name == procedure).ok_or_else(missing)?;
        let mut values: Vec<(&str, Value)> = Vec::new();
        for (place, (name, value)) in given.iter().enumerate() {
            let parameter = match name {
                Some(name) => parameters.iter().find(|parameter| parameter.eq_ignore_ascii_case(name)),
                None => parameters.get(place),
            };
            let Some(parameter) = parameter else {
                return Err(match name {
                    Some(name) => {
                        let text = format!("@{name} is not a parameter for procedure {procedure}.");
                        SqlError::new(8145, 16, text)
                    }
                    None => {
                        let text = format!("Procedure or function {procedure} has too many arguments specified.");
                        SqlError::new(8144, 16, text)
                    }
                });
            };
            values.push((*parameter, value.clone()));
        }
        let arguments = Self { procedure, values };
        for parameter in &parameters[..needed] {
            if arguments.text(parameter).is_none() {
                let text = format!(
                    "Procedure or function '{procedure}' expects parameter '@{parameter}', which was not supplied."
                );
                return Err(SqlError::new(201, 16, text));
            }
        }
        Ok(arguments)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name).and_then(Value::text)
    }

    fn required(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Result<Option<i128>, SqlError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => value.number().map(Some).ok_or_else(|| self.invalid(name)),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, SqlError> {
        match self.number(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(self.invalid(name)),
        }
    }

    fn invalid(&self, name: &str) -> SqlError {
        SqlError::raised(format!("Invalid value for parameter @{name} of {}.", self.procedure))
    }

    /// `FULL` or `DIFFERENTIAL`.
    fn kind(&self) -> Result<Kind, SqlError> {
        match self.text("type").map(|text| text.to_uppercase()).as_deref() {
            None | Some("FULL") => Ok(Kind::Full),
            Some("DIFFERENTIAL") => Ok(Kind::Differential),
            Some(_) => Err(self.invalid("type")),
        }
    }

    /// The letter of a volume that the instance has.
    fn volume(&self, name: &str, instance: &Instance) -> Result<char, SqlError> {
        let Some(text) = self.text(name) else { return Ok('D') };
        let is = |(letter, _): &&(char, _)| text.eq_ignore_ascii_case(&format!("{letter}:"));
        let (letter, volume) = VOLUMES.iter().find(is).ok_or_else(|| self.invalid(name))?;
        if volume.is_empty() || instance.surroundings.has_volume(&instance.id, volume) {
            return Ok(*letter);
        }
        // RDS's own words for this are not documented.
        Err(SqlError::raised(format!("The DB instance has no volume {letter}: for parameter @{name}.")))
    }

    /// Sizes that BACKUP and RESTORE take; they change nothing in an image.
    fn check_tuning(&self) -> Result<(), SqlError> {
        let block = |size: i128| (512..=65_536).contains(&size) && size & (size - 1) == 0;
        let transfer = |size: i128| (65_536..=4_194_304).contains(&size) && size % 65_536 == 0;
        let count = |count: i128| count >= 1;
        let checks: [(&str, &dyn Fn(i128) -> bool); 3] =
            [("block_size", &block), ("max_transfer_size", &transfer), ("buffer_count", &count)];
        for (name, fits) in checks {
            if self.number(name)?.is_some_and(|size| !fits(size)) {
                return Err(self.invalid(name));
            }
        }
        Ok(())
    }
}

/// Calls a procedure. `name` is as the batch has it; a procedure of another database than the one in use is named with
/// its database.
pub(crate) fn call(
    instance: &Arc<Instance>,
    catalogue: &Catalogue<'_>,
    name: &[String],
    given: &[Given],
) -> Result<Outcome, SqlError> {
    let long = name.join(".");
    let short = name.last().map(|name| name.to_lowercase()).unwrap_or_default();
    let database = match name {
        [database, _, _] => database.as_str(),
        _ => catalogue.database,
    };
    if !database.eq_ignore_ascii_case(home(&short)) {
        return Err(SqlError::new(2812, 16, format!("Could not find stored procedure '{long}'.")));
    }
    let arguments = Arguments::bind(&short, given)?;
    match short.as_str() {
        "rds_backup_database" | "rds_restore_database" => native(instance, catalogue, &arguments),
        "rds_restore_log" => {
            let text =
                "RESTORE LOG is not supported by the local cloud: there is no access to transaction log backups.";
            Err(SqlError::raised(text))
        }
        "rds_finish_restore" => {
            let name = arguments.required("db_name");
            let mode = instance.read(|state| state.get(&name).map(|database| database.mode));
            match mode {
                None => Err(SqlError::raised(format!("Database {name} does not exist."))),
                Some(Mode::Online) => Err(SqlError::raised(format!("Database {name} is not in RESTORING state."))),
                Some(Mode::Restoring) => submit(instance, order(Work::Finish, name)),
            }
        }
        "rds_drop_database" => drop_database(instance, &arguments.required("db_name")),
        "rds_cancel_task" => {
            let id = arguments.number("task_id")?.and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| arguments.invalid("task_id"))?;
            agent::cancel(instance, id).map_err(|error| SqlError::raised(error.to_string()))?;
            Ok(Outcome { tables: vec![catalogue.status(None, Some(id.into()))], messages: Vec::new() })
        }
        "rds_task_status" => {
            let table = catalogue.status(arguments.text("db_name").as_deref(), arguments.number("task_id")?);
            Ok(Outcome { tables: vec![table], messages: Vec::new() })
        }
        "rds_modify_db_name" => {
            let (old, new) = (arguments.required("old_db_name"), arguments.required("new_db_name"));
            check_free(instance, &old)?;
            written(instance.change(|state| state.rename(&old, &new)))?;
            Ok(Outcome::default())
        }
        "rds_show_configuration" => Ok(configuration(instance)),
        _ => configure(instance, &arguments),
    }
}

fn native(instance: &Arc<Instance>, catalogue: &Catalogue<'_>, arguments: &Arguments) -> Result<Outcome, SqlError> {
    if catalogue.transactions > 0 {
        return Err(SqlError::new(3021, 16, "Cannot perform a backup or restore operation within a transaction."));
    }
    if !instance.surroundings.is_backup_enabled(&instance.id) {
        return Err(SqlError::raised(agent::NOT_ENABLED));
    }
    arguments.check_tuning()?;
    let kind = arguments.kind()?;
    let key = arguments.text("kms_master_key_arn").filter(|key| !key.is_empty());
    let order = if arguments.procedure == "rds_backup_database" {
        let name = arguments.required("source_db_name");
        let found = instance.read(|state| state.get(&name).map(|database| database.name.clone()));
        let database = found.ok_or_else(|| SqlError::raised(format!("Database {name} does not exist.")))?;
        let files = arguments.number("number_of_files")?.unwrap_or(1);
        let files = usize::try_from(files).map_err(|_| arguments.invalid("number_of_files"))?;
        let arn = arguments.required("s3_arn_to_backup_to");
        let location = Location::parse(&arn).map_err(|error| SqlError::raised(error.to_string()))?;
        location.keys(files).map_err(|error| SqlError::raised(error.to_string()))?;
        // Objects of the local S3 are not encrypted by the server, whatever the bucket's default says.
        let _default = arguments.flag("enable_bucket_default_encryption", false)?;
        let overwrite = arguments.flag("overwrite_s3_backup_file", false)?;
        Order { key, overwrite, files, arn, ..order(Work::Backup(kind), database) }
    } else {
        let norecovery = arguments.flag("with_norecovery", false)?;
        if kind == Kind::Differential && arguments.value("with_norecovery").is_none() {
            let text = "@with_norecovery must be specified for a restore of the type DIFFERENTIAL.";
            return Err(SqlError::raised(text));
        }
        let keep_cdc = arguments.flag("keep_cdc", false)?;
        if keep_cdc && norecovery {
            return Err(SqlError::raised("@keep_cdc cannot be used with @with_norecovery = 1."));
        }
        let data = arguments.volume("data_file_volume", instance)?;
        let log = arguments.volume("log_file_volume", instance)?;
        let arn = arguments.required("s3_arn_to_restore_from");
        let location = Location::parse(&arn).map_err(|error| SqlError::raised(error.to_string()))?;
        location.prefix().map_err(|error| SqlError::raised(error.to_string()))?;
        let database = arguments.required("restore_db_name");
        let placing = Placing { data, log, keep_cdc };
        Order { key, arn, placing, ..order(Work::Restore { kind, norecovery }, database) }
    };
    submit(instance, order)
}

fn order(work: Work, database: String) -> Order {
    let placing = Placing::default();
    Order { work, database, arn: String::new(), overwrite: false, key: None, files: 1, placing }
}

/// The answer to an order: a row with the task's number.
fn submit(instance: &Arc<Instance>, order: Order) -> Result<Outcome, SqlError> {
    let task = agent::submit(instance, order).map_err(|error| SqlError::raised(error.to_string()))?;
    if instance.tells_tasks_as_text.load(Ordering::Relaxed) {
        let mut table = Table::new(&[("task_id", Type::NVarChar(50))]);
        table.rows.push(vec![Value::Text(format!("Task Id: {}", task.id))]);
        return Ok(Outcome { tables: vec![table], messages: Vec::new() });
    }
    let mut table = Table::new(&[
        ("task_id", Type::Int),
        ("task_type", Type::NVarChar(50)),
        ("lifecycle", Type::NVarChar(50)),
        ("created_at", Type::DateTime),
        ("last_updated", Type::DateTime),
        ("database_name", Type::NVarChar(128)),
        ("S3_object_arn", Type::NVarChar(4000)),
        ("overwrite_S3_backup_file", Type::Bit),
        ("KMS_master_key_arn", Type::NVarChar(4000)),
        ("task_progress", Type::Int),
        ("task_info", Type::NVarCharMax),
    ]);
    table.rows.push(vec![
        Value::Int(task.id.into()),
        Value::from(task.order.work.name()),
        Value::from(task.lifecycle.name()),
        Value::DateTime(task.created),
        Value::DateTime(task.updated),
        Value::Text(task.order.database.clone()),
        Value::Text(task.order.arn.clone()),
        Value::Bit(task.order.overwrite),
        task.order.key.clone().into(),
        Value::Int(0),
        Value::Null,
    ]);
    Ok(Outcome {
        tables: vec![table],
        messages: vec!["Task created successfully.".to_owned(), format!("Task Id: {}", task.id)],
    })
}

fn drop_database(instance: &Instance, name: &str) -> Result<Outcome, SqlError> {
    check_free(instance, name)?;
    written(instance.change(|state| state.drop(name, true)))?;
    Ok(Outcome::default())
}

/// Refuses what a task of the same database forbids.
pub(crate) fn check_free(instance: &Instance, name: &str) -> Result<(), SqlError> {
    let pending = instance.tasks(|tasks| tasks.pending(name).map(|task| task.id));
    match pending {
        None => Ok(()),
        Some(id) => Err(SqlError::raised(super::tasks::Refused::Busy(name.to_owned(), id).to_string())),
    }
}

/// A change that could not be written down is the stand-in's own fault, and says so.
pub(crate) fn written<T>(outcome: anyhow::Result<Result<T, SqlError>>) -> Result<T, SqlError> {
    outcome.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "an instance's state cannot be written");
        Err(SqlError::new(823, 24, format!("the local cloud cannot write the instance's state: {error:#}")))
    })
}

const COMPRESSION: &str = "S3 backup compression";

fn configuration(instance: &Instance) -> Outcome {
    let mut table = Table::new(&[
        ("name", Type::NVarChar(128)),
        ("value", Type::NVarChar(128)),
        ("description", Type::NVarChar(4000)),
    ]);
    let compression = instance.read(|state| state.compression);
    table.rows.push(vec![
        Value::from(COMPRESSION),
        Value::from(if compression { "true" } else { "false" }),
        Value::from("Whether native backups are compressed"),
    ]);
    Outcome { tables: vec![table], messages: Vec::new() }
}

fn configure(instance: &Instance, arguments: &Arguments) -> Result<Outcome, SqlError> {
    if !arguments.required("name").eq_ignore_ascii_case(COMPRESSION) {
        return Err(arguments.invalid("name"));
    }
    let compression = match arguments.required("value").to_lowercase().as_str() {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => return Err(arguments.invalid("value")),
    };
    written(instance.change(|state| {
        state.compression = compression;
        Ok(())
    }))?;
    Ok(Outcome::default())
}
