//! The folder that an export goes to, and its files. A file is written under a hidden name of its own, which goes away with
//! the process that gives up, and gets its real name, which nothing may have, when everything of it is on the disk.

use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::exit::{CliError, Exit};

/// Written at once.
const BUFFER: usize = 1 << 20;

/// A folder to export into.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder; it is made where there is none, for nobody but its owner: what goes there was encrypted before.
    pub(super) fn prepare(path: &Path) -> Result<Self, CliError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed("making the folder", path, &error))?;
        Ok(Self(path.to_owned()))
    }

    /// Fails where one of these files is there.
    pub(super) fn refuse_existing<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<(), CliError> {
        let there: Vec<_> = names
            .map(|name| self.0.join(name))
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if there.is_empty() { Ok(()) } else { Err(exists(&there.join(", "))) }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Output {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    written: u64,
}

impl Output {
    /// Begins a file of that name.
    pub(super) fn create(folder: &Folder, name: &str) -> Result<Self, CliError> {
        let path = folder.0.join(name);
        let file = tempfile::Builder::new().prefix(".haulier-export-").tempfile_in(&folder.0);
        let file = file.map_err(|error| failed("making a file in", &folder.0, &error))?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER, file), path, written: 0 })
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| failed("writing", &self.path, &error))
    }

    /// Writes over what stands at these places.
    pub(super) fn write_over(&mut self, places: impl Iterator<Item = (usize, Vec<u8>)>) -> Result<(), CliError> {
        let path = &self.path;
        let failed = |error: io::Error| failed("writing", path, &error);
        self.file.flush().map_err(failed)?;
        let file = self.file.get_ref().as_file();
        for (at, bytes) in places {
            file.write_all_at(&bytes, at as u64).map_err(failed)?;
        }
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn complete(self) -> Result<PathBuf, CliError> {
        let Self { file, path, .. } = self;
        let failed = |error: &io::Error| failed("writing", &path, error);
        let file = file.into_inner().map_err(|error| failed(error.error()))?;
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist_noclobber(&path).map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => exists(&path.display().to_string()),
            _ => failed(&refused.error),
        })?;
        // The name, too, has to outlive a power cut.
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))?;
        Ok(path)
    }
}

fn exists(path: &str) -> CliError {
    CliError::new(
        Exit::Refused,
        "export-exists",
        "writing the export",
        format!("there is something already: {path}"),
        "name another folder in --to, or with --database only databases that are not there yet; nothing is overwritten",
    )
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::new(
        Exit::Failure,
        "export-disk-failed",
        format!("{doing} {}", path.display()),
        error.to_string(),
        "check permissions of the folder and the space on its disk; files that have their names are whole",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_not_before() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path().join("new/folder");
        let folder = Folder::prepare(&place).unwrap();
        let mut output = Output::create(&folder, "a.dump").unwrap();
        output.write(b"0123456789").unwrap();
        assert_eq!(output.written(), 10);
        assert!(names(&place).iter().all(|name| name.starts_with(".haulier-export-")), "{:?}", names(&place));
        output.write_over([(3, b"xyz".to_vec())].into_iter()).unwrap();
        output.write(b"!").unwrap();
        let path = output.complete().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"012xyz6789!");
        assert_eq!(names(&place), ["a.dump"]);
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(temp.path()).unwrap();
        let mut output = Output::create(&folder, "a.dump").unwrap();
        output.write(b"half").unwrap();
        drop(output);
        assert_eq!(names(temp.path()), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_overwritten_whenever_it_comes() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(temp.path()).unwrap();
        let output = Output::create(&folder, "a.dump").unwrap();
        std::fs::write(temp.path().join("a.dump"), "theirs").unwrap();
        let late = output.complete().unwrap_err();
        let early = folder.refuse_existing(["a.dump", "b.dump"].into_iter()).unwrap_err();
        for error in [late, early] {
            assert_eq!((error.exit, error.failure.code.as_str()), (Exit::Refused, "export-exists"));
            assert!(error.failure.cause.contains("a.dump") && !error.failure.cause.contains("b.dump"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(temp.path().join("a.dump")).unwrap(), "theirs");
        assert_eq!(names(temp.path()), ["a.dump"]);
    }
}
