//! The coordinator's own state: sessions, their logs, the ledger, workers, restore points.
//!
//! It lies in `state.db` of the state directory. The durable engine keeps its checkpoints in a file of its own beside
//! it, `workflows.db`: SQLite has one writer a file, and what is here must be readable, and enough to clean up by, even
//! where a workflow's checkpoints cannot be replayed any more.
//!
//! Each file in `migrations/` has a number of its own. Gaps between them mean nothing.
//!
//! No secret is ever written here.

mod assignments;
mod events;
mod idempotency;
mod installation;
mod ledger;
mod locks;
mod places;
mod points;
mod policies;
mod proofs;
mod repositories;
mod sessions;
mod workers;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

pub use assignments::{DurableEvent, WorkerEvent};
pub use events::LogLine;
pub use idempotency::Claim;
pub use points::{CopyOf, Point, PointFilter};
pub use policies::Policy;
pub use repositories::{KeyKind, Repository};
pub use sessions::{NewSession, Session, SessionFilter};
pub use workers::{Binding, NewWorker, Worker, WorkerState};

/// A failed access to the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite refused or failed.
    #[error("state database: {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("state database: migration")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A stored value is not what this version writes.
    #[error("state database: {what} holds {value:?}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
        /// What stands there.
        value: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {id:?}")]
    Missing {
        /// Kind of thing.
        what: &'static str,
        /// Its id or name.
        id: String,
    },
}

/// The result of an access to the state.
pub type Result<T, E = StateError> = std::result::Result<T, E>;

/// The state database.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) pool: SqlitePool,
}

impl State {
    /// Opens the database in the state directory, made and brought up to date where needed.
    ///
    /// # Errors
    /// Where the file cannot be opened or its schema not be brought up to date.
    pub async fn open(directory: &Path) -> Result<Self> {
        let pool = sqlite_pool(&directory.join("state.db")).await.map_err(doing("opening state.db"))?;
        sqlx::migrate!("./migrations").run(&pool).await.map_err(StateError::Migration)?;
        Ok(Self { pool })
    }

    /// Writes what is pending and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A pool on a SQLite file with the settings that both of the coordinator's files use. Writers wait for each other for up
/// to half a minute: many sessions write at once.
pub(crate) async fn sqlite_pool(file: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::from_str("sqlite:")?
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(30));
    SqlitePoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(60)).connect_with(options).await
}

/// Names what was being done when SQLite failed.
pub(crate) fn doing(doing: &'static str) -> impl Fn(sqlx::Error) -> StateError {
    move |source| StateError::Database { doing, source }
}

/// A time as it is stored: fixed width, so that it sorts as text.
pub(crate) fn stamp(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// A stored word, name or document in its own type.
pub(crate) fn parsed<T: FromStr>(text: &str, what: &'static str) -> Result<T> {
    text.parse().map_err(|_| StateError::Corrupt { what, value: text.to_owned() })
}

/// A stored time that may be absent.
pub(crate) fn parsed_time(text: Option<&str>, what: &'static str) -> Result<Option<Timestamp>> {
    text.map(|text| parsed(text, what)).transpose()
}

/// A stored JSON document.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| StateError::Corrupt { what, value: text.chars().take(80).collect() })
}

/// A document to be stored as JSON. The types stored here always serialise.
pub(crate) fn to_json<T: serde::Serialize>(value: &T, what: &'static str) -> Result<String> {
    serde_json::to_string(value).map_err(|problem| StateError::Corrupt { what, value: problem.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text() {
        let times = ["2026-11-20T10:00:00Z", "2026-11-20T10:00:00.5Z", "2026-11-20T10:00:01Z"];
        let stamps: Vec<_> = times.iter().map(|time| stamp(time.parse().unwrap())).collect();
        assert!(stamps.is_sorted(), "{stamps:?}");
    }
}
