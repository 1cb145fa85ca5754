//! Log backups, and which of them bring a database to a moment. RDS takes one of each database every few minutes where
//! automated backups are on, keeps seven days of them, and lists them by `rds_fn_list_tlog_backup_metadata`. A restore applies
//! them one after the other onto a full backup, or onto a differential one over it.
//!
//! SQL Server takes a log backup only where it has the record at which the backup before it ends, and tells of a gap when
//! gigabytes have been restored. So the chain is checked by log sequence numbers before anything is asked for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{BackupSet, Broken, Lsn};
use super::keys::BackupType;
use super::row::{Malformed, Row};

/// A log backup as RDS lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogBackup {
    /// RDS's name of the database that it is of: `{db_id}.{family_guid}`.
    pub family: String,
    /// RDS's number of it, `rds_backup_seq_id`.
    pub sequence: u64,
    /// When it was taken: in the second that begins then.
    pub at: Timestamp,
    /// First log record in it.
    pub first_lsn: Lsn,
    /// The log record after the last one in it.
    pub last_lsn: Lsn,
    /// Whether RDS says that records are missing before it.
    #[serde(default)]
    pub is_chain_broken: bool,
    /// Its bytes.
    pub bytes: u64,
}

impl LogBackup {
    /// Reads a row of the list.
    ///
    /// # Errors
    /// It lacks what every row has.
    pub fn of_row(row: &Row) -> Result<Self, Malformed> {
        let strange = |epoch: i64| Malformed::Strange { column: "backup_file_epoch", value: epoch.to_string() };
        let epoch = row.parsed("backup_file_epoch")?;
        Ok(Self {
            family: format!("{}.{}", row.text("db_id")?.trim(), row.text("family_guid")?.trim()),
            sequence: row.parsed("rds_backup_seq_id")?,
            at: Timestamp::from_second(epoch).map_err(|_| strange(epoch))?,
            first_lsn: row.parsed("starting_lsn")?,
            last_lsn: row.parsed("ending_lsn")?,
            is_chain_broken: row.is_set("is_log_chain_broken")?,
            bytes: row.maybe("file_size_bytes")?.unwrap_or_default(),
        })
    }

    /// The name of its file, as RDS copies it.
    pub fn file_name(&self) -> String {
        format!("{}.{}.{}", self.family, self.sequence, self.at.as_second())
    }
}

/// By what an object of that key is known as the file of a log backup, and its file name too: RDS does not say in which case it writes
/// GUIDs.
pub fn name_of(key: &str) -> String {
    key.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

/// Why log backups do not bring a database to the moment that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// The moment lies before the end of the backup that the log is applied to.
    #[error("the backup under it holds the state of {0}, and a log brings no database back to an earlier one")]
    TooEarly(Timestamp),
    /// None has the record at which the backup ends: RDS has deleted it, or takes none.
    #[error("no log backup begins where the backup under it ends, at log record {0}")]
    NoFirst(Lsn),
    /// Two do not follow one another.
    #[error("between log backups {before} and {after} records are missing")]
    Missing {
        /// Number of the one before.
        before: u64,
        /// Number of the one after.
        after: u64,
    },
    /// They end before the moment.
    #[error("the last log backup ends at {0}")]
    TooLate(Timestamp),
}

/// The full backup that log backups would stand on. Snapshots and other full backups break no log, so it need not be the
/// newest; but a database that was dropped and made again has no history.
///
/// # Errors
/// The point has none, or the server does not know it any more.
pub fn base<'b>(base: Option<&'b BackupSet>, history: &[BackupSet]) -> Result<&'b BackupSet, Broken> {
    let base = base.filter(|base| base.backup_type == BackupType::Full).ok_or(Broken::NoBase)?;
    if history.iter().any(|known| known.is_same(base)) { Ok(base) } else { Err(Broken::Forgotten) }
}

