//! A prepared cluster per major version, from which instances are copied: `initdb` takes seconds, a copy does not.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::super::command;
use super::programs::{HOME, Programs};
use super::settings::{self, ADMINISTRATOR};

/// Options of `initdb`; a change makes a new template. Who may log in is decided by a file outside of the data folder.
const INITDB: &[&str] =
    &["--username=rdsadmin", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync", "--no-instructions"];

/// Settings of a server that runs alone; statements hold passwords and must not show up in errors.
const ALONE: &[&str] = &[
    "exit_on_error=on",
    "fsync=off",
    "full_page_writes=off",
    "dynamic_shared_memory_type=sysv",
    "log_min_error_statement=panic",
];

/// Prepared clusters, shared by all clouds of this host.
#[derive(Debug)]
pub(crate) struct Templates {
    folder: PathBuf,
}

impl Templates {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The data folder of a prepared cluster, made at the first call.
    pub(super) async fn get(&self, programs: &Programs, major: u32) -> anyhow::Result<PathBuf> {
        let statements = settings::reserved_roles(major);
        let name = format!("postgresql-{major}-{}", digest(programs, major, &statements)?);
        let (ready, lock) = (self.folder.join(&name), self.folder.join(format!("{name}.lock")));
        if ready.is_dir() {
            return Ok(ready.join("data"));
        }
        std::fs::create_dir_all(&self.folder).with_context(|| format!("creating {}", self.folder.display()))?;
        let file = File::create(&lock).with_context(|| format!("creating {}", lock.display()))?;
        // Held until this function ends; another cloud that waits finds the template ready.
        let _held = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?.context("locking")?;
        if ready.is_dir() {
            return Ok(ready.join("data"));
        }
        let draft = tempfile::Builder::new().prefix("draft-").tempdir_in(&self.folder).context("making a draft")?;
        let home = draft.path().join("home");
        prepare_home(programs, &home)?;
        build(programs, major, &home, &statements)
            .await
            .with_context(|| format!("preparing a PostgreSQL {major} cluster"))?;
        std::fs::rename(&home, &ready).with_context(|| format!("renaming to {}", ready.display()))?;
        Ok(ready.join("data"))
    }
}

/// An empty folder that belongs to the server's account.
pub(super) fn prepare_home(programs: &Programs, home: &Path) -> anyhow::Result<()> {
    let make = || {
        std::fs::create_dir_all(home)?;
        std::fs::set_permissions(home, Permissions::from_mode(0o700))?;
        chown(home, Some(programs.user().uid.as_raw()), Some(programs.user().gid.as_raw()))
    };
    make().with_context(|| format!("creating {}", home.display()))
}

async fn build(programs: &Programs, major: u32, home: &Path, statements: &[String]) -> anyhow::Result<()> {
    let mut initdb = programs.command(major, home, None, "initdb")?;
    initdb.args(INITDB).arg(format!("--pgdata={HOME}/data"));
    command::feed(initdb, "").await.context("initdb")?;
    run_alone(programs, major, home, statements).await
}

/// Runs statements in a server without network, before it is first started.
pub(super) async fn run_alone(
    programs: &Programs,
    major: u32,
    home: &Path,
    statements: &[String],
) -> anyhow::Result<()> {
    let mut alone = programs.command(major, home, None, "postgres")?;
    alone.args(["--single", "-j", "-D", &format!("{HOME}/data")]);
    for setting in ALONE {
        alone.args(["-c", setting]);
    }
    alone.arg("postgres");
    // With -j a statement ends at a semicolon before an empty line.
    let text: String = statements.iter().map(|statement| format!("{statement};\n\n")).collect();
    command::feed(alone, &text).await.with_context(|| format!("preparing roles as {ADMINISTRATOR}"))?;
    Ok(())
}

/// A template is good for exactly one build of the server and one text of ours.
fn digest(programs: &Programs, major: u32, statements: &[String]) -> anyhow::Result<String> {
    let binary = programs.folder(major)?.join("bin/postgres");
    let file = std::fs::metadata(&binary).with_context(|| format!("reading {}", binary.display()))?;
    let modified = file.modified().context("reading the server's age")?;
    let mut hasher = Sha256::new();
    hasher.update(format!("{}\n{}\n{modified:?}\n{INITDB:?}\n{statements:?}", binary.display(), file.len()));
    Ok(hex::encode(&hasher.finalize()[..8]))
}
