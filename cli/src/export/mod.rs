//! A restore point as files that stock tools read. Of PostgreSQL: for each database one archive in `pg_dump`'s custom format,
//! and the roles as a script for `psql`. Of SQL Server: native backups, see [`native`].
//!
//! The point keeps a database as `pg_dump`'s archive without the rows of large tables, and those as streams of their own.
//! Here they come together again: what an archive has to say so is decided in `haulier_domain::postgres::archive`. Rows
//! are counted and hashed while they pass by, and compared with what was recorded at backup. A file gets its name when
//! it is whole and on the disk; no file is ever overwritten.

mod archive;
mod folder;
mod names;
pub mod native;

use std::path::{Path, PathBuf};

use haulier_domain::manifest::Unreadable;
use haulier_domain::postgres::manifest::{Database, Manifest};
use haulier_domain::postgres::{export, roles};
use haulier_repository::{Domain, PointRoot};
use serde::Serialize;

use crate::exit::{CliError, Exit};
use crate::offline::of_repository;
use folder::{Folder, Output};

/// File of the roles.
const ROLES: &str = "roles.sql";

/// Who is told how it goes.
pub trait Watcher {
    /// So many bytes are to be written, in all.
    fn expects(&mut self, bytes: u64);
    /// So many more of them are written; they belong to this.
    fn moved(&mut self, what: &str, bytes: u64);
    /// A file of a database is complete.
    fn completed(&mut self, database: &str, file: &Path);
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The point.
    pub point: String,
    /// Script that makes the roles.
    pub roles_file: PathBuf,
    /// The databases, in the point's order.
    pub databases: Vec<ExportedDatabase>,
    /// What an operator must know of the point.
    pub remarks: Vec<String>,
}

/// One database that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedDatabase {
    /// Its name.
    pub name: String,
    /// Its archive.
    pub file: PathBuf,
    /// Bytes of that.
    pub bytes: u64,
    /// Tables with rows in it, empty ones included.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// Large objects in it.
    pub large_objects: u64,
    /// Version of the `pg_dump` whose format it has: `pg_restore` must not be older.
    pub pg_dump_version: String,
}

/// Writes databases of a point, all of them where none is named, into a folder.
///
/// # Errors
/// What kept a file from being written whole. Files that were complete before stay.
pub async fn run(
    domain: &Domain,
    root: &PointRoot,
    wanted: &[String],
    folder: &Path,
    watcher: &mut dyn Watcher,
) -> Result<Exported, CliError> {
    let doing = format!("exporting restore point {}", root.point);
    let manifest = manifest(domain, root, &doing).await?;
    let chosen = choose(&manifest, wanted, &doing)?;
    let folder = Folder::prepare(folder)?;
    let names: Vec<_> = chosen.iter().map(|database| export::file_name(&database.name)).collect();
    folder.refuse_existing(names.iter().map(String::as_str).chain([ROLES]))?;
    watcher.expects(chosen.iter().copied().map(archive::bytes_of).sum());

    let mut script = Output::create(&folder, ROLES)?;
    script.write(roles::script(&manifest.roles, manifest.server_version_num).as_bytes())?;
    let roles_file = script.complete()?;
    let mut databases = Vec::new();
    for (database, name) in chosen.into_iter().zip(names) {
        let exported = archive::write(domain, database, Output::create(&folder, &name)?, watcher).await?;
        watcher.completed(&exported.name, &exported.file);
        databases.push(exported);
    }
    let remarks = root.summary.remarks.clone();
    Ok(Exported { point: root.point.to_string(), roles_file, databases, remarks })
}

async fn manifest(domain: &Domain, root: &PointRoot, doing: &str) -> Result<Manifest, CliError> {
    if root.engine != "postgres" {
        let cause = format!("it is a point of {}, which this version of Haulier does not export", root.engine);
        let remedy = "use a later version of Haulier";
        return Err(CliError::new(Exit::Failure, "export-engine-unknown", doing, cause, remedy));
    }
    let json = domain.read_to_bytes(&root.manifest, Manifest::MOST_BYTES as u64).await;
    let json = json.map_err(|error| of_repository(doing, &error))?;
    Manifest::read(&json).map_err(|error| unreadable(doing, &error))
}

fn unreadable(doing: &str, error: &Unreadable) -> CliError {
    let remedy = "use a version of Haulier that is at least as new as the one that made the point";
    CliError::new(Exit::Failure, "manifest-unreadable", doing, format!("the point's manifest: {error}"), remedy)
}

/// Refuses what is named and not there.
fn unknown(known: &[&str], wanted: &[String], doing: &str) -> Result<(), CliError> {
    let unknown: Vec<_> = wanted.iter().filter(|name| !known.contains(&name.as_str())).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let cause = format!("the point has no database {unknown:?}; it has {known:?}");
    let remedy = "name databases that the point has, or none for all of them";
    Err(CliError::new(Exit::NotFound, "restore-database-unknown", doing, cause, remedy))
}

fn choose<'m>(manifest: &'m Manifest, wanted: &[String], doing: &str) -> Result<Vec<&'m Database>, CliError> {
    let known: Vec<_> = manifest.databases.iter().map(|database| database.name.as_str()).collect();
    unknown(&known, wanted, doing)?;
    let is_wanted = |database: &&Database| wanted.is_empty() || wanted.contains(&database.name);
    Ok(manifest.databases.iter().filter(is_wanted).collect())
}
