//! How to reach the coordinator: flags, then variables, then the configuration file, then defaults.

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
    /// The settings of a command line; the file in the home folder counts only where there is one.
    pub(crate) fn read(connection: &Connection, home: Option<&Path>) -> Result<Self, CliError> {
        let usual = home.map(|home| home.join(".config/haulier/config.toml"));
        let file = match (&connection.config, usual) {
            (Some(path), _) => read(path)?,
            (None, Some(path)) if path.exists() => read(&path)?,
            (None, _) => File::default(),
        };
        let own = |flag: &Option<PathBuf>, file: Option<PathBuf>| flag.clone().or(file);
        Ok(Self {
            coordinator: connection
                .coordinator
                .clone()
                .or(file.coordinator)
                .unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned()),
            ca_file: own(&connection.ca_file, file.ca_file),
            token_file: own(&connection.token_file, file.token_file),
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

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "coordinator = \"https://file:1\"\nca_file = \"/ca.pem\"\n").unwrap();
        let from_file = Settings::read(&connection(&path), None).unwrap();
        assert_eq!(from_file.coordinator, "https://file:1");
        assert_eq!(from_file.ca_file, Some(PathBuf::from("/ca.pem")));
        assert_eq!(from_file.token_file, None);
        let flags = Connection { coordinator: Some("https://flag:1".to_owned()), ..connection(&path) };
        assert_eq!(Settings::read(&flags, None).unwrap().coordinator, "https://flag:1");
        std::fs::write(&path, "").unwrap();
        assert_eq!(Settings::read(&connection(&path), None).unwrap().coordinator, DEFAULT_COORDINATOR);
    }

    #[test]
    fn the_home_folder_is_looked_into() {
        let home = tempfile::tempdir().unwrap();
        let none = Connection { config: None, ..connection(Path::new("")) };
        assert_eq!(Settings::read(&none, Some(home.path())).unwrap().coordinator, DEFAULT_COORDINATOR);
        std::fs::create_dir_all(home.path().join(".config/haulier")).unwrap();
        std::fs::write(home.path().join(".config/haulier/config.toml"), "coordinator = \"https://home:1\"").unwrap();
        assert_eq!(Settings::read(&none, Some(home.path())).unwrap().coordinator, "https://home:1");
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "ca_file = \"x\"\ntoken = \"y\"\n").unwrap();
        let error = Settings::read(&connection(&path), None).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.failure.cause.contains("line 2"), "{error}");
        let missing = Settings::read(&connection(&folder.path().join("none")), None).unwrap_err();
        assert_eq!(missing.failure.code, "config-unreadable");
    }
}
