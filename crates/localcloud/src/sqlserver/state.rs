//! Everything that an instance remembers, and the changes that it goes through. What must outlive a restart of the
//! instance, and be in a snapshot of it, is written to its folder at every change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::backup::Kind;
use super::contents::Contents;
use super::database::{BackupSet, Database, Mode, Recovery};
use super::error::SqlError;
use super::log::Log;

/// Databases that every server has, with their numbers.
pub(crate) const SYSTEM: [(&str, i64); 5] = [("master", 1), ("tempdb", 2), ("model", 3), ("msdb", 4), ("rdsadmin", 5)];
/// Pages of a database that CREATE DATABASE makes: 8 MiB, as `model` has them.
const NEW_PAGES: u32 = 1024;

/// The lasting part of an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// By name in lower case.
    pub(crate) databases: BTreeMap<String, Database>,
    /// Oldest first.
    pub(crate) backups: Vec<BackupSet>,
    /// `S3 backup compression`.
    pub(crate) compression: bool,
    /// `target_s3_arn_for_tlog_copy`.
    pub(crate) log_target: Option<String>,
    /// Counts what was made, for seeds and names.
    pub(crate) made: u64,
}

impl State {
    /// Reads what a former run has left in a folder; nothing where there was none.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("state.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Writes it, whole or not at all.
    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let (path, draft) = (folder.join("state.json"), folder.join("state.json.draft"));
        let text = serde_json::to_vec(self).context("describing the instance")?;
        std::fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        std::fs::rename(&draft, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// Images that databases need, by name.
    pub(crate) fn images(&self) -> Vec<&PathBuf> {
        self.databases.values().flat_map(|database| database.contents.images()).collect()
    }

    /// What a snapshot does not bring along: databases that are half restored, and what is the former instance's own, its
    /// log backups and where they are copied to.
    pub(crate) fn forget_former(&mut self) {
        self.databases.retain(|_, database| database.mode == Mode::Online);
        for database in self.databases.values_mut() {
            database.log = Log::default();
        }
        self.log_target = None;
    }

    /// A user's database.
    pub(crate) fn get(&self, name: &str) -> Option<&Database> {
        self.databases.get(&name.to_lowercase())
    }

    /// A user's database, to change it.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Database> {
        self.databases.get_mut(&name.to_lowercase())
    }

    /// Whether a name is taken, by a database of the system too.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.get(name).is_some() || SYSTEM.iter().any(|(system, _)| system.eq_ignore_ascii_case(name))
    }

    /// The next free number of a database.
    pub(crate) fn next_id(&self) -> i64 {
        (6..).find(|id| self.databases.values().all(|database| database.id != *id)).unwrap_or(i64::MAX)
    }

    /// Adds a database.
    pub(crate) fn insert(&mut self, database: Database) {
        self.databases.insert(database.name.to_lowercase(), database);
    }

    /// CREATE DATABASE; what is in it follows from its name and from how many were made before, unless contents are
    /// given.
    pub(crate) fn create(
        &mut self,
        name: &str,
        recovery: Recovery,
        contents: Option<Contents>,
        now: DateTime,
    ) -> Result<(), SqlError> {
        check_name(name)?;
        if self.is_taken(name) {
            let text = format!("Database '{name}' already exists. Choose a different database name.");
            return Err(SqlError::new(1801, 16, text));
        }
        self.made += 1;
        let contents = contents.unwrap_or_else(|| Contents::seeded(self.made, NEW_PAGES));
        self.insert(Database::new(self.next_id(), name, now, recovery, contents));
        Ok(())
    }

    /// DROP DATABASE, and with `history` what RDS's own procedure removes besides.
    pub(crate) fn drop(&mut self, name: &str, history: bool) -> Result<(), SqlError> {
        let missing = || SqlError::no_database("drop", name);
        let database = self.databases.remove(&name.to_lowercase()).ok_or_else(missing)?;
        if history {
            self.backups.retain(|set| !set.database.eq_ignore_ascii_case(&database.name));
        }
        Ok(())
    }

    /// `rds_modify_db_name`.
    pub(crate) fn rename(&mut self, old: &str, new: &str) -> Result<(), SqlError> {
        check_name(new)?;
        let database = self.get(old).ok_or_else(|| SqlError::raised(format!("Database {old} does not exist.")))?;
        check_online(database)?;
        if self.is_taken(new) && !old.eq_ignore_ascii_case(new) {
            let text = format!("Database '{new}' already exists. Choose a different database name.");
            return Err(SqlError::new(1801, 16, text));
        }
        if let Some(mut database) = self.databases.remove(&old.to_lowercase()) {
            database.name = new.to_owned();
            self.insert(database);
        }
        Ok(())
    }

    /// ALTER DATABASE … SET.
    pub(crate) fn alter(&mut self, name: &str, setting: &[String]) -> Result<(), SqlError> {
        let missing = || {
            let text = format!(
                "User does not have permission to alter database '{name}', the database does not exist, or the database is not in a state that allows access checks."
            );
            SqlError::new(5011, 14, text)
        };
        let database = self.get_mut(name).ok_or_else(missing)?;
        check_online(database)?;
        let words: Vec<&str> = setting.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["SINGLE_USER", ..] => database.single_user = true,
            ["MULTI_USER", ..] => database.single_user = false,
            ["RECOVERY", "FULL", ..] => database.recovery = Recovery::Full,
            ["RECOVERY", "SIMPLE", ..] => {
                database.recovery = Recovery::Simple;
                database.log.stop();
            }
            ["RECOVERY", "BULK_LOGGED", ..] => database.recovery = Recovery::BulkLogged,
            _ => return Err(SqlError::syntax(words.first().unwrap_or(&"SET"))),
        }
        Ok(())
    }

    /// Every database goes into a snapshot of the instance, as a backup of the volume: it is what a differential builds
    /// on from then on.
    pub(crate) fn note_snapshot(&mut self, now: DateTime) {
        for database in self.databases.values_mut() {
            if let Ok(mut set) = BackupSet::begin(database, Kind::Full, true, now) {
                set.finish(database, now);
                self.backups.push(set);
            }
        }
    }
}

