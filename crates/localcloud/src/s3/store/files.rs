//! Files of the storage: records replaced in one step, data files that vanish unless they are kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Error, Result};

/// Suffix of a record that is not written out yet.
const UNFINISHED: &str = "unfinished";

/// Writes a record so that a reader, or a later start, sees the old one or the new one whole. It is not forced to the
/// disk: this cloud does not outlive its host.
pub(super) fn write_record(path: &Path, record: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(record).map_err(|source| Error::Record { path: path.to_owned(), source })?;
    let unfinished = path.with_extension(UNFINISHED);
    fs::write(&unfinished, bytes).map_err(Error::disk("writing", &unfinished))?;
    fs::rename(&unfinished, path).map_err(Error::disk("replacing", path))
}

/// Reads a record back.
pub(super) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::disk("reading", path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Record { path: path.to_owned(), source })
}

/// Every finished record in a folder; the unfinished ones are swept away.
pub(super) fn records(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(&path).map_err(Error::disk("sweeping", &path))?;
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// Everything in a folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(Error::disk("listing", folder))
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::disk("making the folder", path))
}

/// A data file in the making. It is removed when dropped, unless it was kept.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
    name: String,
    kept: bool,
}

impl StagedFile {
    /// A new, empty file with a name of its own in `folder`, open for writing.
    pub fn create(folder: &Path) -> Result<(Self, File)> {
        let staged = Self::reserve(folder);
        let file = File::create_new(&staged.path).map_err(Error::disk("creating", &staged.path))?;
        Ok((staged, file))
    }

    /// A second name for an existing, immutable data file.
    pub(super) fn link(folder: &Path, existing: &Path) -> Result<Self> {
        let staged = Self::reserve(folder);
        fs::hard_link(existing, &staged.path).map_err(Error::disk("linking", &staged.path))?;
        Ok(staged)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name in its folder.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file stays.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    fn reserve(folder: &Path) -> Self {
        let name = uuid::Uuid::new_v4().simple().to_string();
        Self { path: folder.join(&name), name, kept: false }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.kept {
            // It may not have come into being at all.
            let _ = fs::remove_file(&self.path);
        }
    }
}
