//! Where native backups lie in the temporary bucket. A key follows from the session's prefix, the database, and what is
//! asked for; so a task whose number was lost is found by its ARN, and an ARN tells what it was submitted for.
//!
//! RDS takes exactly one `*` in the name of a backup in several files, which become `…1-of-4…` and so on; in the name of a
//! single file it would keep the `*`. A restore takes everything under a prefix for one set, so each backup has a folder of
//! its own.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most files RDS takes.
pub const MOST_FILES: u32 = 10;
/// Largest file RDS writes.
pub const LARGEST_FILE: u64 = 5_000_000_000_000;
/// A database gets another file for each so many bytes. More files than needed cost: RDS deals the database's extents out to
/// them in an order that is never the same, so that the next backup resembles this one less. But a restore uploads a file
/// in 10,000 parts at most, and holds some of them in memory: beyond this size they would be more than 50 MB each.
pub const FILE_BYTES: u64 = 512 << 30;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupType {
    /// The whole database.
    Full,
    /// What has changed since the last full one.
    Differential,
    /// The log since the last full one: RDS takes it by itself, and copies it when asked.
    Log,
}

impl BackupType {
    /// As it stands in keys and texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Differential => "differential",
            Self::Log => "log",
        }
    }

    /// As the procedures take it that back up and restore a database; `None` for the log, which has procedures of its own.
    pub fn argument(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("FULL"),
            Self::Differential => Some("DIFFERENTIAL"),
            Self::Log => None,
        }
    }
}

/// How many files a database of that size is backed up into: as many as are asked for, or as its size asks for. Never fewer
/// than can hold it.
///
/// # Errors
/// The size that more than ten files of the largest size would be needed for.
pub fn files_for(bytes: u64, asked: Option<u32>) -> Result<u32, TooLarge> {
    let of = |size: u64| u32::try_from(bytes.div_ceil(size)).unwrap_or(u32::MAX).max(1);
    let fewest = of(LARGEST_FILE);
    if fewest > MOST_FILES {
        return Err(TooLarge(bytes));
    }
    Ok(asked.unwrap_or(of(FILE_BYTES)).max(fewest).min(MOST_FILES))
}

/// A database that no native backup can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} bytes, and ten files hold 50 TB at most")]
pub struct TooLarge(pub u64);

/// The temporary bucket, as far as one session uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryPlace {
    /// AWS partition: `aws`, `aws-cn`.
    pub partition: &'static str,
    /// Bucket.
    pub bucket: String,
    /// Prefix that only this session uses, without slashes at its ends.
    pub prefix: String,
}

impl TemporaryPlace {
    /// The place in a bucket of this Region.
    pub fn new(region: &str, bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self { partition: partition_of(region), bucket: bucket.into(), prefix: prefix.into() }
    }

    /// The folder of one database, with a slash at its end. `purpose` tells apart what else the same database may be in
    /// the session for: the name that a restore gives it; empty for a backup.
    pub fn folder(&self, database: &str, purpose: &str) -> String {
        let mut digest = Sha256::new();
        for part in [database, purpose] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut folder = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let readable = database.chars().filter(char::is_ascii_alphanumeric).take(24);
        folder.extend(readable);
        let _ = write!(folder, "-{}/", &hex::encode(digest.finalize())[..16]);
        folder
    }

    /// Where RDS copies log backups of all databases of the session to: it makes a folder for each of them.
    pub fn logs(&self) -> String {
        format!("{}/log", self.prefix)
    }

    /// The ARN of a key, or of a pattern of keys.
    pub fn arn(&self, key: &str) -> String {
        format!("arn:{}:s3:::{}/{key}", self.partition, self.bucket)
    }
}

/// The partition of a Region.
pub fn partition_of(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The key of one log backup that is to be restored, in a folder of [`TemporaryPlace::folder`].
pub fn log_key(folder: &str, sequence: u64) -> String {
    format!("{folder}log/{sequence}.trn")
}

/// The files of one native backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSet {
    /// The database's folder, with a slash at its end.
    folder: String,
    /// What they hold.
    pub backup_type: BackupType,
    /// How many there are, 1 to 10.
    pub files: u32,
}

impl FileSet {
    /// The files in this folder of [`TemporaryPlace::folder`].
    pub fn new(folder: impl Into<String>, backup_type: BackupType, files: u32) -> Self {
        Self { folder: folder.into(), backup_type, files: files.clamp(1, MOST_FILES) }
    }

    /// Reads it from the ARN of a task, where that is one of the database in this folder.
    pub fn of_arn(place: &TemporaryPlace, folder: &str, arn: &str) -> Option<Self> {
        let rest = arn.trim().strip_prefix(&place.arn(folder))?;
        let (own, _) = rest.split_once('/')?;
        let (kind, files) = own.rsplit_once('-')?;
        let kinds = [BackupType::Full, BackupType::Differential];
        let backup_type = kinds.into_iter().find(|known| known.as_str() == kind)?;
        let files = files.parse().ok().filter(|files| (1..=MOST_FILES).contains(files))?;
        let set = Self::new(folder, backup_type, files);
        (place.arn(&set.pattern()) == arn.trim()).then_some(set)
    }

