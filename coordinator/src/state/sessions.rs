//! Sessions as stored.

use haulier_domain::id::{Epoch, PointId, SessionId};
use haulier_domain::session::{Completed, Outcome, Progress, SessionKind, SessionState, Stop, final_state};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _};

use super::{Result, State, StateError, doing, from_json, parsed, parsed_time, stamp, to_json};
use crate::sessions::{BackupRequest, Request};

/// A session as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// What it does.
    pub kind: SessionKind,
    /// Where it stands.
    pub state: SessionState,
    /// The step of its flow.
    pub step: String,
    /// Fencing number of its current worker; 0 before the first.
    pub epoch: Epoch,
    /// Policy; empty for sessions by hand.
    pub policy: String,
    /// DB instance identifier.
    pub resource: String,
    /// What it was asked to do.
    pub request: Request,
    /// Version of the workflow it began with.
    pub workflow_version: String,
    /// The point it makes or reads.
    pub point: Option<PointId>,
    /// Progress, as far as it was written down.
    pub progress: Option<Progress>,
    /// Its outcome, known once teardown begins.
    pub outcome: Option<Outcome>,
    /// Whether somebody has asked it to stop.
    pub cancel_requested: bool,
    /// Why.
    pub cancel_reason: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// What went wrong, where something did, or was left by a cancel.
    pub fn failure(&self) -> Option<&haulier_domain::failure::Failure> {
        self.outcome.as_ref()?.as_ref().err().and_then(Stop::failure)
    }

    /// Remarks and report, where it completed.
    pub fn completed(&self) -> Option<&Completed> {
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok())
    }
}

/// A session to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Id.
    pub id: SessionId,
    /// What it does.
    pub kind: SessionKind,
    /// What it is asked to do.
    pub request: Request,
    /// Version of the workflow that carries it out.
    pub workflow_version: String,
    /// The point it makes or reads.
    pub point: Option<PointId>,
    /// A second session with the same key is not made.
    pub idempotency_key: Option<String>,
}

/// Which sessions to list. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only of this policy.
    pub policy: Option<String>,
    /// Only of this resource.
    pub resource: Option<String>,
    /// Only in these states.
    pub states: Vec<SessionState>,
    /// At most so many; 0 means 100.
    pub limit: u32,
}

impl State {
    /// Writes a session down. Where one with the same idempotency key exists, that one's id is returned and nothing new
    /// is made.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn create_session(&self, new: &NewSession) -> Result<SessionId> {
        let inserted = sqlx::query(
            "INSERT INTO sessions (id, kind, state, policy, resource, lock_key, request, workflow_version, idempotency_key, point_id, created_at)
             VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(new.id.as_str())
        .bind(new.kind.as_str())
        .bind(new.request.policy().unwrap_or_default())
        .bind(&new.request.instance().id)
        .bind(new.request.lock_key())
        .bind(to_json(&new.request, "sessions.request")?)
        .bind(&new.workflow_version)
        .bind(&new.idempotency_key)
        .bind(new.point.as_ref().map(PointId::as_str))
        .bind(stamp(Timestamp::now()))
        .execute(&self.pool)
        .await
        .map_err(doing("writing a session"))?;
        if inserted.rows_affected() == 1 {
            return Ok(new.id.clone());
        }
        let row = sqlx::query("SELECT id FROM sessions WHERE idempotency_key = ?")
            .bind(&new.idempotency_key)
            .fetch_one(&self.pool)
            .await
            .map_err(doing("finding a session by its key"))?;
        parsed(row.get::<&str, _>("id"), "sessions.id")
    }

    /// One session.
    ///
    /// # Errors
    /// Where there is none of that id, or the state cannot be read.
    pub async fn session(&self, id: &SessionId) -> Result<Session> {
        sqlx::query("SELECT * FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a session"))?
            .as_ref()
            .map(session)
            .transpose()?
            .ok_or_else(|| StateError::Missing { what: "session", id: id.to_string() })
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>> {
        let mut query = QueryBuilder::new("SELECT * FROM sessions WHERE 1 = 1");
        if let Some(policy) = &filter.policy {
            query.push(" AND policy = ").push_bind(policy);
        }
        if let Some(resource) = &filter.resource {
            query.push(" AND resource = ").push_bind(resource);
        }
        if !filter.states.is_empty() {
            query.push(" AND state IN (");
            let mut list = query.separated(", ");
            for state in &filter.states {
                list.push_bind(state.as_str());
            }
            query.push(")");
        }
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await.map_err(doing("listing sessions"))?;
        rows.iter().map(session).collect()
    }

