//! Small files that only this process and its children may read: the password file, lists of entries. They are in a
//! folder of their own, which is gone when the work ends.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::quote;
use tempfile::TempDir;
use tokio::task::AbortHandle;

use super::connect::Connector;
use super::failures;

/// A private folder and the password file in it.
pub(super) struct PrivateFiles {
    folder: TempDir,
    refresher: Option<AbortHandle>,
}

impl Drop for PrivateFiles {
    fn drop(&mut self) {
        if let Some(refresher) = &self.refresher {
            refresher.abort();
        }
    }
}

impl PrivateFiles {
    /// Makes the folder with a password file in it. Where logins expire, the file is kept fresh as long as this lives,
    /// because a child may connect again at any time.
    pub(super) async fn create(parent: &Path, connector: &Connector) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| failures::local("making a private folder", parent, &error);
        if !parent.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        }
        let folder = tempfile::Builder::new()
            .prefix("mover-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(failed)?;
        let login = connector.login().await?;
        let path = password_path(folder.path());
        write_password(&path, login.password.expose()).map_err(failed)?;
        let refresher = login.valid_for.map(|valid_for| {
            let connector = connector.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(valid_for / 3).await;
                    refresh(&connector, &path).await;
                }
            })
            .abort_handle()
        });
        Ok(Self { folder, refresher })
    }

    /// The password file.
    pub(super) fn password_file(&self) -> PathBuf {
        password_path(self.folder.path())
    }

    /// Writes a small file.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join(name);
        write_file(&path, content).map_err(|error| failures::local("writing a private file", &path, &error))?;
        Ok(path)
    }
}

async fn refresh(connector: &Connector, path: &Path) {
    let login = match connector.login().await {
        Ok(login) => login,
        Err(failure) => {
            tracing::warn!(code = failure.code, "the database login could not be renewed; trying again");
            tokio::time::sleep(Duration::from_secs(10)).await;
            return;
        }
    };
    if let Err(error) = write_password(path, login.password.expose()) {
        tracing::warn!(%error, "the password file could not be renewed");
    }
}

fn password_path(folder: &Path) -> PathBuf {
    folder.join("password")
}

fn write_password(path: &Path, password: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    write_file(&fresh, quote::password_file_line(password).as_bytes())?;
    std::fs::rename(fresh, path)
}

fn write_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(content)
}
