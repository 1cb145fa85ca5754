//! Whether images can be restored, and what the database is afterwards. Texts are SQL Server's own.

use std::path::PathBuf;

use super::backup::{Base, Header, Inspected, Kind};
use super::contents::{Contents, EXTENT_PAGES, Origin};
use super::database::{Database, Mode};
use super::{SERVER_NAME, VERSION};

/// Why images cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotRestore {
    #[error(
        "The media family on device '{0}' is incorrectly formed. SQL Server cannot process this media family. RESTORE HEADERONLY is terminating abnormally."
    )]
    Malformed(String),
    #[error("Please reissue task with correct type and overwrite property")]
    OtherKind,
    #[error(
        "The database was backed up on a server running database version {0}. That version is incompatible with this server, which supports version {VERSION}. Either restore the database on a server that supports the backup, or use a backup that is compatible with this server."
    )]
    Newer(u16),
    #[error("The media set has {0} media families but only {1} are provided. All members must be provided.")]
    Incomplete(u16, usize),
    #[error(
        "The media loaded on \"{0}\" is formatted to support other media families. The files are of different backups."
    )]
    Mixed(String),
    #[error("The log or differential backup cannot be restored because no files are ready to rollforward.")]
    NotReady,
    #[error(
        "This differential backup cannot be restored because the database has not been restored to the correct earlier state."
    )]
    WrongBase,
}

/// A file that came, by the name of its object.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) inspected: Inspected,
}

/// What restoring the files would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) origin: Origin,
    pub(crate) pages: u32,
    /// What a differential must build on that comes next.
    pub(crate) restored: Option<Base>,
    /// The first file's header, where it can be read.
    pub(crate) header: Option<Box<Header>>,
}

/// Pages that a database is said to have whose backup does not tell.
const UNTOLD: u32 = 1024;

impl Outcome {
    /// Makes the database what the images say.
    pub(crate) fn apply(self, database: &mut Database, kind: Kind) {
        database.contents = Contents::of(self.origin, if self.pages == 0 { UNTOLD } else { self.pages });
        database.restored = self.restored;
        let Some(header) = self.header else { return };
        database.lsn = header.last;
        database.reached = Some(header.started);
        // The log has a block for every change: whatever is changed from here on is later than what the images hold.
        database.contents.generation = header.last.block;
        if kind != Kind::Full {
            return;
        }
        database.family = header.family;
        database.fork = header.fork;
        database.compatibility = header.compatibility;
        for part in header.parts {
            let guid = if part.log { &mut database.log_file } else { &mut database.data_file };
            *guid = part.file_guid;
        }
    }
}

