//! Rows of the ledger as stored. What they mean and when they are written: [`crate::ledger`].

use haulier_domain::id::{Epoch, SessionId};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Result, State, doing, from_json, parsed, parsed_time, stamp, to_json};
use crate::ledger::{Entry, Intent, KIND_TEMPORARY_BUCKET, RowState, bucket_use};

impl State {
    /// Commits the intention to make a resource. Repeating it changes nothing: what is written first stands.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn intend(&self, intent: &Intent) -> Result<Entry> {
        sqlx::query(
            "INSERT INTO ledger (session, epoch, kind, account, region, name, detail, state, intended_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, 'intended', ?)
             ON CONFLICT (account, region, kind, name) DO UPDATE SET
                 session = excluded.session, epoch = excluded.epoch, detail = excluded.detail, resource_id = NULL,
                 state = 'intended', intended_at = excluded.intended_at, created_at = NULL, removed_at = NULL
             WHERE ledger.state = 'removed'",
        )
        .bind(intent.session.as_str())
        .bind(intent.epoch.0.cast_signed())
        .bind(intent.resource.kind())
        .bind(&intent.account)
        .bind(&intent.region)
        .bind(&intent.name)
        .bind(to_json(&intent.resource, "ledger.detail")?)
        .bind(stamp(Timestamp::now()))
        .execute(&self.pool)
        .await
        .map_err(doing("writing a ledger row"))?;
        let row = sqlx::query("SELECT * FROM ledger WHERE account = ? AND region = ? AND kind = ? AND name = ?")
            .bind(&intent.account)
            .bind(&intent.region)
            .bind(intent.resource.kind())
            .bind(&intent.name)
            .fetch_one(&self.pool)
            .await
            .map_err(doing("reading a ledger row"))?;
        entry(&row)
    }

    /// Records the id that the cloud gave.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn mark_created(&self, id: i64, resource_id: &str) -> Result<()> {
        sqlx::query(
            "UPDATE ledger SET resource_id = ?, state = CASE state WHEN 'intended' THEN 'created' ELSE state END,
                 created_at = coalesce(created_at, ?) WHERE id = ?",
        )
        .bind(resource_id)
        .bind(stamp(Timestamp::now()))
        .bind(id)
        .execute(&self.pool)
        .await
        .map_err(doing("recording a resource's id"))?;
        Ok(())
    }

    /// Marks a resource as one that outlives its session.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn mark_kept(&self, id: i64) -> Result<()> {
        sqlx::query("UPDATE ledger SET state = 'kept' WHERE id = ? AND state IN ('intended', 'created')")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(doing("keeping a resource"))?;
        Ok(())
    }

    /// Records that a resource is confirmed gone.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn mark_removed(&self, id: i64) -> Result<()> {
        sqlx::query(
            "UPDATE ledger SET state = 'removed', removed_at = coalesce(removed_at, ?), last_error = NULL WHERE id = ?",
        )
        .bind(stamp(Timestamp::now()))
        .bind(id)
        .execute(&self.pool)
        .await
        .map_err(doing("recording an end"))?;
        Ok(())
    }

    /// Records a failed attempt at removing a resource.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_stuck(&self, id: i64, problem: &str) -> Result<()> {
        sqlx::query("UPDATE ledger SET attempts = attempts + 1, last_error = ? WHERE id = ?")
            .bind(problem)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(doing("recording a failed removal"))?;
        Ok(())
    }

    /// Rows of a session that are neither removed nor kept; of one epoch where that is said.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn open_entries(&self, session: &SessionId, epoch: Option<Epoch>) -> Result<Vec<Entry>> {
        let rows = sqlx::query(
            "SELECT * FROM ledger WHERE session = ?1 AND state IN ('intended', 'created') AND (?2 IS NULL OR epoch = ?2) ORDER BY id",
        )
        .bind(session.as_str())
        .bind(epoch.map(|epoch| epoch.0.cast_signed()))
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing open ledger rows"))?;
        rows.iter().map(entry).collect()
    }

    /// How many sessions have a place in a temporary bucket, one row left out where that is said.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn bucket_uses(&self, account: &str, region: &str, bucket: &str, but: Option<i64>) -> Result<u64> {
        let row = sqlx::query(
            "SELECT count(*) AS uses FROM ledger WHERE account = ?1 AND region = ?2 AND kind = ?3
             AND state IN ('intended', 'created') AND substr(name, 1, length(?4)) = ?4 AND (?5 IS NULL OR id <> ?5)",
        )
        .bind(account)
        .bind(region)
        .bind(KIND_TEMPORARY_BUCKET)
        .bind(bucket_use(bucket, ""))
        .bind(but)
        .fetch_one(&self.pool)
        .await
        .map_err(doing("counting the uses of a temporary bucket"))?;
        Ok(row.get::<i64, _>("uses").cast_unsigned())
    }

    /// Places of sessions in temporary buckets that were given up after this moment.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn places_left_since(&self, account: &str, region: &str, since: Timestamp) -> Result<Vec<Entry>> {
        let rows = sqlx::query(
            "SELECT * FROM ledger WHERE account = ? AND region = ? AND kind = ? AND state = 'removed' AND removed_at > ?
             ORDER BY id",
        )
        .bind(account)
        .bind(region)
        .bind(KIND_TEMPORARY_BUCKET)
        .bind(stamp(since))
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing places in temporary buckets"))?;
        rows.iter().map(entry).collect()
    }

    /// The ledger, oldest first: of one session, or all of it; open rows only, or ended ones too.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn ledger(&self, session: Option<&SessionId>, open: bool) -> Result<Vec<Entry>> {
        let rows = sqlx::query(
            "SELECT * FROM ledger WHERE (?1 IS NULL OR session = ?1) AND (?2 = 0 OR state IN ('intended', 'created')) ORDER BY id",
        )
        .bind(session.map(SessionId::as_str))
        .bind(open)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing the ledger"))?;
        rows.iter().map(entry).collect()
    }
}

fn entry(row: &SqliteRow) -> Result<Entry> {
    let state: RowState = parsed(row.get("state"), "ledger.state")?;
    Ok(Entry {
        id: row.get("id"),
        session: parsed(row.get("session"), "ledger.session")?,
        epoch: Epoch(row.get::<i64, _>("epoch").cast_unsigned()),
        account: row.get("account"),
        region: row.get("region"),
        name: row.get("name"),
        resource: from_json(row.get("detail"), "ledger.detail")?,
        resource_id: row.get("resource_id"),
        state,
        intended_at: parsed(row.get("intended_at"), "ledger.intended_at")?,
        created_at: parsed_time(row.get("created_at"), "ledger.created_at")?,
        removed_at: parsed_time(row.get("removed_at"), "ledger.removed_at")?,
        attempts: row.get::<i64, _>("attempts").cast_unsigned(),
        last_error: row.get("last_error"),
    })
}
