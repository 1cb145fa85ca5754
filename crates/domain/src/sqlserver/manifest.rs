//! The manifest of a SQL Server restore point: which native backups it has, in which files, and what a restore must know
//! beside them. It is a JSON document, stored as a stream itself. Readers refuse a version they do not know.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::BackupSet;
use super::keys::BackupType;
use super::log_chain::LogBackup;
use crate::id::PointId;
use crate::manifest;

pub use crate::manifest::{StreamReference, Unreadable};

/// The version this code writes.
pub const VERSION: u32 = 1;

/// The manifest of one restore point: one instance, some of its databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of this document.
    pub version: u32,
    /// Engine as RDS names it: `sqlserver-se`.
    pub engine: String,
    /// Edition as the server prints it.
    pub edition: String,
    /// Version as the server prints it: `15.0.4430.1`.
    pub server_version: String,
    /// Minutes that the server's clock was ahead of UTC.
    pub utc_offset_minutes: i32,
    /// Login that asked for the backups.
    pub read_as: String,
    /// The databases.
    pub databases: Vec<Database>,
}

impl Manifest {
    /// Most bytes of one: far beyond any instance, so that a damaged one cannot take all memory.
    pub const MOST_BYTES: usize = manifest::MOST_BYTES;

    /// Reads one, if it is of the version that this program knows.
    ///
    /// # Errors
    /// It is not.
    pub fn read(json: &[u8]) -> Result<Self, Unreadable> {
        manifest::read(json, VERSION)
    }

    /// The database of that name.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|database| database.name == name)
    }
}

/// One database of a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The moment whose state it holds: when the backup had read everything. Of log backups that of the last one.
    pub consistent_at: Timestamp,
    /// What the backup holds.
    pub backup_type: BackupType,
    /// Its files, in their order. A restore needs all of them; of log backups those up to the moment it goes to.
    pub files: Vec<File>,
    /// Bytes of the database's files on its server.
    pub server_bytes: u64,
    /// Recovery model: `FULL`.
    pub recovery_model: String,
    /// Collation, where the server told.
    pub collation: String,
    /// Whether it is encrypted (TDE): a target needs its certificate.
    pub encrypted: bool,
    /// ARN of the KMS key that RDS has encrypted the files with; absent where it has not, or has not said so of log backups. RDS
    /// alone reads such files, and is given that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// The backup as the server has it in its history; absent where it was not found there. Nothing can stand on such a
    /// backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_set: Option<BackupSet>,
    /// Of a differential backup, and of log backups: the point that holds the full one that they stand on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_on: Option<PointId>,
}

impl Database {
    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Its log backups and their files, in their order; none where it is backed up otherwise.
    pub fn logs(&self) -> impl Iterator<Item = (&LogBackup, &File)> {
        self.files.iter().filter_map(|file| Some((file.log.as_ref()?, file)))
    }
}

