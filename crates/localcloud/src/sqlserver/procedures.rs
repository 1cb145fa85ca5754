//! The procedures of RDS: what they take, and what they answer at once.

mod arguments;
mod configuration;
mod log_range;
mod log_refusals;
mod logs;

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
pub(crate) use arguments::Given;
use arguments::{Arguments, home};
pub(crate) use log_refusals::Refused as LogRefused;

/// What a procedure has to say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) tables: Vec<Table>,
    pub(crate) messages: Vec<String>,
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
        "rds_restore_log" => logs::restore(instance, catalogue, &arguments),
        "rds_tlog_copy_setup" => logs::set_up(instance, catalogue, &arguments),
        "rds_tlog_backup_copy_to_s3" => logs::copy(instance, catalogue, &arguments),
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
        "rds_show_configuration" => Ok(configuration::show(instance, &arguments)),
        _ => configuration::set(instance, &arguments),
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
    Order {
        work,
        database,
        arn: String::new(),
        overwrite: false,
        key: None,
        files: 1,
        placing: Placing::default(),
        stop: None,
        logs: Vec::new(),
    }
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
