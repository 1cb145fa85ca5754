//! Whether a log backup can be restored, and what the database is afterwards. Texts are SQL Server's own. Pure.

use jiff::civil::DateTime;

use super::VERSION;
use super::backup::{Change, Header, Kind, Lsn, Records};
use super::database::{Database, Mode};

/// Why a log backup cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotRollForward {
    #[error("Please reissue task with correct type and overwrite property")]
    OtherKind,
    #[error("The log or differential backup cannot be restored because no files are ready to rollforward.")]
    NotReady,
    #[error(
        "Database '{0}' comes from another server's backup, which the local cloud keeps as it is: no log can be restored onto it."
    )]
    OthersDatabase(String),
    #[error(
        "This backup set cannot be applied because it is on a recovery path that is inconsistent with the database. The recovery path is the sequence of data and log backups that have brought the database to a particular recovery point. Find a compatible backup to restore, or restore the rest of the database to match a recovery point within this backup set, which will restore the database to a different point in time."
    )]
    OtherPath,
    #[error(
        "The log in this backup set begins at LSN {0}, which is too recent to apply to the database. An earlier log backup that includes LSN {1} can be restored."
    )]
    TooRecent(i128, i128),
    #[error(
        "The log in this backup set terminates at LSN {0}, which is too early to apply to the database. A more recent log backup that includes LSN {1} can be restored."
    )]
    TooEarly(i128, i128),
    #[error(
        "The specified STOPAT time is too early. All or part of the database is already rolled forward beyond that point."
    )]
    StopTooEarly,
}

/// What restoring a log backup does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RollForward {
    changes: Vec<Change>,
    lsn: Lsn,
    reached: DateTime,
    /// Whether the moment to stop at, if there is one, lies beyond the end of this log.
    pub(crate) falls_short: bool,
}

/// What SQL Server says where the moment to stop at is not reached: it does not recover the database then.
pub(crate) const FALLS_SHORT: &str = "This backup set contains records that were logged before the designated point in time. The database is being left in the restoring state so that more roll forward can be performed.";

/// Checks a log backup against the database that it goes onto.
pub(crate) fn check(
    header: &Header,
    records: Records,
    target: Option<&Database>,
    stop: Option<DateTime>,
) -> Result<RollForward, CannotRollForward> {
    if header.kind != Kind::Log || header.version > VERSION {
        return Err(CannotRollForward::OtherKind);
    }
    let target = target.filter(|database| database.mode == Mode::Restoring).ok_or(CannotRollForward::NotReady)?;
    if target.contents.is_opaque() {
        return Err(CannotRollForward::OthersDatabase(target.name.clone()));
    }
    let (Some(_), Some(reached)) = (target.restored, target.reached) else { return Err(CannotRollForward::NotReady) };
    if (header.family, header.fork) != (target.family, target.fork) {
        return Err(CannotRollForward::OtherPath);
    }
    let at = target.lsn;
    if header.first > at {
        return Err(CannotRollForward::TooRecent(header.first.number(), at.number()));
    }
    if header.last < at {
        return Err(CannotRollForward::TooEarly(header.last.number(), at.number()));
    }
    if stop.is_some_and(|stop| stop < reached) {
        return Err(CannotRollForward::StopTooEarly);
    }
    let new = |change: &Change| change.lsn > at && stop.is_none_or(|stop| change.committed <= stop);
    let changes: Vec<Change> = records.changes.into_iter().filter(new).collect();
    let (lsn, reached) = match stop.filter(|stop| *stop < records.until) {
        Some(stop) => (changes.last().map_or(at, |change| change.lsn), stop),
        None => (header.last, reached.max(records.until)),
    };
    Ok(RollForward { changes, lsn, reached, falls_short: stop.is_some_and(|stop| stop > records.until) })
}