    /// What all its keys begin with, and no others.
    pub fn prefix(&self) -> String {
        format!("{}{}-{}/", self.folder, self.backup_type.as_str(), self.files)
    }

    /// What RDS is given in place of a key: one with a `*` where there are several files.
    pub fn pattern(&self) -> String {
        let star = if self.files > 1 { "*" } else { "" };
        format!("{}file{star}.bak", self.prefix())
    }

    /// What RDS is given to restore from: a key, or what several begin with and a `*`.
    pub fn restore_pattern(&self) -> String {
        if self.files > 1 { format!("{}*", self.prefix()) } else { self.pattern() }
    }

    /// The names of the files, in their order.
    pub fn names(&self) -> Vec<String> {
        match self.files {
            1 => vec!["file.bak".to_owned()],
            files => (1..=files).map(|number| format!("file{number}-of-{files}.bak")).collect(),
        }
    }

    /// The key of a file of that name.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> TemporaryPlace {
        TemporaryPlace::new("eu-central-1", "haulier-temp", "a/ses-1")
    }

    #[test]
    fn one_file_unless_the_size_asks_for_more() {
        let gib = 1 << 30;
        let cases = [
            (0, None, Ok(1)),
            (512 * gib, None, Ok(1)),
            (512 * gib + 1, None, Ok(2)),
            (4 << 40, None, Ok(8)),
            (20 << 40, None, Ok(10)),
            (50_000_000_000_000, None, Ok(10)),
            (50_000_000_000_001, None, Err(TooLarge(50_000_000_000_001))),
            (0, Some(4), Ok(4)),
            (4 << 40, Some(1), Ok(1)),
            // One file would be more than RDS writes.
            (5_000_000_000_001, Some(1), Ok(2)),
            (50_000_000_000_000, Some(3), Ok(10)),
        ];
        for (bytes, asked, expected) in cases {
            assert_eq!(files_for(bytes, asked), expected, "{bytes} {asked:?}");
        }
    }

    #[test]
    fn a_single_file_has_no_star_and_several_have_one() {
        let folder = place().folder("shop", "");
        let one = FileSet::new(&folder, BackupType::Full, 1);
        assert_eq!(one.pattern(), format!("{folder}full-1/file.bak"));
        assert_eq!((one.names(), one.restore_pattern()), (vec!["file.bak".to_owned()], one.pattern()));
        let four = FileSet::new(&folder, BackupType::Differential, 4);
        assert_eq!(four.pattern(), format!("{folder}differential-4/file*.bak"));
        assert_eq!(four.restore_pattern(), format!("{folder}differential-4/*"));
        assert_eq!(four.names()[..2], ["file1-of-4.bak", "file2-of-4.bak"]);
        assert!(four.key("file1-of-4.bak").starts_with(&four.prefix()));
        assert_eq!(FileSet::new(&folder, BackupType::Full, 99).files, 10);
    }

    #[test]
    fn folders_repeat_and_belong_to_one_database_and_purpose() {
        let folder = |database: &str, purpose: &str| place().folder(database, purpose);
        assert_eq!(folder("shop", ""), folder("shop", ""));
        let all = [folder("shop", ""), folder("Shop", ""), folder("shop", "x"), folder("sho", "px"), folder("***", "")];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        for folder in &all {
            assert!(folder.starts_with("a/ses-1/") && folder.ends_with('/') && !folder.contains('*'), "{folder}");
        }
        // Whatever a database is called, nothing of its name can break an ARN.
        let odd = folder("../weiß ü*日本/", "");
        assert!(odd.strip_prefix("a/ses-1/").is_some_and(|odd| odd.matches('/').count() == 1), "{odd}");
    }

    #[test]
    fn an_arn_tells_what_it_was_submitted_for() {
        let place = place();
        let folder = place.folder("shop", "");
        for set in [FileSet::new(&folder, BackupType::Full, 1), FileSet::new(&folder, BackupType::Differential, 10)] {
            let arn = place.arn(&set.pattern());
            assert!(arn.starts_with("arn:aws:s3:::haulier-temp/a/ses-1/shop-"), "{arn}");
            assert_eq!(FileSet::of_arn(&place, &folder, &arn), Some(set));
        }
        let others = [
            place.arn(&format!("{folder}full-0/file.bak")),
            place.arn(&format!("{folder}full-11/file*.bak")),
            place.arn(&format!("{folder}full-1/else.bak")),
            place.arn(&format!("{}full-1/file.bak", place.folder("crm", ""))),
            "arn:aws:s3:::other/x".to_owned(),
            String::new(),
        ];
        for other in others {
            assert_eq!(FileSet::of_arn(&place, &folder, &other), None, "{other}");
        }
    }

    #[test]
    fn partitions_follow_from_regions() {
        assert_eq!(["eu-central-1", "cn-north-1", "us-gov-west-1"].map(partition_of), ["aws", "aws-cn", "aws-us-gov"]);
    }
}