    /// Sessions that have not ended, oldest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn live_sessions(&self) -> Result<Vec<Session>> {
        let rows = sqlx::query("SELECT * FROM sessions WHERE ended_at IS NULL ORDER BY created_at, id")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing live sessions"))?;
        rows.iter().map(session).collect()
    }

    /// What the newest backup to a repository was asked to do.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn last_backup_to(&self, repository: &str) -> Result<Option<BackupRequest>> {
        let row = sqlx::query(
            "SELECT * FROM sessions WHERE kind = 'backup' AND json_extract(request, '$.repository') = ?
             ORDER BY created_at DESC, id DESC LIMIT 1",
        )
        .bind(repository)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking for a backup"))?;
        Ok(match row.as_ref().map(session).transpose()?.map(|session| session.request) {
            Some(Request::Backup(request)) => Some(request),
            _ => None,
        })
    }

    /// Notes the step a session has come to.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_step(&self, id: &SessionId, step: &str) -> Result<()> {
        sqlx::query("UPDATE sessions SET step = ? WHERE id = ? AND ended_at IS NULL")
            .bind(step)
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("noting a step"))?;
        Ok(())
    }

    /// Writes progress down, for those who ask after a restart.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_progress(&self, id: &SessionId, progress: &Progress) -> Result<()> {
        sqlx::query("UPDATE sessions SET progress = ? WHERE id = ?")
            .bind(to_json(progress, "sessions.progress")?)
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("writing progress"))?;
        Ok(())
    }

    /// Claims the session for its n-th worker: its epoch becomes `n` and never falls. Repeating the claim changes
    /// nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn claim_epoch(&self, id: &SessionId, epoch: Epoch) -> Result<()> {
        sqlx::query("UPDATE sessions SET epoch = max(epoch, ?) WHERE id = ?")
            .bind(epoch.0.cast_signed())
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("claiming an epoch"))?;
        Ok(())
    }

    /// Records that another version of the workflows is responsible for a session.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn set_workflow_version(&self, id: &SessionId, version: &str) -> Result<()> {
        sqlx::query("UPDATE sessions SET workflow_version = ? WHERE id = ?")
            .bind(version)
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("recording a workflow's version"))?;
        Ok(())
    }

    /// Asks a session to stop. Has no effect on one that has ended.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn request_cancel(&self, id: &SessionId, reason: &str) -> Result<()> {
        sqlx::query(
            "UPDATE sessions SET cancel_requested = 1, cancel_reason = ? WHERE id = ? AND ended_at IS NULL AND cancel_requested = 0",
        )
        .bind(reason)
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map_err(doing("asking a session to stop"))?;
        Ok(())
    }

    /// Whether somebody has asked the session to stop, before it began to publish its restore point.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn cancel_requested(&self, id: &SessionId) -> Result<bool> {
        let row = sqlx::query("SELECT cancel_requested AND NOT publishes AS stops FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a cancel flag"))?;
        Ok(row.is_some_and(|row| row.get("stops")))
    }

    /// Records that the session begins to publish its restore point, unless somebody has asked it to stop. Says whether it
    /// may. Once it has begun, nobody can know for a while whether the point is there: it is brought to an end.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn begin_publication(&self, id: &SessionId) -> Result<bool> {
        let row = sqlx::query(
            "UPDATE sessions SET publishes = publishes OR NOT cancel_requested WHERE id = ? RETURNING publishes",
        )
        .bind(id.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("recording the begin of a publication"))?;
        Ok(row.is_some_and(|row| row.get("publishes")))
    }

    /// Records the outcome: teardown begins. The first outcome stands.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn begin_teardown(&self, id: &SessionId, outcome: &Outcome) -> Result<()> {
        sqlx::query(
            "UPDATE sessions SET state = 'tearing-down', outcome = coalesce(outcome, ?) WHERE id = ? AND ended_at IS NULL",
        )
        .bind(to_json(outcome, "sessions.outcome")?)
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map_err(doing("recording an outcome"))?;
        Ok(())
    }

    /// Ends a session that has been torn down: its last state, its lock, its workers.
    ///
    /// # Errors
    /// Where the state cannot be written, or teardown never began.
    pub async fn end_session(&self, id: &SessionId) -> Result<()> {
        let now = stamp(Timestamp::now());
        let outcome = self
            .session(id)
            .await?
            .outcome
            .ok_or_else(|| StateError::Corrupt { what: "sessions.outcome", value: format!("nothing for {id}") })?;
        let mut transaction = self.pool.begin().await.map_err(doing("ending a session"))?;
        sqlx::query("UPDATE sessions SET state = ?, step = '', ended_at = ? WHERE id = ? AND ended_at IS NULL")
            .bind(final_state(&outcome).as_str())
            .bind(&now)
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(doing("ending a session"))?;
        sqlx::query("DELETE FROM instance_locks WHERE session = ?")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(doing("releasing a lock"))?;
        sqlx::query("UPDATE workers SET state = 'ended', ended_at = coalesce(ended_at, ?) WHERE session = ?")
            .bind(&now)
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(doing("ending workers"))?;
        transaction.commit().await.map_err(doing("ending a session"))
    }
}

fn session(row: &SqliteRow) -> Result<Session> {
    let json = |column: &'static str| row.get::<Option<&str>, _>(column);
    Ok(Session {
        id: parsed(row.get("id"), "sessions.id")?,
        kind: parsed(row.get("kind"), "sessions.kind")?,
        state: parsed(row.get("state"), "sessions.state")?,
        step: row.get("step"),
        epoch: Epoch(row.get::<i64, _>("epoch").cast_unsigned()),
        policy: row.get("policy"),
        resource: row.get("resource"),
        request: from_json(row.get("request"), "sessions.request")?,
        workflow_version: row.get("workflow_version"),
        point: json("point_id").map(|id| parsed(id, "sessions.point_id")).transpose()?,
        progress: json("progress").map(|text| from_json(text, "sessions.progress")).transpose()?,
        outcome: json("outcome").map(|text| from_json(text, "sessions.outcome")).transpose()?,
        cancel_requested: row.get("cancel_requested"),
        cancel_reason: row.get("cancel_reason"),
        created_at: parsed(row.get("created_at"), "sessions.created_at")?,
        started_at: parsed_time(json("started_at"), "sessions.started_at")?,
        ended_at: parsed_time(json("ended_at"), "sessions.ended_at")?,
    })
}
