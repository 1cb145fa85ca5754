//! A database, and the backups that were taken of databases: what `sys.databases` and `msdb.dbo.backupset` show.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backup::{Base, Change, Header, Kind, Lsn, Member, Part};
use super::contents::{Contents, Origin};
use super::log::{Log, whole_milliseconds};
use super::tasks::Placing;
use super::{COMPATIBILITY, SERVER_NAME, VERSION};

/// `recovery_model_desc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Recovery {
    Full,
    BulkLogged,
    Simple,
}

impl Recovery {
    /// Number and name, as `sys.databases` shows them.
    pub(crate) fn shown(self) -> (i64, &'static str) {
        match self {
            Self::Full => (1, "FULL"),
            Self::BulkLogged => (2, "BULK_LOGGED"),
            Self::Simple => (3, "SIMPLE"),
        }
    }
}

/// Whether a database can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Online,
    Restoring,
}

/// A user's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) created: DateTime,
    pub(crate) recovery: Recovery,
    pub(crate) mode: Mode,
    pub(crate) single_user: bool,
    pub(crate) compatibility: u8,
    pub(crate) family: Uuid,
    /// `recovery_fork_guid`.
    pub(crate) fork: Uuid,
    pub(crate) data_file: Uuid,
    pub(crate) log_file: Uuid,
    pub(crate) lsn: Lsn,
    /// What a differential would build on, and the generation of pages at that time.
    pub(crate) base: Option<(Base, u32)>,
    /// The full backup that it was restored from, as long as it is restoring.
    pub(crate) restored: Option<Base>,
    /// The moment that its restore has come to, as long as it is restoring.
    pub(crate) reached: Option<DateTime>,
    pub(crate) log: Log,
    /// The last full native backup's checkpoint, as headers carry it.
    pub(crate) last_full: Lsn,
    /// Where its files lie, and whether it has change data capture.
    #[serde(default)]
    pub(crate) placing: Placing,
    pub(crate) contents: Contents,
}

impl Database {
    /// A new one.
    pub(crate) fn new(id: i64, name: &str, created: DateTime, recovery: Recovery, contents: Contents) -> Self {
        let family = Uuid::new_v4();
        Self {
            id,
            name: name.to_owned(),
            created,
            recovery,
            mode: Mode::Online,
            single_user: false,
            compatibility: COMPATIBILITY,
            family,
            fork: family,
            data_file: Uuid::new_v4(),
            log_file: Uuid::new_v4(),
            lsn: Lsn { file: 40, block: 8, slot: 37 },
            base: None,
            restored: None,
            reached: None,
            log: Log::default(),
            last_full: Lsn::default(),
            placing: Placing::default(),
            contents,
        }
    }

    /// Changes so many pages, chosen by a seed, and writes that to the log, which is kept for a backup where `logged` and
    /// the recovery model want it. Returns the moment of the commit.
    pub(crate) fn change(&mut self, count: u32, seed: u64, logged: bool, now: DateTime) -> DateTime {
        let pages = self.contents.change(count, seed);
        let before = self.lsn;
        self.lsn = before.after(1);
        let committed = whole_milliseconds(now);
        if logged && self.recovery != Recovery::Simple {
            let generation = self.contents.generation;
            self.log.append(before, Change { lsn: self.lsn, committed, generation, pages });
        } else {
            self.log.stop();
        }
        committed
    }

    /// The restore is over: what comes next are backups of its own.
    pub(crate) fn come_online(&mut self) {
        self.mode = Mode::Online;
        self.restored = None;
        self.reached = None;
        self.base = None;
        self.fork = Uuid::new_v4();
        self.log = Log::default();
        self.lsn = self.lsn.after(64);
    }

    /// Pages of the data file and of the log.
    pub(crate) fn sizes(&self) -> (u32, u32) {
        (self.contents.pages, (self.contents.pages / 8).max(64))
    }

    /// Bytes that a full backup has of pages.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.contents.pages) * haulier_pages::PAGE as u64
    }
}

/// A backup under way or done: a row of `backupset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupSet {
    pub(crate) database: String,
    pub(crate) kind: Kind,
    pub(crate) set: Uuid,
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    pub(crate) checkpoint: Lsn,
    pub(crate) database_backup: Lsn,
    pub(crate) base: Option<Base>,
    pub(crate) started: DateTime,
    pub(crate) finished: DateTime,
    pub(crate) bytes: u64,
    pub(crate) recovery: Recovery,
    /// Taken with a snapshot of the volume, not by BACKUP DATABASE.
    pub(crate) snapshot: bool,
    /// Generation of the pages that are in it.
    pub(crate) generation: u32,
}

/// Why a backup cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotBackUp {
    #[error("Database '{0}' cannot be opened. It is in the middle of a restore.")]
    Restoring(String),
    #[error(
        "Cannot perform a differential backup for database \"{0}\", because a current database backup does not exist. Perform a full database backup by reissuing BACKUP DATABASE, omitting the WITH DIFFERENTIAL option."
    )]
    NoBase(String),
    #[error(
        "The backup of '{0}' lies in {1} file(s), and the local cloud gives another server's images back as they are."
    )]
    OtherFiles(String, usize),
    #[error(
        "The statement BACKUP LOG is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or change the recovery model using ALTER DATABASE."
    )]
    Simple,
    #[error(
        "'{0}' is another server's backup, which the local cloud keeps as it is: it has no log that could be backed up."
    )]
    OthersLog(String),
}

