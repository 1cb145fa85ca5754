//! The durable log of a session.

use haulier_domain::id::SessionId;
use haulier_domain::session::Severity;
use jiff::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use super::{Result, State, doing, parsed, stamp};

/// One line of a session's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Grows by one within a session, from 1.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// How grave it is.
    pub severity: Severity,
    /// The text.
    pub text: String,
}

impl State {
    /// Adds a line to a session's log.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn log(&self, session: &SessionId, severity: Severity, text: &str) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(doing("writing a log line"))?;
        append(&mut connection, session, Timestamp::now(), severity, text).await
    }

    /// Lines after the given one, oldest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn log_after(&self, session: &SessionId, sequence: u64) -> Result<Vec<LogLine>> {
        let rows = sqlx::query("SELECT * FROM session_events WHERE session = ? AND sequence > ? ORDER BY sequence")
            .bind(session.as_str())
            .bind(sequence.cast_signed())
            .fetch_all(&self.pool)
            .await
            .map_err(doing("reading a log"))?;
        rows.iter()
            .map(|row| {
                Ok(LogLine {
                    sequence: row.get::<i64, _>("sequence").cast_unsigned(),
                    at: parsed(row.get("at"), "session_events.at")?,
                    severity: parsed(row.get("severity"), "session_events.severity")?,
                    text: row.get("text"),
                })
            })
            .collect()
    }
}

/// Adds a line within a transaction of the caller's.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    session: &SessionId,
    at: Timestamp,
    severity: Severity,
    text: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO session_events (session, sequence, at, severity, text)
         SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4 FROM session_events WHERE session = ?1",
    )
    .bind(session.as_str())
    .bind(stamp(at))
    .bind(severity.as_str())
    .bind(text)
    .execute(connection)
    .await
    .map_err(doing("writing a log line"))?;
    Ok(())
}
