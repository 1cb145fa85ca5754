//! Policies as stored: their documents, when they run next, and which runs are due.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Result, State, StateError, doing, parsed, parsed_time, stamp};

/// A stored policy. What its document says is read by whoever needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name.
    pub name: String,
    /// The YAML document.
    pub document: String,
    /// When it was stored last.
    pub applied_at: Timestamp,
    /// When it runs next; absent for manual ones.
    pub next_run: Option<Timestamp>,
}

impl State {
    /// Stores a policy, replacing the one of that name. Tells whether it is new.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn put_policy(&self, name: &str, document: &str, next_run: Option<Timestamp>) -> Result<bool> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(doing("storing a policy"))?;
        let known = sqlx::query("SELECT 1 FROM policies WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(doing("storing a policy"))?
            .is_some();
        sqlx::query(
            "INSERT INTO policies (name, document, applied_at, next_run) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
             SET document = excluded.document, applied_at = excluded.applied_at, next_run = excluded.next_run",
        )
        .bind(name)
        .bind(document)
        .bind(stamp(Timestamp::now()))
        .bind(next_run.map(stamp))
        .execute(&mut *transaction)
        .await
        .map_err(doing("storing a policy"))?;
        transaction.commit().await.map_err(doing("storing a policy"))?;
        Ok(!known)
    }

    /// One policy.
    ///
    /// # Errors
    /// Where there is none of that name, or the state cannot be read.
    pub async fn policy(&self, name: &str) -> Result<Policy> {
        sqlx::query("SELECT * FROM policies WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a policy"))?
            .as_ref()
            .map(policy)
            .transpose()?
            .ok_or_else(|| StateError::Missing { what: "policy", id: name.to_owned() })
    }

    /// All policies by name.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn policies(&self) -> Result<Vec<Policy>> {
        let rows = sqlx::query("SELECT * FROM policies ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing policies"))?;
        rows.iter().map(policy).collect()
    }

    /// Removes a policy. Tells whether there was one.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn delete_policy(&self, name: &str) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM policies WHERE name = ?")
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(doing("deleting a policy"))?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Commits a run that is due and the time of the one after it, in one transaction. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn commit_run(&self, policy: &str, due_at: Timestamp, next_run: Option<Timestamp>) -> Result<()> {
        let mut transaction = self.pool.begin().await.map_err(doing("committing a run"))?;
        sqlx::query("INSERT INTO policy_runs (policy, due_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(policy)
            .bind(stamp(due_at))
            .execute(&mut *transaction)
            .await
            .map_err(doing("committing a run"))?;
        sqlx::query("UPDATE policies SET next_run = ? WHERE name = ? AND next_run = ?")
            .bind(next_run.map(stamp))
            .bind(policy)
            .bind(stamp(due_at))
            .execute(&mut *transaction)
            .await
            .map_err(doing("committing a run"))?;
        transaction.commit().await.map_err(doing("committing a run"))
    }

    /// Runs that are committed and not started, oldest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn due_runs(&self) -> Result<Vec<(String, Timestamp)>> {
        let rows =
            sqlx::query("SELECT policy, due_at FROM policy_runs WHERE started_at IS NULL ORDER BY due_at, policy")
                .fetch_all(&self.pool)
                .await
                .map_err(doing("listing due runs"))?;
        rows.iter().map(|row| Ok((row.get("policy"), parsed(row.get("due_at"), "policy_runs.due_at")?))).collect()
    }

    /// Records that every session of a run was started.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn note_run_started(&self, policy: &str, due_at: Timestamp) -> Result<()> {
        sqlx::query("UPDATE policy_runs SET started_at = ? WHERE policy = ? AND due_at = ?")
            .bind(stamp(Timestamp::now()))
            .bind(policy)
            .bind(stamp(due_at))
            .execute(&self.pool)
            .await
            .map_err(doing("recording a run"))?;
        Ok(())
    }
}

fn policy(row: &SqliteRow) -> Result<Policy> {
    Ok(Policy {
        name: row.get("name"),
        document: row.get("document"),
        applied_at: parsed(row.get("applied_at"), "policies.applied_at")?,
        next_run: parsed_time(row.get("next_run"), "policies.next_run")?,
    })
}
