//! The log of a database, and the backups of it that RDS takes: every five minutes there, here when somebody says so.
//!
//! A log backup begins where the one before it ended. What breaks the chain: a time in which no log is kept (the recovery
//! model SIMPLE, automated backups off), and a backup that RDS has lost.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Unit};
use serde::{Deserialize, Serialize};

use super::backup::{Change, Header, Lsn, Member, Records};
use super::database::{BackupSet, CannotBackUp, Database, Mode, Recovery, whole_seconds};

/// How long log backups can be listed and copied, whatever the retention.
const AVAILABLE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is kept of a database's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// Where the next backup begins; `None` as long as no log is kept.
    start: Option<Lsn>,
    /// Changes since then, oldest first.
    changes: Vec<Change>,
    /// What RDS has, oldest first.
    pub(crate) backups: Vec<LogBackup>,
    taken: u32,
}

/// A log backup that RDS has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogBackup {
    /// `rds_backup_seq_id`: counts the log backups of a database, from 1.
    pub(crate) sequence: u32,
    pub(crate) set: BackupSet,
    pub(crate) changes: Vec<Change>,
    /// Bytes of its file, as long as no key encrypts it.
    pub(crate) bytes: u64,
}

impl Log {
    /// Adds a change; the log begins before it where none was kept.
    pub(crate) fn append(&mut self, before: Lsn, change: Change) {
        self.start.get_or_insert(before);
        self.changes.push(change);
    }

    /// Keeps no log any more; backups of it stay.
    pub(crate) fn stop(&mut self) {
        self.start = None;
        self.changes.clear();
    }

    /// The backups that can be listed and copied, and whether the chain is broken before each.
    pub(crate) fn available(&self, now: DateTime) -> impl Iterator<Item = (&LogBackup, bool)> {
        let recent = move |backup: &&LogBackup| now.duration_since(backup.set.started) <= AVAILABLE;
        let mut before: Option<Lsn> = None;
        self.backups.iter().filter(recent).map(move |backup| {
            let broken = before.replace(backup.set.last).is_some_and(|last| last != backup.set.first);
            (backup, broken)
        })
    }
}

impl LogBackup {
    /// What is in its file, and the file's header.
    pub(crate) fn contents(&self, database: &Database) -> (Header, Records) {
        let records = Records { until: self.set.started, changes: self.changes.clone() };
        (self.set.header(database, Member { number: 1, of: 1 }, self.set.bytes), records)
    }

    /// Name of its folder and its own name in S3, below the target.
    pub(crate) fn key(&self, database: &Database) -> String {
        let folder = format!("{}.{}", database.id, database.family.hyphenated());
        format!("{folder}/{folder}.{}.{}", self.sequence, self.epoch())
    }

    /// `backup_file_epoch`.
    pub(crate) fn epoch(&self) -> i64 {
        jiff::tz::TimeZone::UTC.to_timestamp(self.set.started).map_or(0, |stamp| stamp.as_second())
    }

    /// `backup_file_time_utc`.
    pub(crate) fn time(&self) -> DateTime {
        whole_seconds(self.set.started)
    }
}

/// Takes a log backup.
///
/// # Errors
/// The recovery model is SIMPLE, the database is restoring, or it is another server's.
pub(crate) fn take(database: &mut Database, now: DateTime) -> Result<&LogBackup, CannotBackUp> {
    if database.mode == Mode::Restoring {
        return Err(CannotBackUp::Restoring(database.name.clone()));
    }
    if database.contents.is_opaque() {
        return Err(CannotBackUp::OthersLog(database.name.clone()));
    }
    if database.recovery == Recovery::Simple {
        return Err(CannotBackUp::Simple);
    }
    let now = whole_milliseconds(now);
    let first = database.log.start.unwrap_or(database.lsn);
    let last = database.lsn.after(1);
    database.lsn = last;
    let changes = std::mem::take(&mut database.log.changes);
    let mut set = BackupSet::of_log(database, first, last, now);
    let records = Records { until: now, changes };
    set.bytes = records.length();
    let header = set.header(database, Member { number: 1, of: 1 }, set.bytes);
    let bytes = records.image(&header).len() as u64;
    database.log.start = Some(last);
    database.log.taken += 1;
    let backup = LogBackup { sequence: database.log.taken, set, changes: records.changes, bytes };
    database.log.backups.push(backup);
    Ok(&database.log.backups[database.log.backups.len() - 1])
}

/// A moment as the log has it.
pub(crate) fn whole_milliseconds(moment: DateTime) -> DateTime {
    let rounding = jiff::civil::DateTimeRound::new().smallest(Unit::Millisecond).mode(jiff::RoundMode::Trunc);
    moment.round(rounding).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::super::contents::Contents;
    use super::*;

    fn at(day: i8) -> DateTime {
        jiff::civil::date(2026, 11, day).at(10, 0, 0, 123_456_789)
    }

    fn database() -> Database {
        Database::new(6, "shop", at(1), Recovery::Full, Contents::seeded(1, 64))
    }

    #[test]
    fn a_backup_begins_where_the_last_one_ended() {
        let mut database = database();
        let before = database.lsn;
        database.change(1, 1, true, at(1));
        let first = take(&mut database, at(1)).unwrap().clone();
        let second = take(&mut database, at(1)).unwrap().clone();
        assert_eq!((first.sequence, second.sequence), (1, 2));
        assert_eq!((first.set.first, first.changes.len()), (before, 1));
        assert_eq!((second.set.first, second.changes.len()), (first.set.last, 0));
        assert!(second.set.last > second.set.first && database.lsn == second.set.last);
        let name = format!("6.{}", database.family);
        assert_eq!(first.key(&database), format!("{name}/{name}.1.{}", first.epoch()));
        let (header, records) = first.contents(&database);
        assert_eq!(records.image(&header).len() as u64, first.bytes);
        assert_eq!(records.until, jiff::civil::date(2026, 11, 1).at(10, 0, 0, 123_000_000));
    }

    #[test]
    fn seven_days_can_be_listed_and_gaps_are_told() {
        let mut database = database();
        for day in 1..=5 {
            database.change(1, 1, day != 4, at(day));
            take(&mut database, at(day)).unwrap();
        }
        database.log.backups.retain(|backup| backup.sequence != 2);
        let shown = |day| {
            let available = database.log.available(whole_milliseconds(at(day)));
            available.map(|(backup, broken)| (backup.sequence, broken)).collect::<Vec<_>>()
        };
        // The second is lost, and before the fourth no log was kept.
        assert_eq!(shown(5), [(1, false), (3, true), (4, true), (5, false)]);
        assert_eq!(shown(10), [(3, false), (4, true), (5, false)], "what came before is not known any more");
        assert_eq!(shown(13), []);
    }

    #[test]
    fn without_a_log_there_is_no_backup_of_it() {
        let mut database = database();
        database.recovery = Recovery::Simple;
        assert_eq!(take(&mut database, at(1)), Err(CannotBackUp::Simple));
        database.mode = Mode::Restoring;
        assert_eq!(take(&mut database, at(1)), Err(CannotBackUp::Restoring("shop".into())));
    }
}
