//! Where the product's binaries are.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The folder that cargo puts binaries in: the one this very program came from. `HAULIER_BIN_DIR` overrides it.
///
/// # Errors
/// Where the running program has no path.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("HAULIER_BIN_DIR") {
        return Ok(folder.into());
    }
    let program = std::env::current_exe().context("the path of the running program")?;
    let folder = program.parent().context("a program lies in a folder")?;
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if is_test { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

/// The path of one binary.
///
/// # Errors
/// Where it has not been built.
pub fn path(name: &str) -> Result<PathBuf> {
    let path = folder()?.join(name);
    ensure!(path.is_file(), "{} does not exist: run `cargo build --workspace` first", path.display());
    Ok(path)
}

/// The root of the source tree that cargo runs this program for. Asked when it runs, not when it was compiled: clones that
/// share a target folder share its binaries too.
pub fn source() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    root.map(PathBuf::from).unwrap_or(package)
}

/// The folder with the sample dumps of real databases, which are no part of the source tree: `HAULIER_SAMPLE_DUMPS` names it;
/// else it is looked for beside the tree. Where it is not there, that is said aloud.
pub fn sample_dumps() -> Option<PathBuf> {
    let named = std::env::var_os("HAULIER_SAMPLE_DUMPS").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| source().join("../shared/data/pg"));
    if folder.is_dir() {
        return Some(folder);
    }
    let where_else = "name the folder of the sample dumps in HAULIER_SAMPLE_DUMPS";
    crate::skipped(&format!("real databases, since {} is not there: {where_else}", folder.display()));
    None
}

/// The folder of real backups of SQL Server that `HAULIER_SAMPLE_BACKUPS` names: full ones, those of one set in `stripe/`, and in
/// `chain/` full and differential ones of one database in turn. Says so where there is none: made ones take their place then.
#[must_use]
pub fn sample_backups() -> Option<PathBuf> {
    let folder = std::env::var_os("HAULIER_SAMPLE_BACKUPS").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        crate::skipped("real backups of SQL Server: name their folder in HAULIER_SAMPLE_BACKUPS");
    }
    folder
}
