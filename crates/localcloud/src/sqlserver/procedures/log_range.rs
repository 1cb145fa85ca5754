//! Which log backups a copy is asked for.

use jiff::civil::DateTime;

use super::super::backup::Lsn;
use super::super::error::SqlError;
use super::super::log::LogBackup;
use super::arguments::Arguments;
use super::log_refusals::Refused;

/// Which log backups are meant: each of the three pairs has an open end where one of its parameters is not given.
pub(super) enum Range {
    Time(Option<DateTime>, Option<DateTime>),
    Lsn(Option<i128>, Option<i128>),
    Sequence(Option<i128>, Option<i128>),
}

impl Range {
    /// What the arguments say.
    pub(super) fn of(arguments: &Arguments) -> Result<Self, SqlError> {
        let times = (arguments.moment("backup_file_start_time")?, arguments.moment("backup_file_end_time")?);
        let lsns = (arguments.number("starting_lsn")?, arguments.number("ending_lsn")?);
        let sequences =
            (arguments.number("rds_backup_starting_seq_id")?, arguments.number("rds_backup_ending_seq_id")?);
        let given = [times.0.or(times.1).is_some(), lsns.0.or(lsns.1).is_some(), sequences.0.or(sequences.1).is_some()];
        let reversed = |(first, last): (Option<i128>, Option<i128>)| first.zip(last).is_some_and(|(a, b)| a > b);
        let refused = match given {
            [true, false, false] if times.0.zip(times.1).is_some_and(|(start, end)| start > end) => Refused::Times,
            [true, false, false] => return Ok(Self::Time(times.0, times.1)),
            [false, true, false] if reversed(lsns) => Refused::Lsns,
            [false, true, false] => return Ok(Self::Lsn(lsns.0, lsns.1)),
            [false, false, true] if reversed(sequences) => Refused::Sequences,
            [false, false, true] => return Ok(Self::Sequence(sequences.0, sequences.1)),
            [false, false, false] => Refused::NoSet,
            _ => Refused::SeveralSets,
        };
        Err(refused.into())
    }

    /// Whether a log backup lies in it as a whole.
    pub(super) fn covers(&self, backup: &LogBackup) -> bool {
        let within = |first: i128, last: i128, (start, end): (Option<i128>, Option<i128>)| {
            start.is_none_or(|start| start <= first) && end.is_none_or(|end| last <= end)
        };
        let number = Lsn::number;
        match self {
            Self::Time(start, end) => {
                let time = backup.time();
                start.is_none_or(|start| start <= time) && end.is_none_or(|end| time <= end)
            }
            Self::Lsn(start, end) => within(number(backup.set.first), number(backup.set.last), (*start, *end)),
            Self::Sequence(start, end) => within(backup.sequence.into(), backup.sequence.into(), (*start, *end)),
        }
    }
}
