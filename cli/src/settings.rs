//! How to reach the coordinator: flags, then variables, then the configuration file, then defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::Connection;
use crate::exit::{CliError, Exit};

const DEFAULT_COORDINATOR: &str = "https://127.0.0.1:7444";

/// How to reach the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) coordinator: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    coordinator: Option<String>,
    ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

impl Settings {
    /// The settings of a command line. A variable that is empty is as good as none, and the file in the home folder
    /// counts only where there is one.
    pub(crate) fn read(connection: &Connection, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, CliError> {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |flag: &Option<PathBuf>, name: &str| flag.clone().or_else(|| filled(name).map(PathBuf::from));
        let usual = filled("HOME").map(|home| Path::new(&home).join(".config/haulier/config.toml"));
        let file = match (path(&connection.config, "HAULIER_CLI_CONFIG"), usual) {
            (Some(path), _) => read(&path)?,
            (None, Some(path)) if path.exists() => read(&path)?,
            (None, _) => File::default(),
        };
        let address = filled("HAULIER_COORDINATOR").map(|address| address.to_string_lossy().into_owned());
        Ok(Self {
            coordinator: connection
                .coordinator
                .clone()
                .or(address)
                .or(file.coordinator)
                .unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned()),
            ca_file: path(&connection.ca_file, "HAULIER_CA_FILE").or(file.ca_file),
            token_file: path(&connection.token_file, "HAULIER_TOKEN_FILE").or(file.token_file),
        })
    }
}

fn read(path: &Path) -> Result<File, CliError> {
    let what = format!("reading the configuration file {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::new(Exit::Usage, "config-unreadable", &what, error.to_string(), "check the path and its permissions")
    })?;
    toml::from_str(&text).map_err(|error| {
        CliError::new(
            Exit::Usage,
            "config-invalid",
            &what,
            error.to_string().trim_end().to_owned(),
            "the known keys are coordinator, ca_file and token_file",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(config: &Path) -> Connection {
        Connection { coordinator: None, ca_file: None, token_file: None, config: Some(config.to_owned()) }
    }

    fn no_variables(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn flags_win_over_variables_and_those_over_the_file_and_an_empty_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "coordinator = \"https://file:1\"\nca_file = \"/file.pem\"\n").unwrap();
        let set = |name: &str| match name {
            "HAULIER_CLI_CONFIG" => Some(path.clone().into()),
            "HAULIER_COORDINATOR" => Some("https://variable:1".into()),
            "HAULIER_CA_FILE" => Some("/variable.pem".into()),
            _ => None,
        };
        let none = Connection { coordinator: None, ca_file: None, token_file: None, config: None };
        let read = Settings::read(&none, set).unwrap();
        assert_eq!((read.coordinator.as_str(), read.ca_file), ("https://variable:1", Some("/variable.pem".into())));
        let flags = Connection { coordinator: Some("https://flag:1".to_owned()), ..connection(&path) };
        assert_eq!(Settings::read(&flags, set).unwrap().coordinator, "https://flag:1");
        let empty = |name: &str| if name == "HAULIER_CLI_CONFIG" { set(name) } else { Some(OsString::new()) };
        let read = Settings::read(&none, empty).unwrap();
        assert_eq!((read.coordinator.as_str(), read.ca_file), ("https://file:1", Some("/file.pem".into())));
        let all_empty = Settings::read(&none, |_| Some(OsString::new())).unwrap();
        assert_eq!(all_empty.coordinator, DEFAULT_COORDINATOR);
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "coordinator = \"https://file:1\"\nca_file = \"/ca.pem\"\n").unwrap();
        let from_file = Settings::read(&connection(&path), no_variables).unwrap();
        assert_eq!(from_file.coordinator, "https://file:1");
        assert_eq!(from_file.ca_file, Some(PathBuf::from("/ca.pem")));
        assert_eq!(from_file.token_file, None);
        let flags = Connection { coordinator: Some("https://flag:1".to_owned()), ..connection(&path) };
        assert_eq!(Settings::read(&flags, no_variables).unwrap().coordinator, "https://flag:1");
        std::fs::write(&path, "").unwrap();
        assert_eq!(Settings::read(&connection(&path), no_variables).unwrap().coordinator, DEFAULT_COORDINATOR);
    }

    #[test]
    fn the_home_folder_is_looked_into() {
        let home = tempfile::tempdir().unwrap();
        let none = Connection { config: None, ..connection(Path::new("")) };
        let at_home = |name: &str| (name == "HOME").then(|| home.path().into());
        assert_eq!(Settings::read(&none, at_home).unwrap().coordinator, DEFAULT_COORDINATOR);
        std::fs::create_dir_all(home.path().join(".config/haulier")).unwrap();
        std::fs::write(home.path().join(".config/haulier/config.toml"), "coordinator = \"https://home:1\"").unwrap();
        assert_eq!(Settings::read(&none, at_home).unwrap().coordinator, "https://home:1");
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "ca_file = \"x\"\ntoken = \"y\"\n").unwrap();
        let error = Settings::read(&connection(&path), no_variables).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.failure.cause.contains("line 2"), "{error}");
        let missing = Settings::read(&connection(&folder.path().join("none")), no_variables).unwrap_err();
        assert_eq!(missing.failure.code, "config-unreadable");
    }
}
