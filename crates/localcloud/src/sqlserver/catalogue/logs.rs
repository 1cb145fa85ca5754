//! `rds_fn_list_tlog_backup_metadata`.

use super::super::instance::now;
use super::super::procedures::LogRefused;
use super::super::value::{Table, Type, Value};
use super::{Catalogue, NAME};

const LSN: Type = Type::Numeric(25);

impl Catalogue<'_> {
    /// The log backups of a database that can be copied, oldest first; or one row that says why there is nothing to list.
    pub(super) fn log_backups(&self, name: &str) -> Table {
        let mut table = Table::new(&[
            ("db_name", NAME),
            ("db_id", Type::Int),
            ("family_guid", Type::Guid),
            ("rds_backup_seq_id", Type::Int),
            ("backup_file_epoch", Type::BigInt),
            ("backup_file_time_utc", Type::DateTime),
            ("starting_lsn", LSN),
            ("ending_lsn", LSN),
            ("is_log_chain_broken", Type::Bit),
            ("file_size_bytes", Type::BigInt),
            ("Error", Type::NVarChar(4000)),
        ]);
        let surroundings = &self.instance.surroundings;
        let backups_are_off = surroundings.retention_days(&self.instance.id) == 0;
        let error = self.instance.read(|state| {
            let Some(database) = state.get(name) else { return Some(LogRefused::NoDatabase(name.to_owned())) };
            if backups_are_off {
                return Some(LogRefused::NoBackups);
            }
            if state.log_target.is_none() {
                return Some(LogRefused::NotSetUp);
            }
            for (backup, broken) in database.log.available(now()) {
                table.rows.push(vec![
                    Value::Text(database.name.clone()),
                    Value::Int(database.id),
                    Value::Guid(database.family),
                    Value::Int(backup.sequence.into()),
                    Value::Int(backup.epoch()),
                    Value::DateTime(backup.time()),
                    Value::Numeric(backup.set.first.number()),
                    Value::Numeric(backup.set.last.number()),
                    Value::Bit(broken),
                    Value::Int(backup.bytes.cast_signed()),
                    Value::Null,
                ]);
            }
            None
        });
        if let Some(error) = error {
            let mut row = vec![Value::Null; table.columns.len() - 1];
            row.push(Value::Text(error.to_string()));
            table.rows.push(row);
        }
        table
    }
}
