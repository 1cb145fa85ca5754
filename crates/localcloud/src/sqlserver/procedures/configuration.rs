//! `rds_show_configuration` and `rds_set_configuration`.

use super::super::error::SqlError;
use super::super::instance::Instance;
use super::super::value::{Table, Type, Value};
use super::arguments::Arguments;
use super::{Outcome, written};

const COMPRESSION: &str = "S3 backup compression";
/// Set by `rds_tlog_copy_setup` alone.
const LOG_TARGET: &str = "target_s3_arn_for_tlog_copy";

/// One setting, or all of them.
pub(super) fn show(instance: &Instance, arguments: &Arguments) -> Outcome {
    let mut table = Table::new(&[
        ("name", Type::NVarChar(128)),
        ("value", Type::NVarChar(4000)),
        ("description", Type::NVarChar(4000)),
    ]);
    let (compression, target) = instance.read(|state| (state.compression, state.log_target.clone()));
    let compression = Some(if compression { "true" } else { "false" }.to_owned());
    let wanted = arguments.text("name");
    for (name, value, description) in [
        (COMPRESSION, compression, "Whether native backups are compressed"),
        (LOG_TARGET, target, "Where transaction log backups are copied to"),
    ] {
        if wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(name)) {
            table.rows.push(vec![Value::from(name), value.into(), Value::from(description)]);
        }
    }
    Outcome { tables: vec![table], messages: Vec::new() }
}

/// Changes a setting.
pub(super) fn set(instance: &Instance, arguments: &Arguments) -> Result<Outcome, SqlError> {
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
