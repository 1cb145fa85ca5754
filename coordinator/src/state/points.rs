//! The catalogue of restore points. What a point is lies in its repository; this is what operators search.

use haulier_domain::id::{DomainId, PointId, RepositoryId, SessionId};
use haulier_domain::proof::Proof;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Result, State, StateError, doing, from_json, parsed, parsed_time, stamp, to_json};
use crate::sessions::Login;

/// What a point is a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOf {
    /// The point that was copied.
    pub point: PointId,
    /// The repository that it lay in.
    pub repository: RepositoryId,
}

/// A published restore point.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Id.
    pub id: PointId,
    /// Repository by name.
    pub repository: String,
    /// Domain in it.
    pub domain: DomainId,
    /// Session that made it.
    pub session: SessionId,
    /// Policy that asked for it; empty for sessions by hand.
    pub policy: String,
    /// Account it came from.
    pub account: String,
    /// Region it came from.
    pub region: String,
    /// DB instance it came from.
    pub resource: String,
    /// Engine and version: `postgres 15.18`.
    pub engine: String,
    /// How its session logged in; absent where the point was found in a repository and does not say.
    pub login: Option<Login>,
    /// DB snapshot of the same session; empty where none was taken.
    pub snapshot_id: String,
    /// What it is a copy of.
    pub copy_of: Option<CopyOf>,
    /// The point that it stands on: its databases can be restored with both alone.
    pub full_point: Option<PointId>,
    /// The summary from its root, as JSON.
    pub summary: Value,
    /// When its data was current.
    pub consistent_at: Option<Timestamp>,
    /// When it was published.
    pub published_at: Timestamp,
    /// Until when everything it needs is locked at least, where the repository is immutable.
    pub locked_until: Option<Timestamp>,
}

/// Which points to list. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct PointFilter {
    /// Only of this resource.
    pub resource: Option<String>,
    /// Only of this repository.
    pub repository: Option<String>,
}

impl State {
    /// Adds a published point to the catalogue, and keeps the snapshot that belongs to it, in one transaction. Repeating
    /// it changes nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn add_point(&self, point: &Point) -> Result<()> {
        let mut transaction = self.pool.begin().await.map_err(doing("adding a point"))?;
        insert(&mut transaction, point).await?;
        sqlx::query(
            "UPDATE ledger SET state = 'kept' WHERE session = ? AND kind = 'db-snapshot' AND name = ? AND state = 'created'",
        )
        .bind(point.session.as_str())
        .bind(&point.snapshot_id)
        .execute(&mut *transaction)
        .await
        .map_err(doing("keeping a snapshot"))?;
        transaction.commit().await.map_err(doing("adding a point"))
    }

    /// Adds a point that was found in its repository, and what restore tests have shown of it, in one transaction. `false`
    /// where the catalogue has it already: then nothing is changed.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn add_found_point(&self, point: &Point, proofs: &[Proof]) -> Result<bool> {
        let mut transaction = self.pool.begin().await.map_err(doing("adding a point"))?;
        let added = insert(&mut transaction, point).await?;
        if added {
            for proof in proofs {
                super::proofs::insert(&mut transaction, proof).await?;
            }
        }
        transaction.commit().await.map_err(doing("adding a point"))?;
        Ok(added)
    }

    /// One point.
    ///
    /// # Errors
    /// Where there is none of that id, or the state cannot be read.
    pub async fn point(&self, id: &PointId) -> Result<Point> {
        sqlx::query("SELECT * FROM points WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a point"))?
            .as_ref()
            .map(point)
            .transpose()?
            .ok_or_else(|| StateError::Missing { what: "restore point", id: id.to_string() })
    }

    /// Points, newest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn points(&self, filter: &PointFilter) -> Result<Vec<Point>> {
        let rows = sqlx::query(
            "SELECT * FROM points WHERE (?1 IS NULL OR resource = ?1) AND (?2 IS NULL OR repository = ?2)
             ORDER BY published_at DESC, id DESC",
        )
        .bind(&filter.resource)
        .bind(&filter.repository)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing points"))?;
        rows.iter().map(point).collect()
    }
}

/// Adds a row, and says whether there was none.
async fn insert(connection: &mut SqliteConnection, point: &Point) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO points (id, repository, domain, session, policy, account, region, resource, engine, login, snapshot_id, copy_of, full_point, summary, consistent_at, published_at, locked_until)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(point.id.as_str())
    .bind(&point.repository)
    .bind(point.domain.as_str())
    .bind(point.session.as_str())
    .bind(&point.policy)
    .bind(&point.account)
    .bind(&point.region)
    .bind(&point.resource)
    .bind(&point.engine)
    .bind(to_json(&point.login, "points.login")?)
    .bind(&point.snapshot_id)
    .bind(point.copy_of.as_ref().map(|copied| to_json(copied, "points.copy_of")).transpose()?)
    .bind(point.full_point.as_ref().map(PointId::as_str))
    .bind(to_json(&point.summary, "points.summary")?)
    .bind(point.consistent_at.map(stamp))
    .bind(stamp(point.published_at))
    .bind(point.locked_until.map(stamp))
    .execute(connection)
    .await
    .map_err(doing("adding a point"))?;
    Ok(done.rows_affected() > 0)
}

fn point(row: &SqliteRow) -> Result<Point> {
    Ok(Point {
        id: parsed(row.get("id"), "points.id")?,
        repository: row.get("repository"),
        domain: parsed(row.get("domain"), "points.domain")?,
        session: parsed(row.get("session"), "points.session")?,
        policy: row.get("policy"),
        account: row.get("account"),
        region: row.get("region"),
        resource: row.get("resource"),
        engine: row.get("engine"),
        login: from_json(row.get("login"), "points.login")?,
        snapshot_id: row.get("snapshot_id"),
        copy_of: row.get::<Option<&str>, _>("copy_of").map(|copied| from_json(copied, "points.copy_of")).transpose()?,
        full_point: row.get::<Option<&str>, _>("full_point").map(|id| parsed(id, "points.full_point")).transpose()?,
        summary: from_json(row.get("summary"), "points.summary")?,
        consistent_at: parsed_time(row.get("consistent_at"), "points.consistent_at")?,
        published_at: parsed(row.get("published_at"), "points.published_at")?,
        locked_until: parsed_time(row.get("locked_until"), "points.locked_until")?,
    })
}
