//! What msdb tells of backups and of tasks.

use super::super::SERVER_NAME;
use super::super::instance::now;
use super::super::tasks::Task;
use super::super::value::{Table, Type, Value};
use super::{Catalogue, NAME};

impl Catalogue<'_> {
    /// `msdb.dbo.backupset`.
    pub(super) fn backups(&self) -> Table {
        const LSN: Type = Type::Numeric(25);
        let mut table = Table::new(&[
            ("backup_set_id", Type::Int),
            ("backup_set_uuid", Type::Guid),
            ("database_name", NAME),
            ("type", Type::NVarChar(1)),
            ("first_lsn", LSN),
            ("last_lsn", LSN),
            ("checkpoint_lsn", LSN),
            ("database_backup_lsn", LSN),
            ("differential_base_lsn", LSN),
            ("differential_base_guid", Type::Guid),
            ("backup_start_date", Type::DateTime),
            ("backup_finish_date", Type::DateTime),
            ("backup_size", Type::Numeric(20)),
            ("recovery_model", Type::NVarChar(60)),
            ("is_snapshot", Type::Bit),
            ("is_copy_only", Type::Bit),
            ("server_name", NAME),
        ]);
        self.instance.read(|state| {
            for (number, set) in (1..).zip(&state.backups) {
                table.rows.push(vec![
                    Value::Int(number),
                    Value::Guid(set.set),
                    Value::Text(set.database.clone()),
                    Value::Text(set.kind.letter().to_string()),
                    Value::Numeric(set.first.number()),
                    Value::Numeric(set.last.number()),
                    Value::Numeric(set.checkpoint.number()),
                    Value::Numeric(set.database_backup.number()),
                    set.base.map_or(Value::Null, |base| Value::Numeric(base.lsn.number())),
                    set.base.map_or(Value::Null, |base| Value::Guid(base.set)),
                    Value::DateTime(set.started),
                    Value::DateTime(set.finished),
                    Value::Numeric(set.bytes.into()),
                    Value::from(set.recovery.shown().1),
                    Value::Bit(set.snapshot),
                    Value::Bit(false),
                    Value::from(SERVER_NAME),
                ]);
            }
        });
        table
    }

    /// `rds_task_status`.
    pub(crate) fn status(&self, database: Option<&str>, task: Option<i128>) -> Table {
        let mut table = Table::new(&[
            ("task_id", Type::Int),
            ("task_type", Type::NVarChar(50)),
            ("database_name", NAME),
            ("% complete", Type::Int),
            ("duration (mins)", Type::Int),
            ("lifecycle", Type::NVarChar(50)),
            ("task_info", Type::NVarCharMax),
            ("last_updated", Type::DateTime),
            ("created_at", Type::DateTime),
            ("S3_object_arn", Type::NVarChar(4000)),
            ("overwrite_s3_backup_file", Type::Bit),
            ("KMS_master_key_arn", Type::NVarChar(4000)),
            ("filepath", Type::NVarChar(4000)),
            ("overwrite_file", Type::Bit),
        ]);
        let wanted = |found: &&Task| {
            database.is_none_or(|name| found.order.database.eq_ignore_ascii_case(name))
                && task.is_none_or(|id| id == 0 || id == i128::from(found.id))
        };
        self.instance.tasks(|tasks| {
            for task in tasks.iter().filter(wanted) {
                let order = &task.order;
                let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
                table.rows.push(vec![
                    Value::Int(task.id.into()),
                    Value::from(order.work.name()),
                    Value::Text(order.database.clone()),
                    Value::Int(task.percent.into()),
                    Value::Int(task.minutes(now())),
                    Value::from(task.lifecycle.name()),
                    text(&task.info),
                    Value::DateTime(task.updated),
                    Value::DateTime(task.created),
                    text(&order.arn),
                    Value::Bit(order.overwrite),
                    order.key.clone().into(),
                    Value::Null,
                    Value::Null,
                ]);
            }
        });
        table
    }
}
