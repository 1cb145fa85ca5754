//! The port's adapter: T-SQL over TDS, by `tiberius`.
//!
//! TLS always, verified to the very name by the bundle of RDS's authorities (the client trusts the machine's own ones, too);
//! no transaction ever, since RDS refuses its procedures within one; keepalives far below the 300 seconds after which
//! networks forget a connection. A connection that gave no sound answer is never used again, and neither is one whose call
//! was given up in the middle.

mod cells;
mod connector;
mod statements;
mod tasks;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::BackupSet;
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_domain::sqlserver::row::{Malformed, Row};
use haulier_domain::sqlserver::server::{self, DatabaseFacts, ServerFacts};
use haulier_domain::sqlserver::task::{self, Task, TaskId};
use tiberius::ToSql;
use tokio::sync::Mutex;

use super::port::{CallError, Server, TaskRequest};
use crate::mover::Instance;
use crate::mover::login::LoginProvider;
use connector::{Connection, Connector};

/// Message of SQL Server: the database could not be exclusively locked to perform the operation.
const NOT_EXCLUSIVE: u32 = 5030;

/// An instance, over a connection that is made when it is needed.
pub struct TdsServer {
    connector: Connector,
    connection: Mutex<Option<Connection>>,
}

impl TdsServer {
    /// The instance, logged in to as the provider says. `key` names the work: what its connections are called.
    ///
    /// # Errors
    /// The bundle cannot be read.
    pub fn new(
        instance: Instance,
        login: Arc<dyn LoginProvider>,
        ca_bundle: &Path,
        key: &str,
    ) -> Result<Self, Failure> {
        let connector = Connector::new(instance, login, ca_bundle, key)?;
        Ok(Self { connector, connection: Mutex::new(None) })
    }

    /// Runs a statement that only reads.
    async fn read(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Vec<Row>>, CallError> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.connector.connect().await?,
        };
        // Out of its slot while it is at work: whoever gives this call up drops the connection with it.
        let (connection, answer) = run(connection, sql, parameters).await;
        *slot = connection;
        answer
    }

    /// Runs a statement that changes something, over a new connection: one that has gone stale unnoticed would leave it open
    /// whether anything has happened.
    async fn change(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Vec<Row>>, CallError> {
        self.connection.lock().await.take();
        self.read(sql, parameters).await
    }

    async fn first(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Row>, CallError> {
        Ok(self.read(sql, parameters).await?.into_iter().next().unwrap_or_default())
    }

    /// Whether native backups are compressed; `None` where it does not tell.
    async fn compression(&self) -> Option<bool> {
        let rows = match self.first(statements::CONFIGURATION, &[]).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::debug!(%error, "the instance does not tell how it compresses backups");
                return None;
            }
        };
        let is_it = |row: &&Row| row.get("name").is_some_and(|name| name.eq_ignore_ascii_case(statements::COMPRESSION));
        rows.iter().find(is_it)?.is_set("value").ok()
    }
}

