//! The folder of one cloud: locked while it runs, emptied of a former cloud's remains before.

use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// What a cloud keeps in its folder; nothing else there is ever removed.
const FOLDERS: &[&str] = &["databases", "snapshots", "computers", "consoles", "images", "hosts", "s3"];
const FILES: &[&str] = &["cloud.json", "ca.pem"];

/// A folder that is this cloud's alone; free again when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder, made if it is not there, and removes what a former cloud left in it.
    pub(crate) fn claim(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("finding {}", path.display()))?;
        let lock = path.join("lock");
        let file = File::create(&lock).with_context(|| format!("creating {}", lock.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("a local cloud is running in {} already", path.display()),
            Err(TryLockError::Error(error)) => return Err(error).context("locking the cloud's folder"),
        }
        for name in FILES {
            ignore_missing(std::fs::remove_file(path.join(name))).with_context(|| format!("removing {name}"))?;
        }
        for name in FOLDERS {
            let folder = path.join(name);
            ignore_missing(std::fs::remove_dir_all(&folder)).with_context(|| format!("removing {name}"))?;
            std::fs::create_dir(&folder).with_context(|| format!("creating {name}"))?;
        }
        // The data of machines is root's business; the servers get at theirs in a view of their own.
        for name in ["databases", "snapshots", "computers", "images"] {
            std::fs::set_permissions(path.join(name), Permissions::from_mode(0o700))
                .with_context(|| format!("closing {name} to others"))?;
        }
        Ok(Self { path, _lock: file })
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn ignore_missing(outcome: std::io::Result<()>) -> std::io::Result<()> {
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Folder;

    #[test]
    fn a_folder_has_one_cloud_at_a_time_and_starts_empty() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cloud");
        let first = Folder::claim(&path).unwrap();
        std::fs::write(path.join("databases/old"), "").unwrap();
        std::fs::write(path.join("mine"), "").unwrap();
        let error = Folder::claim(&path).unwrap_err();
        assert!(error.to_string().contains("running in"), "{error}");
        drop(first);
        Folder::claim(&path).unwrap();
        assert!(!path.join("databases/old").exists());
        assert!(path.join("mine").exists(), "what is not the cloud's is left alone");
    }
}