/// Checks the files of one backup, and says what comes of them. `target` is the database that is there, restoring.
pub(crate) fn check(files: &[Arrived], kind: Kind, target: Option<&Database>) -> Result<Outcome, CannotRestore> {
    let mut headers = Vec::new();
    for file in files {
        match &file.inspected {
            Inspected::Foreign => return Err(CannotRestore::Malformed(file.name.clone())),
            Inspected::Compressed => {}
            Inspected::Plain(header, _) => headers.push((file, header)),
        }
    }
    for (_, header) in &headers {
        if header.kind != kind {
            return Err(CannotRestore::OtherKind);
        }
        if header.version > VERSION {
            return Err(CannotRestore::Newer(header.version));
        }
    }
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let first = headers.first().map(|(_, header)| (*header).clone());
    // Two of the real samples are one file of a set of two, which a real server would refuse: sets of others are taken
    // as they come.
    let ours = headers.len() == files.len() && headers.iter().all(|(_, header)| header.server == SERVER_NAME);
    if let (true, Some(first)) = (ours, &first) {
        if let Some((other, _)) = headers.iter().find(|(_, header)| header.set != first.set) {
            return Err(CannotRestore::Mixed(other.name.clone()));
        }
        if files.len() != usize::from(first.member.of) {
            return Err(CannotRestore::Incomplete(first.member.of, files.len()));
        }
    }
    let pages = first.as_ref().and_then(|header| header.parts.iter().find(|part| !part.log)).map_or(0, |part| {
        u32::try_from(part.bytes / haulier_pages::PAGE as u64).unwrap_or(u32::MAX).next_multiple_of(EXTENT_PAGES)
    });
    if kind == Kind::Full {
        let restored = first.as_ref().map(|header| Base { lsn: header.checkpoint, set: header.set });
        let (full, differential) = (paths, Vec::new());
        let origin = if ours { Origin::Images { full, differential } } else { Origin::Opaque { full, differential } };
        return Ok(Outcome { origin, pages, restored, header: first });
    }
    let target = target.filter(|database| database.mode == Mode::Restoring).ok_or(CannotRestore::NotReady)?;
    // A compressed differential does not tell its base: it cannot be checked, and so it is not taken.
    let header = first.ok_or(CannotRestore::WrongBase)?;
    // Logs may have brought it beyond the differential.
    if header.base.is_none() || header.base != target.restored || header.last < target.lsn {
        return Err(CannotRestore::WrongBase);
    }
    let origin = match &target.contents.origin {
        Origin::Images { full, .. } if ours => Origin::Images { full: full.clone(), differential: paths },
        Origin::Opaque { full, .. } if !ours => Origin::Opaque { full: full.clone(), differential: paths },
        _ => return Err(CannotRestore::WrongBase),
    };
    Ok(Outcome { origin, pages: target.contents.pages, restored: target.restored, header: Some(header) })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::backup::Member;
    use super::super::database::{BackupSet, Recovery};
    use super::*;

    fn source() -> Database {
        let now = jiff::civil::date(2026, 11, 27).at(0, 0, 0, 0);
        Database::new(5, "shop", now, Recovery::Full, Contents::seeded(1, 64))
    }

    fn backup(database: &mut Database, kind: Kind) -> Header {
        let now = database.created;
        let mut set = BackupSet::begin(database, kind, false, now).unwrap();
        set.finish(database, now);
        set.header(database, Member { number: 1, of: 1 }, 0)
    }

    fn arrived(header: &Header) -> Vec<Arrived> {
        let inspected = Inspected::Plain(Box::new(header.clone()), 0..0);
        vec![Arrived { name: "a.bak".into(), path: "a.bak".into(), inspected }]
    }

    fn restoring(full: &Header) -> Database {
        let outcome = check(&arrived(full), Kind::Full, None).unwrap();
        let contents = Contents::of(outcome.origin, outcome.pages);
        Database { mode: Mode::Restoring, restored: outcome.restored, contents, ..source() }
    }

    #[test]
    fn a_differential_goes_onto_its_own_full_alone() {
        let mut source = source();
        let first = backup(&mut source, Kind::Full);
        let differential = backup(&mut source, Kind::Differential);
        let second = backup(&mut source, Kind::Full);
        let onto = |target: Option<&Database>| check(&arrived(&differential), Kind::Differential, target).map(|_| ());
        assert_eq!(onto(Some(&restoring(&first))), Ok(()));
        assert_eq!(onto(Some(&restoring(&second))), Err(CannotRestore::WrongBase));
        let beyond = Database { lsn: differential.last.after(1), ..restoring(&first) };
        assert_eq!(onto(Some(&beyond)), Err(CannotRestore::WrongBase));
        assert_eq!(onto(None), Err(CannotRestore::NotReady));
        assert_eq!(onto(Some(&source)), Err(CannotRestore::NotReady), "it is online");
        assert!(CannotRestore::WrongBase.to_string().starts_with("This differential backup cannot be restored"));
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let mut source = source();
        let full = backup(&mut source, Kind::Full);
        let half = Header { member: Member { number: 1, of: 2 }, ..full.clone() };
        let other = Header { set: Uuid::new_v4(), ..half.clone() };
        let both = [arrived(&half), arrived(&other)].concat();
        for (files, kind, expected) in [
            (arrived(&half), Kind::Full, CannotRestore::Incomplete(2, 1)),
            (both, Kind::Full, CannotRestore::Mixed("a.bak".into())),
            (arrived(&full), Kind::Differential, CannotRestore::OtherKind),
            (arrived(&Header { version: 10_000, ..full.clone() }), Kind::Full, CannotRestore::Newer(10_000)),
        ] {
            assert_eq!(check(&files, kind, None).unwrap_err(), expected);
        }
        let foreign = Arrived { name: "x".into(), path: "x".into(), inspected: Inspected::Foreign };
        assert_eq!(check(&[foreign], Kind::Full, None).unwrap_err(), CannotRestore::Malformed("x".into()));
    }

    #[test]
    fn images_of_others_are_kept_as_they_are() {
        let mut source = source();
        let theirs = Header { server: "LENOVO".into(), ..backup(&mut source, Kind::Full) };
        let outcome = check(&arrived(&theirs), Kind::Full, None).unwrap();
        assert!(matches!(outcome.origin, Origin::Opaque { .. }));
        let compressed = Arrived { name: "c".into(), path: "c".into(), inspected: Inspected::Compressed };
        let outcome = check(&[compressed], Kind::Full, None).unwrap();
        assert!(matches!(outcome.origin, Origin::Opaque { .. }) && outcome.restored.is_none());
    }
}
