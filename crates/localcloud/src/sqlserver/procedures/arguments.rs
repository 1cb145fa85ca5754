//! What the procedures of RDS take: their parameters by name or by place, and what is wrong with them.

use jiff::civil::DateTime;

use super::super::backup::Kind;
use super::super::error::SqlError;
use super::super::instance::Instance;
use super::super::value::{Value, moment};

/// An argument by name, or by its place.
pub(crate) type Given = (Option<String>, Value);

/// Parameters of each procedure, and how many of the first must be given.
const SIGNATURES: [(&str, usize, &[&str]); 12] = [
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
    // What these two need they say themselves, in other words.
    ("rds_tlog_copy_setup", 0, &["target_s3_arn"]),
    (
        "rds_tlog_backup_copy_to_s3",
        0,
        &[
            "db_name",
            "kms_key_arn",
            "backup_file_start_time",
            "backup_file_end_time",
            "starting_lsn",
            "ending_lsn",
            "rds_backup_starting_seq_id",
            "rds_backup_ending_seq_id",
        ],
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
pub(super) fn home(procedure: &str) -> &'static str {
    match procedure {
        "rds_modify_db_name" | "rds_show_configuration" | "rds_set_configuration" => "rdsadmin",
        _ => "msdb",
    }
}

/// Arguments by the names of parameters.
pub(super) struct Arguments {
    pub(super) procedure: &'static str,
    values: Vec<(&'static str, Value)>,
}

impl Arguments {
    pub(super) fn bind(procedure: &str, given: &[Given]) -> Result<Self, SqlError> {
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

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).and_then(Value::text)
    }

    pub(super) fn required(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i128>, SqlError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => value.number().map(Some).ok_or_else(|| self.invalid(name)),
        }
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, SqlError> {
        match self.number(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(self.invalid(name)),
        }
    }

    /// A moment, as SQL Server's literals are written.
    pub(super) fn moment(&self, name: &str) -> Result<Option<DateTime>, SqlError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::DateTime(moment)) => Ok(Some(*moment)),
            Some(value) => value.text().and_then(|text| moment(&text)).map(Some).ok_or_else(|| self.invalid(name)),
        }
    }

    pub(super) fn invalid(&self, name: &str) -> SqlError {
        SqlError::raised(format!("Invalid value for parameter @{name} of {}.", self.procedure))
    }

    /// `FULL` or `DIFFERENTIAL`.
    pub(super) fn kind(&self) -> Result<Kind, SqlError> {
        match self.text("type").map(|text| text.to_uppercase()).as_deref() {
            None | Some("FULL") => Ok(Kind::Full),
            Some("DIFFERENTIAL") => Ok(Kind::Differential),
            Some(_) => Err(self.invalid("type")),
        }
    }

    /// The letter of a volume that the instance has.
    pub(super) fn volume(&self, name: &str, instance: &Instance) -> Result<char, SqlError> {
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
    pub(super) fn check_tuning(&self) -> Result<(), SqlError> {
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