/// The log backups to apply onto a backup, in their order: up to the first one that was taken at `until` or later, or all of
/// them. `consistent_at` is the moment whose state the backup holds.
///
/// # Errors
/// They do not reach that moment without a gap.
pub fn chain<'l>(
    under: &BackupSet,
    consistent_at: Timestamp,
    logs: &'l [LogBackup],
    until: Option<Timestamp>,
) -> Result<Vec<&'l LogBackup>, Gap> {
    if until.is_some_and(|until| until < consistent_at) {
        return Err(Gap::TooEarly(consistent_at));
    }
    let mut ordered: Vec<&LogBackup> = logs.iter().filter(|log| log.last_lsn > under.last_lsn).collect();
    ordered.sort_by_key(|log| (log.first_lsn, log.last_lsn, log.sequence));
    let Some(first) = ordered.first().filter(|log| log.first_lsn <= under.last_lsn) else {
        return Err(Gap::NoFirst(under.last_lsn));
    };
    let mut applied = vec![*first];
    let mut end = *first;
    let reached = |log: &LogBackup| until.is_some_and(|until| log.at >= until);
    for log in ordered.iter().skip(1).copied() {
        if reached(end) {
            break;
        }
        if log.last_lsn <= end.last_lsn {
            continue;
        }
        if log.is_chain_broken || log.first_lsn > end.last_lsn || log.family != end.family {
            return Err(Gap::Missing { before: end.sequence, after: log.sequence });
        }
        applied.push(log);
        end = log;
    }
    match until {
        Some(_) if !reached(end) => Err(Gap::TooLate(end.at)),
        _ => Ok(applied),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::chain::tests::{differential, full};
    use super::super::row::row;
    use super::*;

    fn lsn(number: u32) -> Lsn {
        number.to_string().parse().unwrap()
    }

    /// A minute of a test.
    pub(crate) fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    /// A log backup of a test that was taken in the minute of its number.
    pub(crate) fn log(sequence: u32, first: u32, last: u32) -> LogBackup {
        LogBackup {
            family: "5.aa".to_owned(),
            sequence: sequence.into(),
            at: at(sequence.into()),
            first_lsn: lsn(first),
            last_lsn: lsn(last),
            is_chain_broken: false,
            bytes: 1,
        }
    }

    #[test]
    fn log_backups_follow_one_another_from_the_backup_to_the_moment() {
        // It ends at record 109, in minute 10.
        let under = full(1);
        let good = [log(9, 50, 100), log(11, 100, 120), log(12, 120, 130), log(13, 130, 140)];
        let mut unordered = good.to_vec();
        unordered.reverse();
        let mut broken = good.to_vec();
        broken[2].is_chain_broken = true;
        let mut another = good.to_vec();
        another[3].family = "6.bb".to_owned();
        let hole = [log(11, 100, 120), log(13, 130, 140)];
        let late = [log(12, 120, 130)];
        type Case<'a> = (&'a str, &'a [LogBackup], Option<i64>, Result<&'a [u64], Gap>);
        let cases: [Case<'_>; 11] = [
            ("all", &good, None, Ok(&[11, 12, 13])),
            ("unordered", &unordered, None, Ok(&[11, 12, 13])),
            ("between two", &good, Some(12), Ok(&[11, 12])),
            ("as the backup has it", &good, Some(10), Ok(&[11])),
            ("before it", &good, Some(9), Err(Gap::TooEarly(at(10)))),
            ("beyond the last", &good, Some(14), Err(Gap::TooLate(at(13)))),
            ("a hole", &hole, None, Err(Gap::Missing { before: 11, after: 13 })),
            ("a hole behind the moment", &hole, Some(11), Ok(&[11])),
            ("broken by RDS's word", &broken, None, Err(Gap::Missing { before: 11, after: 12 })),
            ("another database of the name", &another, None, Err(Gap::Missing { before: 12, after: 13 })),
            ("a late beginning", &late, None, Err(Gap::NoFirst(lsn(109)))),
        ];
        for (what, logs, until, expected) in cases {
            let chosen = chain(&under, at(10), logs, until.map(at));
            let numbers = chosen.map(|logs| logs.iter().map(|log| log.sequence).collect::<Vec<_>>());
            assert_eq!(numbers, expected.map(<[u64]>::to_vec), "{what}");
        }
        assert_eq!(chain(&under, at(10), &[], None), Err(Gap::NoFirst(lsn(109))));
        // Over a differential backup fewer are needed.
        let over = differential(2, &under);
        let logs = [log(19, 120, 205), log(21, 205, 230)];
        let chosen = chain(&over, at(20), &logs, None).unwrap();
        assert_eq!(chosen.iter().map(|log| log.sequence).collect::<Vec<_>>(), [21]);
    }

    #[test]
    fn a_row_of_the_list_is_read() {
        let read = LogBackup::of_row(&row(&[
            ("db_name", Some("shop")),
            ("db_id", Some("5")),
            ("family_guid", Some("0a-0b")),
            ("rds_backup_seq_id", Some("3507")),
            ("backup_file_epoch", Some("1663274641")),
            ("starting_lsn", Some("149000000112100001")),
            ("ending_lsn", Some("149000000120400001.0")),
            ("is_log_chain_broken", Some("1")),
            ("file_size_bytes", None),
        ]))
        .unwrap();
        assert_eq!((read.sequence, read.at.to_string().as_str()), (3507, "2022-09-15T20:44:01Z"));
        assert_eq!(
            (read.last_lsn.to_string().as_str(), read.is_chain_broken, read.bytes),
            ("149000000120400001", true, 0)
        );
        assert_eq!(read.file_name(), "5.0a-0b.3507.1663274641");
        for (key, expected) in [
            ("ses-1/log/5.0A-0B/5.0A-0B.3507.1663274641", true),
            ("5.0a-0b.3507.1663274641", true),
            ("ses-1/log/5.0a-0b/5.0a-0b.3508.1663274641", false),
            ("ses-1/log/15.0a-0b/15.0a-0b.3507.1663274641", false),
        ] {
            assert_eq!(name_of(key) == name_of(&read.file_name()), expected, "{key}");
        }
        assert!(LogBackup::of_row(&row(&[("rds_backup_seq_id", Some("1"))])).is_err());
    }

    #[test]
    fn the_server_must_know_the_full_backup_whatever_came_since() {
        let own = full(2);
        let snapshot = BackupSet { is_snapshot: true, ..full(3) };
        assert_eq!(base(Some(&own), &[full(1), full(2), snapshot, full(4)]), Ok(&own));
        assert_eq!(base(Some(&own), &[full(1), full(3)]), Err(Broken::Forgotten));
        assert_eq!(base(None, &[full(2)]), Err(Broken::NoBase));
        assert_eq!(base(Some(&differential(3, &own)), &[full(2)]), Err(Broken::NoBase));
    }
}
