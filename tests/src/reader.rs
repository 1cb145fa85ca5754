//! The reader of repositories that is not Haulier (`tests/reader`): its Python packages, and starting it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{bin, process};

/// What is installed, pinned with digests.
const REQUIREMENTS: &str = include_str!("../reader/requirements.txt");
const SOURCES: &str = "tests/reader";

/// A command that runs the reader; its arguments are to follow. Installs its packages where they are missing.
///
/// # Errors
/// Those of [`ensure_installed`].
pub fn command() -> Result<Command> {
    let mut command = python()?;
    command.arg(bin::source().join(SOURCES).join("haulier_read.py"));
    Ok(command)
}

/// A command that runs the reader's own tests.
///
/// # Errors
/// Those of [`ensure_installed`].
pub fn own_tests() -> Result<Command> {
    let mut command = python()?;
    command.args(["-m", "unittest", "discover"]).arg(bin::source().join(SOURCES));
    Ok(command)
}

fn python() -> Result<Command> {
    let mut command = Command::new(ensure_installed(|_| {})?.join("bin/python"));
    // Tests leave nothing in the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// Makes sure that the reader's virtual environment is there, and gives its folder: beside the local cloud's emulator. Several
/// processes may ask at once: one installs, under a lock file, the others wait. Says beforehand what it installs.
///
/// # Errors
/// Where Python cannot make it or pip cannot fill it.
pub fn ensure_installed(say: impl FnOnce(&str)) -> Result<PathBuf> {
    let cache = std::env::var_os("HAULIER_CLOUD_CACHE").unwrap_or_else(|| "/var/cache/haulier-cloud".into());
    let folder = Path::new(&cache).join("reader");
    if is_installed(&folder) {
        return Ok(folder);
    }
    let preparing = || format!("preparing {}", folder.display());
    std::fs::create_dir_all(&cache).with_context(preparing)?;
    let lock = File::create(folder.with_extension("lock")).with_context(preparing)?;
    lock.lock().with_context(preparing)?;
    if is_installed(&folder) {
        return Ok(folder);
    }
    let packages: Vec<_> = REQUIREMENTS.lines().filter(|line| line.contains("==")).collect();
    let packages = packages.join(", ").replace(" \\", "");
    say(&format!("installing from PyPI into {}: {packages} (the independent reader's)", folder.display()));
    process::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("making a virtual environment: is the package python3-venv installed?")?;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, REQUIREMENTS).with_context(preparing)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
    process::output(pip.args(["--only-binary=:all:", "--requirement"]).arg(&list)).context(
        "installing the independent reader's packages: let pip reach a package index (its settings name one), and try again",
    )?;
    // Written last: an installation that was cut short is begun anew.
    std::fs::write(marker(&folder), REQUIREMENTS).with_context(preparing)?;
    Ok(folder)
}

fn marker(folder: &Path) -> PathBuf {
    folder.join("haulier-requirements")
}

fn is_installed(folder: &Path) -> bool {
    std::fs::read_to_string(marker(folder)).is_ok_and(|installed| installed == REQUIREMENTS)
}
