//! Backups of databases of pages, written to files on the host as another server would have written them: real ones are no
//! part of the source tree.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use super::backup::{EXTENT, Header, Image, Kind, Member};
use super::database::BackupSet;
use super::instance::{Instance, now};

/// The server that they name.
const ELSEWHERE: &str = "ELSEWHERE";
/// Bytes that are made at once.
const PIECE: usize = 8 << 20;

/// Writes a backup of a database into these files. The next differential one builds on it where it is full; the instance's
/// own history does not know of it. Blocking.
pub(super) fn write(instance: &Instance, name: &str, kind: Kind, paths: &[PathBuf]) -> anyhow::Result<()> {
    ensure!(!paths.is_empty(), "a backup of {name} needs a file to go to");
    let of = u16::try_from(paths.len()).context("too many files")?;
    let begun = instance.change(|state| -> anyhow::Result<_> {
        let database = state.get_mut(name).with_context(|| format!("there is no database {name}"))?;
        ensure!(!database.contents.is_opaque(), "{name} is another server's already");
        let since = database.base.map(|(_, generation)| generation).filter(|_| kind == Kind::Differential);
        let mut set = BackupSet::begin(database, kind, false, now())?;
        let taken = database.clone();
        set.finish(database, now());
        Ok((set, taken, since))
    })?;
    let (set, taken, since) = begun?;
    let reader = taken.contents.open(&instance.images()).with_context(|| format!("reading {name}"))?;
    let extents = taken.contents.extents(since);
    let bytes = extents.len() as u64 * EXTENT as u64;
    for (number, path) in (1..=of).zip(paths) {
        let own = extents.iter().skip(usize::from(number) - 1).step_by(usize::from(of)).copied().collect();
        let header = Header { server: ELSEWHERE.to_owned(), ..set.header(&taken, Member { number, of }, bytes) };
        let image = Image::new(&header, own);
        let writing = || format!("writing {}", path.display());
        let mut file = File::create(path).with_context(writing)?;
        let mut offset = 0;
        while offset < image.length() {
            let piece = image.read(&reader, offset, PIECE).with_context(|| format!("making {}", path.display()))?;
            file.write_all(&piece).with_context(writing)?;
            offset += piece.len() as u64;
        }
    }
    Ok(())
}
