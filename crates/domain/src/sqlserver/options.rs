//! What a restore may be asked to do differently: where files go, whether change data capture stays, and which moment it goes
//! to.
//!
//! Names and values are those of `rds_restore_database` and `rds_restore_log`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys::BackupType;

/// A storage volume of an instance, by its drive letter: the one that every instance has, or one of three more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Volume {
    /// The instance's own, where files go unless something else is said.
    #[serde(rename = "D:")]
    D,
    /// Additional.
    #[serde(rename = "H:")]
    H,
    /// Additional.
    #[serde(rename = "I:")]
    I,
    /// Additional.
    #[serde(rename = "J:")]
    J,
}

/// All of them: their letters, and the names that the additional ones have in RDS's API.
const VOLUMES: [(Volume, &str, Option<&str>); 4] = [
    (Volume::D, "D:", None),
    (Volume::H, "H:", Some("rdsdbdata2")),
    (Volume::I, "I:", Some("rdsdbdata3")),
    (Volume::J, "J:", Some("rdsdbdata4")),
];

/// A text that names no volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a volume: D:, H:, I: or J:")]
pub struct NoVolume(pub String);

impl Volume {
    /// As RDS's procedures take it: `H:`.
    pub fn as_str(self) -> &'static str {
        VOLUMES.iter().find(|(volume, ..)| *volume == self).map_or("", |(_, letter, _)| letter)
    }

    /// The name of an additional volume in RDS's API: `rdsdbdata2`.
    pub fn name(self) -> Option<&'static str> {
        VOLUMES.iter().find(|(volume, ..)| *volume == self).and_then(|(.., name)| *name)
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Volume {
    type Err = NoVolume;

    fn from_str(text: &str) -> Result<Self, NoVolume> {
        let known = VOLUMES.iter().find(|(_, letter, _)| letter.eq_ignore_ascii_case(text));
        known.map(|(volume, ..)| *volume).ok_or_else(|| NoVolume(text.to_owned()))
    }
}

/// What a restore is asked for besides its databases. The default leaves everything to RDS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RestoreOptions {
    /// Keep the configuration of change data capture.
    pub keep_cdc: bool,
    /// Where data files go; `None` means D:.
    pub data_file_volume: Option<Volume>,
    /// Where the log goes; `None` means D:.
    pub log_file_volume: Option<Volume>,
    /// The moment whose state is restored, of a point with log backups; `None` means the point's own. Of whole seconds: RDS tells no
    /// more of when it took a log backup, so that nobody knows which one has a moment within a second.
    pub until: Option<Timestamp>,
}

impl RestoreOptions {
    /// The first volume that is asked for and is not among the additional ones of an instance, by their names in RDS's API.
    pub fn missing_volume(self, additional: &[String]) -> Option<Volume> {
        let is_missing = |volume: &Volume| volume.name().is_some_and(|name| !additional.iter().any(|own| own == name));
        [self.data_file_volume, self.log_file_volume].into_iter().flatten().find(is_missing)
    }

    /// What of them one task of a restore is given. Files are made by the full backup, and change data capture is kept by
    /// the step that brings the database online: RDS refuses it together with NORECOVERY.
    pub fn of_step(self, backup_type: BackupType, more_follows: bool) -> Self {
        let makes_files = backup_type == BackupType::Full;
        Self {
            keep_cdc: self.keep_cdc && !more_follows,
            data_file_volume: self.data_file_volume.filter(|_| makes_files),
            log_file_volume: self.log_file_volume.filter(|_| makes_files),
            until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_named_as_rds_names_them() {
        for (volume, letter, name) in VOLUMES {
            assert_eq!((letter.parse(), volume.as_str(), volume.name()), (Ok(volume), letter, name));
            assert_eq!(letter.to_lowercase().parse(), Ok(volume));
            assert_eq!(serde_json::to_value(volume).unwrap(), letter);
        }
        for other in ["C:", "H", "", "D:\\"] {
            assert_eq!(other.parse::<Volume>(), Err(NoVolume(other.to_owned())));
        }
    }

    #[test]
    fn an_instance_must_have_the_volumes() {
        let (d, h, j) = (Some(Volume::D), Some(Volume::H), Some(Volume::J));
        for (data, log, additional, missing) in [
            (None, None, &[][..], None),
            (d, d, &[], None),
            (h, None, &["rdsdbdata2"], None),
            (h, None, &["rdsdbdata3"], h),
            (d, j, &["rdsdbdata2"], j),
            (h, j, &[], h),
        ] {
            let options = RestoreOptions { data_file_volume: data, log_file_volume: log, ..RestoreOptions::default() };
            let additional: Vec<String> = additional.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(options.missing_volume(&additional), missing, "{options:?} {additional:?}");
        }
    }

    #[test]
    fn each_step_is_given_what_it_takes() {
        let all = RestoreOptions {
            keep_cdc: true,
            data_file_volume: Some(Volume::H),
            log_file_volume: Some(Volume::I),
            until: None,
        };
        let volumes = RestoreOptions { keep_cdc: false, ..all };
        let cdc = RestoreOptions { keep_cdc: true, ..RestoreOptions::default() };
        for (backup_type, more_follows, expected) in [
            (BackupType::Full, false, all),
            (BackupType::Full, true, volumes),
            (BackupType::Differential, true, RestoreOptions::default()),
            (BackupType::Differential, false, cdc),
            (BackupType::Log, true, RestoreOptions::default()),
            (BackupType::Log, false, cdc),
        ] {
            assert_eq!(all.of_step(backup_type, more_follows), expected, "{backup_type:?} {more_follows}");
        }
    }
}
