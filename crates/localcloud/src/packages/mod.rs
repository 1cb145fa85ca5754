//! PostgreSQL programs by major version: those of the host, those that somebody names, and those that the cloud can
//! install for itself.
//!
//! Looked up each time they are needed: a version may be installed while a cloud runs.

mod assemble;
mod bundle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use self::bundle::MAJORS;
use crate::installer::InstallError;

/// Where Debian's packages lie.
pub(crate) const DEBIAN: &str = "/usr/lib/postgresql";
/// What makes a server.
pub(crate) const SERVER: &[&str] = &["postgres", "initdb"];
/// What a worker needs of the clients.
pub(crate) const CLIENTS: &[&str] = &["pg_dump", "pg_dumpall", "pg_restore", "psql"];

/// Places that hold folders named by major version, each with a `bin`. The first that has a version wins.
#[derive(Debug, Clone)]
pub struct Packages {
    roots: Vec<PathBuf>,
    cache: PathBuf,
}

impl Packages {
    /// Debian's place, the `given` one if any, and what has been installed into the `cache`.
    pub fn new(given: Option<PathBuf>, cache: &Path) -> Self {
        let roots = [Some(DEBIAN.into()), given, Some(bundle::folder(cache))];
        Self { roots: roots.into_iter().flatten().collect(), cache: cache.to_owned() }
    }

    /// The folder of each major version that has all these programs.
    pub(crate) fn with(&self, programs: &[&str]) -> BTreeMap<u32, PathBuf> {
        let mut found = BTreeMap::new();
        for root in &self.roots {
            // A place that is not there holds nothing.
            let Ok(entries) = std::fs::read_dir(root) else { continue };
            for folder in entries.filter_map(Result::ok).map(|entry| entry.path()) {
                let major = folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                let complete = programs.iter().all(|program| folder.join("bin").join(program).is_file());
                if let (Some(major), true) = (major, complete) {
                    found.entry(major).or_insert(folder);
                }
            }
        }
        found
    }

    /// Installs what is missing of these major versions, where it can be had; says so before.
    ///
    /// # Errors
    /// Where a version cannot be had at all, or an installation fails.
    pub async fn ensure(&self, majors: &[u32]) -> Result<(), EnsureError> {
        let (servers, clients) = (self.with(SERVER), self.with(CLIENTS));
        let missing: Vec<u32> = majors
            .iter()
            .copied()
            .filter(|major| !servers.contains_key(major) || !clients.contains_key(major))
            .collect();
        if let Some(major) = missing.iter().find(|major| !MAJORS.contains(major)) {
            return Err(EnsureError::Unavailable { major: *major });
        }
        if !missing.is_empty() {
            bundle::ensure_installed(&self.cache).await?;
        }
        Ok(())
    }
}

/// Why a major version is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// No package is known that has it.
    #[error(
        "PostgreSQL {major} is not on this host, and only {MAJORS:?} can be installed: put its server and clients into \
         {DEBIAN}/{major}, or into a folder {major} in the one that HAULIER_POSTGRESQL_PACKAGES names"
    )]
    Unavailable {
        /// What was asked for.
        major: u32,
    },
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_version_is_found_where_all_its_programs_are_and_refused_where_nobody_has_it() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["9/bin/postgres", "9/bin/initdb", "10/bin/postgres", "other/bin/postgres", "other/bin/initdb"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let packages = Packages::new(Some(folder.path().to_owned()), Path::new("/nonexistent"));
        let found = packages.with(SERVER);
        assert_eq!(found.get(&9), Some(&folder.path().join("9")));
        assert!(!found.contains_key(&10), "half a server is none");
        let error = packages.ensure(&[9]).await.unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 9 is not on this host") && error.contains(DEBIAN), "{error}");
    }
}