/// Runs a statement. Gives the connection back where it can be used again.
async fn run(
    mut connection: Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> (Option<Connection>, Result<Vec<Vec<Row>>, CallError>) {
    let answer = async {
        match parameters {
            // As a batch: some statements cannot have parameters.
            [] => connection.simple_query(sql).await?.into_results().await,
            _ => connection.query(sql, parameters).await?.into_results().await,
        }
    };
    match answer.await {
        Ok(results) => {
            let rows = |set: Vec<tiberius::Row>| set.iter().map(cells::row).collect();
            (Some(connection), Ok(results.into_iter().map(rows).collect()))
        }
        Err(tiberius::error::Error::Server(refusal)) => {
            let refused = CallError::Refused { number: refusal.code(), text: refusal.message().to_owned() };
            (Some(connection), Err(refused))
        }
        Err(error) => (None, Err(CallError::Lost(error.to_string()))),
    }
}

fn strange(malformed: Malformed) -> CallError {
    CallError::Strange(malformed.to_string())
}

#[async_trait]
impl Server for TdsServer {
    async fn facts(&self) -> Result<ServerFacts, CallError> {
        let rows = self.first(statements::SERVER, &[]).await?;
        let row = rows.first().ok_or_else(|| CallError::Strange("the server has no properties".to_owned()))?;
        let facts = ServerFacts::of_row(row).map_err(strange)?;
        Ok(ServerFacts { compression: self.compression().await, ..facts })
    }

    async fn databases(&self) -> Result<Vec<DatabaseFacts>, CallError> {
        let databases = self.first(statements::DATABASES, &[]).await?;
        let files = self.first(statements::FILES, &[]).await?;
        server::databases(&databases, &files).map_err(strange)
    }

    async fn history(&self, database: &str) -> Result<Vec<BackupSet>, CallError> {
        let rows = self.first(statements::HISTORY, &[&database]).await?;
        let sets: Result<Vec<Option<BackupSet>>, Malformed> = rows.iter().map(BackupSet::of_row).collect();
        Ok(sets.map_err(strange)?.into_iter().flatten().collect())
    }

    async fn log_backups(&self, database: &str) -> Result<Vec<LogBackup>, CallError> {
        let rows = self.first(statements::LOG_BACKUPS, &[&database]).await?;
        // An error comes as a row.
        if let Some(error) = rows.iter().find_map(|row| row.get("Error").filter(|error| !error.trim().is_empty())) {
            return Err(CallError::Refused { number: 0, text: error.to_owned() });
        }
        rows.iter().map(LogBackup::of_row).collect::<Result<_, _>>().map_err(strange)
    }

    async fn log_target(&self) -> Result<Option<String>, CallError> {
        let rows = self.first(statements::CONFIGURATION, &[]).await?;
        let is_it = |row: &&Row| row.get("name").is_some_and(|name| name.eq_ignore_ascii_case(statements::LOG_TARGET));
        let value = rows.iter().find(is_it).and_then(|row| row.get("value")).unwrap_or_default().trim();
        Ok((!value.is_empty()).then(|| value.to_owned()))
    }

    async fn set_log_target(&self, arn: &str) -> Result<(), CallError> {
        self.change(statements::SET_LOG_TARGET, &[&arn]).await.map(drop)
    }

    async fn submit(&self, request: &TaskRequest) -> Result<TaskId, CallError> {
        let call = tasks::call(request);
        let results = self.change(&call.sql, &call.arguments()).await?;
        task::submitted(&results)
            .ok_or_else(|| CallError::Strange(format!("no result of the submission has a task's number: {results:?}")))
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        let id_given = i32::try_from(id.0).map_err(|_| CallError::Strange(format!("task {id} has no such number")))?;
        let results = self.read(statements::TASK, &[&id_given]).await?;
        let tasks: Result<Vec<Task>, Malformed> = results.iter().flatten().map(Task::of_row).collect();
        Ok(tasks.map_err(strange)?.into_iter().find(|task| task.id == id))
    }

    async fn tasks(&self) -> Result<Vec<Task>, CallError> {
        let results = self.read(statements::TASKS, &[]).await?;
        results.iter().flatten().map(Task::of_row).collect::<Result<_, _>>().map_err(strange)
    }

    async fn cancel(&self, id: TaskId) -> Result<(), CallError> {
        let id = i32::try_from(id.0).map_err(|_| CallError::Strange(format!("task {id} has no such number")))?;
        self.change(statements::CANCEL, &[&id]).await.map(drop)
    }

    async fn drop_database(&self, name: &str) -> Result<(), CallError> {
        self.change(statements::DROP, &[&name]).await.map(drop)
    }

    async fn rename_database(&self, from: &str, to: &str) -> Result<(), CallError> {
        let mut renamed = self.change(statements::RENAME, &[&from, &to]).await;
        let is_closed = renamed.as_ref().is_err_and(is_in_use);
        if is_closed {
            self.change(&statements::single_user(from), &[]).await?;
            renamed = self.read(statements::RENAME, &[&from, &to]).await;
        }
        // Whoever closed it: a worker before this one may have been killed in between.
        let current = if renamed.is_ok() { to } else { from };
        let opening = statements::multi_user(current);
        let opened = self.read(&opening, &[]).await;
        if let Err(error) = &opened {
            tracing::warn!(database = current, %error, "a database may stay in single-user mode");
        }
        match renamed {
            Err(CallError::Refused { number, text }) if is_closed && opened.is_err() => {
                let text = format!("{text} (and {from:?} may be in single-user mode now: {opening})");
                Err(CallError::Refused { number, text })
            }
            renamed => renamed.map(drop),
        }
    }
}

/// Whether a database could not be renamed because somebody uses it.
fn is_in_use(error: &CallError) -> bool {
    matches!(error, CallError::Refused { number, text } if *number == NOT_EXCLUSIVE || text.contains("exclusively lock"))
}

impl std::fmt::Debug for TdsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TdsServer").field("instance", &self.connector.instance().id).finish_non_exhaustive()
    }
}