impl RollForward {
    /// Carries the changes out again.
    pub(crate) fn apply(self, database: &mut Database) {
        for change in self.changes {
            database.contents.changes.extend(change.pages.into_iter().map(|page| (page, change.generation)));
        }
        database.lsn = self.lsn;
        database.reached = Some(self.reached);
        // The log has a block for every change: whatever is changed from here on is later.
        database.contents.generation = self.lsn.block;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::backup::Base;
    use super::super::contents::Contents;
    use super::super::database::{BackupSet, Recovery};
    use super::super::log::take;
    use super::*;

    fn at(second: i8) -> DateTime {
        jiff::civil::date(2026, 11, 27).at(10, 0, second, 0)
    }

    /// A source with a log backup at each of the seconds 10, 20 and 30, a change at 5, 15, 18 and 25, and a copy of it that a
    /// full backup at second 8 leaves restoring.
    fn scene() -> (Database, Database) {
        let mut source = Database::new(6, "shop", at(0), Recovery::Full, Contents::seeded(1, 64));
        source.change(2, 1, true, at(5));
        let full = BackupSet::begin(&mut source, Kind::Full, false, at(8)).unwrap();
        let copy = Database {
            mode: Mode::Restoring,
            restored: Some(Base { lsn: full.checkpoint, set: full.set }),
            reached: Some(at(8)),
            lsn: full.last,
            ..source.clone()
        };
        for (changes, taken) in [(&[][..], 10), (&[15, 18], 20), (&[25], 30)] {
            for second in changes {
                source.change(2, 1, true, at(*second));
            }
            take(&mut source, at(taken)).unwrap();
        }
        (source, copy)
    }

    fn restore(
        source: &Database,
        copy: &mut Database,
        sequence: usize,
        stop: Option<DateTime>,
    ) -> Result<bool, CannotRollForward> {
        let (header, records) = source.log.backups[sequence - 1].contents(source);
        let outcome = check(&header, records, Some(copy), stop)?;
        let falls_short = outcome.falls_short;
        outcome.apply(copy);
        Ok(falls_short)
    }

    #[test]
    fn logs_in_order_bring_the_source_back() {
        let (source, mut copy) = scene();
        for sequence in [1, 2, 2, 3] {
            assert_eq!(restore(&source, &mut copy, sequence, None), Ok(false));
        }
        assert_eq!(copy.contents.changes, source.contents.changes);
        assert_eq!(copy.lsn, source.lsn);
    }

    #[test]
    fn a_log_that_does_not_follow_is_refused() {
        let (source, mut copy) = scene();
        let number = |lsn: Lsn| lsn.number();
        let second = source.log.backups[1].set.first;
        let expected = CannotRollForward::TooRecent(number(second), number(copy.lsn));
        assert_eq!(restore(&source, &mut copy, 2, None), Err(expected));
        restore(&source, &mut copy, 1, None).unwrap();
        restore(&source, &mut copy, 2, None).unwrap();
        let first = source.log.backups[0].set.last;
        let expected = CannotRollForward::TooEarly(number(first), number(copy.lsn));
        assert_eq!(restore(&source, &mut copy, 1, None), Err(expected));
        copy.fork = Uuid::new_v4();
        assert_eq!(restore(&source, &mut copy, 3, None), Err(CannotRollForward::OtherPath));
        copy.mode = Mode::Online;
        assert_eq!(restore(&source, &mut copy, 3, None), Err(CannotRollForward::NotReady));
    }

    #[test]
    fn it_stops_at_the_newest_change_that_is_not_later() {
        for (stop, changes, falls_short) in
            [(14, 1, false), (15, 2, false), (17, 2, false), (18, 3, false), (40, 4, true)]
        {
            let (source, mut copy) = scene();
            let mut short = true;
            for sequence in 1..=3 {
                // What is beyond the moment is not restored any more.
                if short {
                    short = restore(&source, &mut copy, sequence, Some(at(stop))).unwrap();
                }
            }
            assert_eq!(short, falls_short, "{stop}");
            let newest = copy.contents.changes.values().max();
            assert_eq!(newest, Some(&changes), "{stop}");
        }
        let (source, mut copy) = scene();
        assert_eq!(restore(&source, &mut copy, 1, Some(at(7))), Err(CannotRollForward::StopTooEarly));
    }
}
