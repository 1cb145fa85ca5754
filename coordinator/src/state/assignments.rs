//! What a worker is to do, and what it said about it that must not be lost.

use haulier_domain::id::{Epoch, SessionId, WorkerId};
use haulier_domain::session::Severity;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Result, State, StateError, WorkerState, doing, events, from_json, to_json};
use crate::workers::Grant;

/// A durable event as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurableEvent {
    /// A line for the session's log.
    Log {
        /// When it was written.
        at: Timestamp,
        /// How grave it is.
        severity: Severity,
        /// The text.
        text: String,
    },
    /// Anything else, by kind, as it came over the wire.
    Other {
        /// `point-proposed`, `part-restored`, `finished`, `task-submitted`, `task-ended`.
        kind: &'static str,
        /// The message.
        body: Vec<u8>,
    },
}

/// A durable event that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerEvent {
    /// Its kind.
    pub kind: String,
    /// The message as it came over the wire.
    pub body: Vec<u8>,
}

impl State {
    /// Records what a worker is to do and what its credentials are for. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn assign(&self, worker: &WorkerId, assignment: &[u8], grant: &Grant) -> Result<()> {
        sqlx::query("UPDATE workers SET assignment = ?, grant_scope = ? WHERE id = ? AND assignment IS NULL")
            .bind(assignment)
            .bind(to_json(grant, "workers.grant_scope")?)
            .bind(worker.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("assigning work"))?;
        Ok(())
    }

    /// What a worker is to do: the assignment as it goes over the wire, and what its credentials are for.
    ///
    /// # Errors
    /// Where it has none, or the state cannot be read.
    pub async fn assignment(&self, worker: &WorkerId) -> Result<(Vec<u8>, Grant)> {
        let missing = || StateError::Missing { what: "assignment of", id: worker.to_string() };
        let row = sqlx::query("SELECT assignment, grant_scope FROM workers WHERE id = ? AND assignment IS NOT NULL")
            .bind(worker.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading an assignment"))?
            .ok_or_else(missing)?;
        Ok((row.get("assignment"), from_json(row.get("grant_scope"), "workers.grant_scope")?))
    }

    /// Commits a durable event and returns the highest number that is safe. One that is safe already is ignored; so is
    /// one from beyond a gap, which the worker repeats in order, and whatever a worker says that was given up.
    ///
    /// # Errors
    /// Where the state cannot be read or written.
    pub async fn commit_event(&self, worker: &WorkerId, sequence: u64, event: &DurableEvent) -> Result<u64> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(doing("committing an event"))?;
        let row = sqlx::query("SELECT session, state, acknowledged FROM workers WHERE id = ?")
            .bind(worker.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(doing("reading a worker"))?;
        let acknowledged = row.get::<i64, _>("acknowledged").cast_unsigned();
        let state: WorkerState = super::parsed(row.get("state"), "workers.state")?;
        if sequence != acknowledged + 1 || !state.is_live() {
            return Ok(acknowledged);
        }
        let session: SessionId = super::parsed(row.get("session"), "workers.session")?;
        match event {
            DurableEvent::Log { at, severity, text } => {
                events::append(&mut transaction, &session, *at, *severity, text).await?;
            }
            DurableEvent::Other { kind, body } => {
                sqlx::query("INSERT INTO worker_events (worker, sequence, kind, body) VALUES (?, ?, ?, ?)")
                    .bind(worker.as_str())
                    .bind(sequence.cast_signed())
                    .bind(*kind)
                    .bind(body)
                    .execute(&mut *transaction)
                    .await
                    .map_err(doing("committing an event"))?;
            }
        }
        sqlx::query("UPDATE workers SET acknowledged = ? WHERE id = ?")
            .bind(sequence.cast_signed())
            .bind(worker.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(doing("committing an event"))?;
        transaction.commit().await.map_err(doing("committing an event"))?;
        Ok(sequence)
    }

    /// The last kept event of a kind from the worker of this session and epoch.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn last_event(&self, session: &SessionId, epoch: Epoch, kind: &str) -> Result<Option<WorkerEvent>> {
        let row = sqlx::query(
            "SELECT worker_events.kind, body FROM worker_events JOIN workers ON workers.id = worker
             WHERE session = ? AND epoch = ? AND worker_events.kind = ? ORDER BY sequence DESC LIMIT 1",
        )
        .bind(session.as_str())
        .bind(epoch.0.cast_signed())
        .bind(kind)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("reading a worker's events"))?;
        Ok(row.map(|row| WorkerEvent { kind: row.get("kind"), body: row.get("body") }))
    }

    /// Every kept event of a kind from the workers of this session, in the order in which they came.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn events_of_session(&self, session: &SessionId, kind: &str) -> Result<Vec<WorkerEvent>> {
        let rows = sqlx::query(
            "SELECT worker_events.kind, body FROM worker_events JOIN workers ON workers.id = worker
             WHERE session = ? AND worker_events.kind = ? ORDER BY epoch, sequence",
        )
        .bind(session.as_str())
        .bind(kind)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("reading a session's events"))?;
        Ok(rows.iter().map(|row| WorkerEvent { kind: row.get("kind"), body: row.get("body") }).collect())
    }

    /// The same of several sessions, each event with its session.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn events_of_sessions(
        &self,
        sessions: &[&SessionId],
        kind: &str,
    ) -> Result<Vec<(SessionId, WorkerEvent)>> {
        let ids: Vec<&str> = sessions.iter().map(|session| session.as_str()).collect();
        let rows = sqlx::query(
            "SELECT session, worker_events.kind, body FROM worker_events JOIN workers ON workers.id = worker
             WHERE session IN (SELECT value FROM json_each(?)) AND worker_events.kind = ? ORDER BY epoch, sequence",
        )
        .bind(to_json(&ids, "workers.session")?)
        .bind(kind)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("reading the events of sessions"))?;
        let event = |row: &SqliteRow| {
            let session = super::parsed(row.get("session"), "workers.session")?;
            Ok((session, WorkerEvent { kind: row.get("kind"), body: row.get("body") }))
        };
        rows.iter().map(event).collect()
    }

    /// The epochs of the session's workers that were heard of and had something to do, the last one first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn at_work(&self, session: &SessionId) -> Result<Vec<Epoch>> {
        let rows = sqlx::query(
            "SELECT epoch FROM workers WHERE session = ? AND assignment IS NOT NULL AND last_seen IS NOT NULL
             ORDER BY epoch DESC",
        )
        .bind(session.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(doing("looking for a session's workers"))?;
        Ok(rows.iter().map(|row| Epoch(row.get::<i64, _>("epoch").cast_unsigned())).collect())
    }
}