/// Refuses what is restoring.
pub(crate) fn check_online(database: &Database) -> Result<(), SqlError> {
    match database.mode {
        Mode::Online => Ok(()),
        Mode::Restoring => {
            let text = format!("Database '{}' cannot be opened. It is in the middle of a restore.", database.name);
            Err(SqlError::new(927, 14, text))
        }
    }
}

fn check_name(name: &str) -> Result<(), SqlError> {
    if name.is_empty() || name.chars().count() > 128 {
        return Err(SqlError::new(1038, 15, "An object or column name is missing, empty or too long."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime {
        jiff::civil::date(2026, 11, 27).at(0, 0, 0, 0)
    }

    fn state(names: &[&str]) -> State {
        let mut state = State::default();
        for name in names {
            state.create(name, Recovery::Full, Some(Contents::seeded(1, 8)), now()).unwrap();
        }
        state
    }

    #[test]
    fn names_are_one_whatever_their_case() {
        let mut state = state(&["Shop", "other"]);
        for taken in ["SHOP", "master", "Rdsadmin"] {
            assert_eq!(state.create(taken, Recovery::Full, None, now()).unwrap_err().number, 1801);
        }
        assert_eq!(state.rename("shop", "OTHER").unwrap_err().number, 1801);
        state.rename("shop", "SHOP").unwrap();
        assert_eq!(state.get("shop").unwrap().name, "SHOP");
        state.drop("Shop", true).unwrap();
        assert_eq!(state.drop("Shop", true).unwrap_err().number, 3701);
        assert_eq!(state.next_id(), 6, "the first number is free again");
    }

    #[test]
    fn settings_and_what_is_none() {
        let mut state = state(&["shop"]);
        let set = |state: &mut State, words: &str| {
            state.alter("shop", &words.split(' ').map(str::to_owned).collect::<Vec<_>>())
        };
        set(&mut state, "SINGLE_USER WITH ROLLBACK IMMEDIATE").unwrap();
        set(&mut state, "RECOVERY SIMPLE").unwrap();
        let database = state.get("shop").unwrap();
        assert!(database.single_user && database.recovery == Recovery::Simple);
        assert_eq!(set(&mut state, "NOTHING").unwrap_err().number, 102);
        assert_eq!(state.alter("nope", &[]).unwrap_err().number, 5011);
        state.get_mut("shop").unwrap().mode = Mode::Restoring;
        assert_eq!(set(&mut state, "MULTI_USER").unwrap_err().number, 927);
        assert_eq!(state.rename("shop", "x").unwrap_err().number, 927);
        state.forget_former();
        assert!(state.get("shop").is_none());
    }

    #[test]
    fn a_snapshot_is_a_backup_of_every_database() {
        let mut state = state(&["a", "b"]);
        state.note_snapshot(now());
        assert_eq!(state.backups.len(), 2);
        assert!(state.backups.iter().all(|set| set.snapshot && set.kind == Kind::Full));
        assert!(state.get("a").unwrap().base.is_some());
    }

    #[test]
    fn it_comes_back_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(State::load(folder.path()).unwrap().databases.is_empty());
        let mut state = state(&["a"]);
        state.note_snapshot(now());
        state.save(folder.path()).unwrap();
        let read = State::load(folder.path()).unwrap();
        assert_eq!((read.databases, read.backups), (state.databases, state.backups));
    }
}
