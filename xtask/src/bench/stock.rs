//! The stock tools: what an operator would do without Haulier.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use e2e::psql::Database;

use super::measure::{Taken, timed};

/// Parallel jobs of the stock tools that have them.
const JOBS: &str = "--jobs=2";

/// Dumps of one database in a folder.
pub(super) struct Dumps {
    database: Database,
    folder: PathBuf,
}

impl Dumps {
    /// A place for dumps, connecting as the administrator.
    pub(super) fn new(database: &Database, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self { database: Database { author: None, ..database.clone() }, folder: folder.to_owned() })
    }

    /// `pg_dump | zstd -T2 -3` to a file.
    pub(super) fn piped(&self) -> Result<Taken> {
        let file = self.folder.join("dump.zst");
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", r#"pg_dump --dbname="$0" | zstd -T2 -3 --quiet --force -o "$1""#]);
        let taken = timed(encrypted(&mut command).arg(self.database.dsn()).arg(&file));
        std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        taken
    }

    /// `pg_dump -Fd -j2 -Z0` to a folder, which stays until the next dump.
    pub(super) fn folder(&self) -> Result<Taken> {
        let folder = self.path();
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        let mut command = Command::new("pg_dump");
        command.args(["--format=directory", JOBS, "--compress=0", "--file"]).arg(&folder);
        timed(encrypted(&mut command).arg("--dbname").arg(self.database.dsn()))
    }

    /// `pg_restore -j2` of that folder into a database made for it.
    pub(super) fn restore(&self, target: &Database) -> Result<Taken> {
        let mut command = Command::new("pg_restore");
        command.args([JOBS, "--exit-on-error", "--dbname"]).arg(target.dsn());
        timed(encrypted(&mut command).arg(self.path()))
    }

    /// Bytes of the dump in the folder.
    pub(super) fn bytes(&self) -> Result<u64> {
        let entries = std::fs::read_dir(self.path()).context("listing the dump")?;
        entries.map(|entry| Ok(entry?.metadata()?.len())).sum::<std::io::Result<u64>>().context("measuring the dump")
    }

    fn path(&self) -> PathBuf {
        self.folder.join("dump")
    }
}

/// `ANALYZE`, which Haulier's restore includes and `pg_restore` leaves to the operator.
pub(super) fn analyze(database: &Database) -> Result<Taken> {
    let mut command = Command::new("psql");
    timed(encrypted(&mut command).args(["--no-psqlrc", "--quiet", "--command=ANALYZE", "--dbname"]).arg(database.dsn()))
}

/// Over TLS, as workers do.
fn encrypted(command: &mut Command) -> &mut Command {
    command.env("PGSSLMODE", "require")
}