impl BackupSet {
    /// Begins a backup: the log moves on, and what the pages are at this moment is what will be in it.
    pub(crate) fn begin(
        database: &mut Database,
        kind: Kind,
        snapshot: bool,
        now: DateTime,
    ) -> Result<Self, CannotBackUp> {
        if database.mode == Mode::Restoring {
            return Err(CannotBackUp::Restoring(database.name.clone()));
        }
        let base = match kind {
            Kind::Differential if !database.contents.is_opaque() => {
                let base = database.base.ok_or_else(|| CannotBackUp::NoBase(database.name.clone()))?;
                Some(base.0)
            }
            _ => None,
        };
        let first = database.lsn.after(7);
        let last = first.after(16);
        database.lsn = last;
        Ok(Self {
            database: database.name.clone(),
            kind,
            set: Uuid::new_v4(),
            first,
            last,
            checkpoint: first,
            database_backup: base.map_or(database.last_full, |base| base.lsn),
            base,
            started: now,
            finished: now,
            bytes: database.bytes(),
            recovery: database.recovery,
            snapshot,
            generation: database.contents.generation,
        })
    }

    /// A backup of the log between two places of it.
    pub(crate) fn of_log(database: &Database, first: Lsn, last: Lsn, now: DateTime) -> Self {
        Self {
            database: database.name.clone(),
            kind: Kind::Log,
            set: Uuid::new_v4(),
            first,
            last,
            checkpoint: database.last_full,
            database_backup: database.last_full,
            base: None,
            started: now,
            finished: now,
            bytes: 0,
            recovery: database.recovery,
            snapshot: false,
            generation: database.contents.generation,
        }
    }

    /// A backup by another server that is given out again: it stays what its header says.
    pub(crate) fn told_by(self, header: &Header) -> Self {
        let Header { set, first, last, checkpoint, database_backup, base, bytes, .. } = *header;
        Self { set, first, last, checkpoint, database_backup, base, bytes, ..self }
    }

    /// It is done: a full one is what the next differential builds on, whoever took it.
    pub(crate) fn finish(&mut self, database: &mut Database, now: DateTime) {
        self.finished = now;
        if self.kind == Kind::Full {
            database.base = Some((Base { lsn: self.checkpoint, set: self.set }, self.generation));
            database.last_full = self.checkpoint;
        }
    }

    /// The header of one of its files.
    pub(crate) fn header(&self, database: &Database, member: Member, bytes: u64) -> Header {
        let (data, log) = database.sizes();
        let page = haulier_pages::PAGE as u64;
        let part = |logical_name: String, file_guid, log, pages| Part {
            logical_name,
            file_guid,
            log,
            bytes: u64::from(pages) * page,
        };
        Header {
            kind: self.kind,
            database: self.database.clone(),
            server: SERVER_NAME.to_owned(),
            version: VERSION,
            compatibility: database.compatibility,
            set: self.set,
            member,
            first: self.first,
            last: self.last,
            checkpoint: self.checkpoint,
            database_backup: self.database_backup,
            base: self.base,
            family: database.family,
            fork: database.fork,
            started: whole_seconds(self.started),
            finished: whole_seconds(self.finished),
            bytes,
            parts: vec![
                part(database.name.clone(), database.data_file, false, data),
                part(format!("{}_log", database.name), database.log_file, true, log),
            ],
        }
    }
}

/// A moment as a header has it: the second that it is in.
pub(crate) fn whole_seconds(moment: DateTime) -> DateTime {
    moment.with().subsec_nanosecond(0).build().unwrap_or(moment)
}

/// The images that a backup of an opaque database gives, if they are as many as wanted.
pub(crate) fn opaque_images(
    database: &Database,
    kind: Kind,
    files: usize,
) -> Result<Vec<std::path::PathBuf>, CannotBackUp> {
    let images = match (&database.contents.origin, kind) {
        (Origin::Opaque { full, .. }, Kind::Full) => full,
        (Origin::Opaque { differential, .. }, _) => differential,
        _ => return Ok(Vec::new()),
    };
    if images.is_empty() {
        return Err(CannotBackUp::NoBase(database.name.clone()));
    }
    if images.len() != files {
        return Err(CannotBackUp::OtherFiles(database.name.clone(), images.len()));
    }
    Ok(images.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Database {
        let now = jiff::civil::date(2026, 11, 27).at(0, 0, 0, 0);
        Database::new(5, "shop", now, Recovery::Full, Contents::seeded(1, 64))
    }

    #[test]
    fn a_differential_builds_on_the_last_full_whoever_took_it() {
        let (mut database, now) = (database(), jiff::civil::date(2026, 11, 27).at(0, 0, 0, 0));
        let none = BackupSet::begin(&mut database, Kind::Differential, false, now);
        assert_eq!(none, Err(CannotBackUp::NoBase("shop".into())));
        let mut full = BackupSet::begin(&mut database, Kind::Full, false, now).unwrap();
        database.change(1, 1, true, now);
        full.finish(&mut database, now);
        let differential = BackupSet::begin(&mut database, Kind::Differential, false, now).unwrap();
        assert_eq!(differential.base, Some(Base { lsn: full.checkpoint, set: full.set }));
        assert_eq!(differential.database_backup, full.checkpoint);
        assert!(differential.first > full.last);
        // What changed while the full was being written is not in it.
        assert_eq!(database.contents.extents(database.base.map(|(_, generation)| generation)).len(), 1);
        let mut snapshot = BackupSet::begin(&mut database, Kind::Full, true, now).unwrap();
        snapshot.finish(&mut database, now);
        let broken = BackupSet::begin(&mut database, Kind::Differential, false, now).unwrap();
        assert_eq!(broken.base.map(|base| base.set), Some(snapshot.set));
    }

    #[test]
    fn what_is_restoring_cannot_be_backed_up() {
        let mut database = Database { mode: Mode::Restoring, ..database() };
        let now = database.created;
        let outcome = BackupSet::begin(&mut database, Kind::Full, false, now);
        assert_eq!(outcome, Err(CannotBackUp::Restoring("shop".into())));
    }
}
