//! Workers as stored.

use haulier_domain::id::{Epoch, SessionId, WorkerId};
use haulier_domain::session::UnknownWord;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Result, State, StateError, doing, parsed, parsed_time, stamp};

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// Asked for; it has not been heard of.
    Launching,
    /// It has its certificate.
    Enrolled,
    /// It has opened its stream at least once.
    Attached,
    /// Given up: silent for too long, or its machine is gone.
    Lost,
    /// Its session needs it no more.
    Ended,
}

impl WorkerState {
    /// The state as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launching => "launching",
            Self::Enrolled => "enrolled",
            Self::Attached => "attached",
            Self::Lost => "lost",
            Self::Ended => "ended",
        }
    }

    /// Whether such a worker may still speak.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Launching | Self::Enrolled | Self::Attached)
    }
}

impl std::str::FromStr for WorkerState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Launching, Self::Enrolled, Self::Attached, Self::Lost, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownWord { text: text.to_owned(), kind: "worker state" })
    }
}

/// A worker to be.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// Id.
    pub id: WorkerId,
    /// Session it will serve.
    pub session: SessionId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Region it will run in.
    pub region: String,
    /// SHA-256 of its enrolment token, hex.
    pub token_sha256: String,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Id.
    pub id: WorkerId,
    /// Session it serves.
    pub session: SessionId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Region.
    pub region: String,
    /// Where it stands.
    pub state: WorkerState,
    /// SHA-256 of its enrolment token, hex.
    pub token_sha256: String,
    /// SHA-256 of the certificate request its token is bound to, hex.
    pub key_sha256: Option<String>,
    /// EC2 instance.
    pub instance_id: Option<String>,
    /// Certificate chain it was given, PEM.
    pub certificate: Option<String>,
    /// Version of its agent.
    pub agent_version: String,
    /// Highest durable event that is safe.
    pub acknowledged: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Last sign of life, as far as it was written down.
    pub last_seen: Option<Timestamp>,
    /// When its session needed it no more.
    pub ended_at: Option<Timestamp>,
}

/// Whether a token could be bound to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// It is bound to this key, since now or since before.
    Bound,
    /// It was used with another key.
    UsedOtherwise,
}

impl State {
    /// Writes a worker down before it is launched. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn create_worker(&self, new: &NewWorker) -> Result<()> {
        sqlx::query(
            "INSERT INTO workers (id, session, epoch, region, state, token_sha256, created_at)
             VALUES (?, ?, ?, ?, 'launching', ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(new.id.as_str())
        .bind(new.session.as_str())
        .bind(new.epoch.0.cast_signed())
        .bind(&new.region)
        .bind(&new.token_sha256)
        .bind(stamp(Timestamp::now()))
        .execute(&self.pool)
        .await
        .map_err(doing("writing a worker"))?;
        Ok(())
    }

    /// One worker.
    ///
    /// # Errors
    /// Where there is none of that id, or the state cannot be read.
    pub async fn worker(&self, id: &WorkerId) -> Result<Worker> {
        sqlx::query("SELECT * FROM workers WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a worker"))?
            .as_ref()
            .map(worker)
            .transpose()?
            .ok_or_else(|| StateError::Missing { what: "worker", id: id.to_string() })
    }

    /// Workers, live ones first, then newest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn workers(&self, ended_too: bool) -> Result<Vec<Worker>> {
        let rows = sqlx::query(
            "SELECT * FROM workers WHERE ?1 OR state IN ('launching', 'enrolled', 'attached')
             ORDER BY state IN ('lost', 'ended'), created_at DESC, id DESC",
        )
        .bind(ended_too)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing workers"))?;
        rows.iter().map(worker).collect()
    }

    /// Records the EC2 instance of a worker.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_worker_instance(&self, id: &WorkerId, instance_id: &str) -> Result<()> {
        sqlx::query("UPDATE workers SET instance_id = ? WHERE id = ?")
            .bind(instance_id)
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("recording a worker's instance"))?;
        Ok(())
    }

    /// Uses up a worker's token: binds it to the key of a certificate request, once and for all.
    ///
    /// # Errors
    /// Where the state cannot be read or written.
    pub async fn bind_token(&self, id: &WorkerId, key_sha256: &str) -> Result<Binding> {
        sqlx::query("UPDATE workers SET key_sha256 = ? WHERE id = ? AND key_sha256 IS NULL")
            .bind(key_sha256)
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("binding a token"))?;
        let bound = self.worker(id).await?.key_sha256;
        Ok(if bound.as_deref() == Some(key_sha256) { Binding::Bound } else { Binding::UsedOtherwise })
    }

    /// Records the certificate a worker was given.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_enrolled(&self, id: &WorkerId, certificate: &str, agent_version: &str) -> Result<()> {
        sqlx::query(
            "UPDATE workers SET certificate = ?, agent_version = ?, state = CASE state WHEN 'launching' THEN 'enrolled' ELSE state END
             WHERE id = ?",
        )
        .bind(certificate)
        .bind(agent_version)
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map_err(doing("recording an enrolment"))?;
        Ok(())
    }

    /// Records a sign of life on a worker's stream.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_attached(&self, id: &WorkerId, agent_version: &str) -> Result<()> {
        sqlx::query(
            "UPDATE workers SET state = 'attached', last_seen = ?, agent_version = ? WHERE id = ? AND state IN ('launching', 'enrolled', 'attached')",
        )
        .bind(stamp(Timestamp::now()))
        .bind(agent_version)
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map_err(doing("recording an attachment"))?;
        Ok(())
    }

    /// Records a later sign of life.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_seen(&self, id: &WorkerId) -> Result<()> {
        sqlx::query("UPDATE workers SET last_seen = ? WHERE id = ?")
            .bind(stamp(Timestamp::now()))
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(doing("recording a sign of life"))?;
        Ok(())
    }

    /// Moves a live worker to one of its ends.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn close_worker(&self, id: &WorkerId, end: WorkerState) -> Result<()> {
        sqlx::query(
            "UPDATE workers SET state = ?, ended_at = ? WHERE id = ? AND state IN ('launching', 'enrolled', 'attached')",
        )
        .bind(end.as_str())
        .bind(stamp(Timestamp::now()))
        .bind(id.as_str())
        .execute(&self.pool)
        .await
        .map_err(doing("ending a worker"))?;
        Ok(())
    }
}

fn worker(row: &SqliteRow) -> Result<Worker> {
    Ok(Worker {
        id: parsed(row.get("id"), "workers.id")?,
        session: parsed(row.get("session"), "workers.session")?,
        epoch: Epoch(row.get::<i64, _>("epoch").cast_unsigned()),
        region: row.get("region"),
        state: parsed(row.get("state"), "workers.state")?,
        token_sha256: row.get("token_sha256"),
        key_sha256: row.get("key_sha256"),
        instance_id: row.get("instance_id"),
        certificate: row.get("certificate"),
        agent_version: row.get("agent_version"),
        acknowledged: row.get::<i64, _>("acknowledged").cast_unsigned(),
        created_at: parsed(row.get("created_at"), "workers.created_at")?,
        last_seen: parsed_time(row.get("last_seen"), "workers.last_seen")?,
        ended_at: parsed_time(row.get("ended_at"), "workers.ended_at")?,
    })
}
