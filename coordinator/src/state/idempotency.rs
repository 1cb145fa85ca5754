//! Operators' idempotency keys: which request each stands for, and what that was answered with.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Result, State, doing, parsed, stamp};

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Digest of the request.
    pub request: String,
    /// The request in words.
    pub what: String,
    /// What it was answered with, once it was.
    pub answer: Option<String>,
    /// When the key was first used.
    pub claimed_at: Timestamp,
    /// Whether this very claim has bound it.
    pub fresh: bool,
}

impl State {
    /// Binds a key to a request, unless it is bound already; returns what it is bound to.
    ///
    /// # Errors
    /// Where the state cannot be read or written.
    pub async fn claim_key(&self, key: &str, request: &str, what: &str) -> Result<Claim> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(doing("claiming a key"))?;
        let inserted = sqlx::query(
            "INSERT INTO idempotency_keys (key, request, what, claimed_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(key)
        .bind(request)
        .bind(what)
        .bind(stamp(Timestamp::now()))
        .execute(&mut *transaction)
        .await
        .map_err(doing("claiming a key"))?;
        let row = sqlx::query("SELECT request, what, answer, claimed_at FROM idempotency_keys WHERE key = ?")
            .bind(key)
            .fetch_one(&mut *transaction)
            .await
            .map_err(doing("claiming a key"))?;
        transaction.commit().await.map_err(doing("claiming a key"))?;
        Ok(Claim {
            request: row.get("request"),
            what: row.get("what"),
            answer: row.get("answer"),
            claimed_at: parsed(row.get("claimed_at"), "idempotency_keys.claimed_at")?,
            fresh: inserted.rows_affected() > 0,
        })
    }

    /// Keeps the answer of a key's request. The first answer stands.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn answer_key(&self, key: &str, answer: &str) -> Result<()> {
        sqlx::query("UPDATE idempotency_keys SET answer = coalesce(answer, ?) WHERE key = ?")
            .bind(answer)
            .bind(key)
            .execute(&self.pool)
            .await
            .map_err(doing("keeping the answer of a key"))?;
        Ok(())
    }

    /// Frees a key whose request has started nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn release_key(&self, key: &str) -> Result<()> {
        sqlx::query("DELETE FROM idempotency_keys WHERE key = ? AND answer IS NULL")
            .bind(key)
            .execute(&self.pool)
            .await
            .map_err(doing("freeing a key"))?;
        Ok(())
    }
}