/// One file of a backup, exactly as RDS wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct File {
    /// Name within its set: `file1-of-4.bak`. Of a log backup as RDS names it: `5.<family_guid>.3507.1663274641`.
    pub name: String,
    /// Where it is.
    pub stream: StreamReference,
    /// Metadata of its object in S3, by names without `x-amz-meta-`: of a file that RDS has encrypted, the data key,
    /// wrapped by the KMS key, and what else a client needs to decrypt it. A restore sets it again. No secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them, in hex.
    pub sha256: String,
    /// Of a log backup: which one it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogBackup>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::chain::tests::{differential, full};
    use super::*;

    /// A database of a point of a test.
    pub(crate) fn database(name: &str, backup_set: BackupSet) -> Database {
        let backup_type = backup_set.backup_type;
        Database {
            name: name.to_owned(),
            consistent_at: Timestamp::UNIX_EPOCH,
            backup_type,
            files: vec![File {
                name: "file.bak".to_owned(),
                stream: StreamReference(serde_json::json!({"name": name})),
                metadata: BTreeMap::new(),
                bytes: 10,
                sha256: "ab".repeat(32),
                log: None,
            }],
            server_bytes: 8192,
            recovery_model: "FULL".to_owned(),
            collation: String::new(),
            encrypted: false,
            kms_key_arn: None,
            backup_set: Some(backup_set),
            stands_on: (backup_type == BackupType::Differential).then(|| "pnt-full".parse().unwrap()),
        }
    }

    /// The log backups of a database of a point of a test.
    pub(crate) fn logs(name: &str, logs: &[LogBackup]) -> Database {
        let files = logs.iter().map(|log| File {
            name: log.file_name(),
            stream: StreamReference(serde_json::json!({"log": log.sequence})),
            metadata: BTreeMap::new(),
            bytes: log.bytes,
            sha256: "cd".repeat(32),
            log: Some(log.clone()),
        });
        Database {
            backup_type: BackupType::Log,
            consistent_at: logs.last().map_or(Timestamp::UNIX_EPOCH, |log| log.at),
            files: files.collect(),
            backup_set: None,
            stands_on: "pnt-full".parse().ok(),
            ..database(name, full(1))
        }
    }

    /// A manifest of a test.
    pub(crate) fn manifest(databases: Vec<Database>) -> Manifest {
        Manifest {
            version: VERSION,
            engine: "sqlserver-se".to_owned(),
            edition: "Standard Edition (64-bit)".to_owned(),
            server_version: "15.0.4430.1".to_owned(),
            utc_offset_minutes: 60,
            read_as: "admin".to_owned(),
            databases,
        }
    }

    #[test]
    fn a_manifest_survives_being_written_and_another_version_is_refused() {
        let base = full(1);
        let written = manifest(vec![database("shop", base.clone()), database("crm", differential(2, &base))]);
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(Manifest::read(json.as_bytes()), Ok(written.clone()));
        assert_eq!(written.database("crm").and_then(|crm| crm.stands_on.clone()), "pnt-full".parse().ok());
        let later = json.replacen("\"version\":1", "\"version\":2", 1);
        assert_eq!(Manifest::read(later.as_bytes()), Err(Unreadable::Version { found: 2, known: 1 }));
        assert!(matches!(Manifest::read(b"{\"version\":1}"), Err(Unreadable::Malformed(_))));
    }

    #[test]
    fn what_a_file_was_encrypted_with_is_kept_and_nothing_is_written_where_it_was_not() {
        let mut shop = database("shop", full(1));
        let plain = serde_json::to_string(&manifest(vec![shop.clone()])).unwrap();
        assert!(!plain.contains("metadata") && !plain.contains("kms-key-arn"), "{plain}");
        shop.kms_key_arn = Some("arn:aws:kms:eu-central-1:111122223333:key/1".to_owned());
        shop.files[0].metadata = [("x-amz-key-v2".to_owned(), "AQID".to_owned())].into();
        let written = manifest(vec![shop]);
        let json = serde_json::to_string(&written).unwrap();
        assert!(json.contains(r#""metadata":{"x-amz-key-v2":"AQID"}"#), "{json}");
        assert_eq!(Manifest::read(json.as_bytes()), Ok(written));
    }

    /// What readers of today's points will always have to read.
    #[test]
    fn the_first_version_is_read() {
        let first = r#"{"version":1,"engine":"sqlserver-se","edition":"Standard Edition (64-bit)","server-version":"15.0.4430.1",
            "utc-offset-minutes":0,"read-as":"admin","databases":[{"name":"shop","consistent-at":"2026-11-20T03:00:00Z",
            "backup-type":"full","files":[{"name":"file.bak","stream":{},"bytes":1,"sha256":"00"}],"server-bytes":8192,
            "recovery-model":"FULL","collation":"","encrypted":false,"backup-set":{"backup-type":"full","first-lsn":"1",
            "last-lsn":"3","checkpoint-lsn":"2","finished":"2026-11-20T03:00:00"}}]}"#;
        let read = Manifest::read(first.as_bytes()).unwrap();
        assert_eq!(read.databases[0].bytes(), 1);
    }
}
