//! A restore point of SQL Server as the native backups that RDS wrote, byte for byte: any SQL Server of the version or a
//! later one reads them.

use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use haulier_domain::sqlserver::export;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::manifest::{Database, File, Manifest};
use haulier_repository::{Domain, PointRoot};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::folder::{Folder, Output};
use super::{Watcher, unknown, unreadable};
use crate::exit::{CliError, Exit};
use crate::offline::of_repository;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedNatively {
    /// The point.
    pub point: String,
    /// The databases, in the point's order.
    pub databases: Vec<ExportedBackup>,
    /// What an operator must know of the point and its files.
    pub remarks: Vec<String>,
}

/// The native backup of one database that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedBackup {
    /// Its name.
    pub name: String,
    /// What they hold: `full`, `differential` or `log`.
    pub backup_type: BackupType,
    /// Its files, in their order. A restore needs all of them.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
    /// ARN of the KMS key that RDS has encrypted them with: RDS alone reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// Files with the metadata that each of them needs then, in the same order; none otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata_files: Vec<PathBuf>,
}

/// Writes native backups of a point, of all databases where none is named, into a folder.
///
/// # Errors
/// What kept a file from being written whole. Files that were complete before stay.
pub async fn run(
    domain: &Domain,
    root: &PointRoot,
    wanted: &[String],
    folder: &Path,
    watcher: &mut dyn Watcher,
) -> Result<ExportedNatively, CliError> {
    let doing = format!("exporting restore point {}", root.point);
    let json = domain.read_to_bytes(&root.manifest, Manifest::MOST_BYTES as u64).await;
    let manifest = Manifest::read(&json.map_err(|error| of_repository(&doing, &error))?);
    let manifest = manifest.map_err(|error| unreadable(&doing, &error))?;
    let known: Vec<_> = manifest.databases.iter().map(|database| database.name.as_str()).collect();
    unknown(&known, wanted, &doing)?;
    let is_wanted = |database: &&Database| wanted.is_empty() || wanted.contains(&database.name);
    let chosen: Vec<&Database> = manifest.databases.iter().filter(is_wanted).collect();
    let names: Vec<_> = chosen.iter().map(|database| export::file_names(database)).collect();
    let folder = Folder::prepare(folder)?;
    folder.refuse_existing(names.iter().flatten().map(String::as_str))?;
    let beside = beside(&chosen, &names);
    folder.refuse_existing(beside.iter().flatten().map(|(name, _)| name.as_str()))?;
    watcher.expects(chosen.iter().map(|database| database.bytes()).sum());
    let mut databases = Vec::new();
    for ((database, names), beside) in chosen.iter().zip(names).zip(beside) {
        // First, so that no file is complete without.
        let mut metadata_files = Vec::new();
        for (name, json) in beside {
            let mut output = Output::create(&folder, &name)?;
            output.write(json.as_bytes())?;
            metadata_files.push(output.complete()?);
        }
        let mut files = Vec::new();
        for (file, name) in database.files.iter().zip(names) {
            let output = Output::create(&folder, &name)?;
            let path = write(domain, &database.name, file, output, watcher).await?;
            watcher.completed(&database.name, &path);
            files.push(path);
        }
        databases.push(ExportedBackup {
            name: database.name.clone(),
            backup_type: database.backup_type,
            files,
            bytes: database.bytes(),
            kms_key_arn: database.kms_key_arn.clone(),
            metadata_files,
        });
    }
    let remarks = root
        .summary
        .remarks
        .iter()
        .cloned()
        .chain(export::remarks(&manifest, &chosen, root.stands_on.as_ref()))
        .collect();
    Ok(ExportedNatively { point: root.point.to_string(), databases, remarks })
}

/// What lies beside the files of each database.
fn beside(chosen: &[&Database], names: &[Vec<String>]) -> Vec<Vec<(String, String)>> {
    let of = |(database, names): (&&Database, &Vec<String>)| {
        let files = database.files.iter().zip(names);
        files.filter_map(|(file, name)| export::metadata_file(database, file, name)).collect()
    };
    chosen.iter().zip(names).map(of).collect()
}

async fn write(
    domain: &Domain,
    database: &str,
    file: &File,
    mut output: Output,
    watcher: &mut dyn Watcher,
) -> Result<PathBuf, CliError> {
    let doing = format!("exporting {} of database {database:?}", file.name);
    let mismatch = |cause: String| {
        let remedy = "export another restore point of the instance; report this";
        CliError::new(Exit::Failure, "export-mismatch", &doing, cause, remedy)
    };
    let root = serde_json::from_value(file.stream.0.clone())
        .map_err(|error| mismatch(format!("its manifest names what is no stream: {error}")))?;
    let what = format!("{database}: {}", file.name);
    let mut hash = Sha256::new();
    let mut pieces = std::pin::pin!(domain.read(&root));
    while let Some(piece) = pieces.try_next().await.map_err(|error| of_repository(&doing, &error))? {
        hash.update(&piece);
        output.write(&piece)?;
        watcher.moved(&what, piece.len() as u64);
    }
    let (bytes, sha256) = (output.written(), hex::encode(hash.finalize()));
    if (bytes, &sha256) != (file.bytes, &file.sha256) {
        let recorded = format!("{} bytes with SHA-256 {}", file.bytes, file.sha256);
        return Err(mismatch(format!("it has {bytes} bytes with SHA-256 {sha256}, and {recorded} were backed up")));
    }
    output.complete()
}
