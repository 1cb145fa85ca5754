//! What restore tests have shown of points.

use haulier_domain::id::PointId;
use haulier_domain::proof::Proof;
use sqlx::{Row as _, SqliteConnection};

use super::{Result, State, doing, from_json, stamp, to_json};

impl State {
    /// Adds a proof of a point. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where there is no such point, or the state cannot be written.
    pub async fn add_proof(&self, proof: &Proof) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(doing("adding a proof"))?;
        insert(&mut connection, proof).await
    }

    /// The latest proof of a point.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn latest_proof(&self, point: &PointId) -> Result<Option<Proof>> {
        let sql = "SELECT document FROM proofs WHERE point = ? ORDER BY verified_at DESC, session DESC LIMIT 1";
        let row = sqlx::query(sql).bind(point.as_str()).fetch_optional(&self.pool).await;
        let row = row.map_err(doing("reading a proof"))?;
        row.map(|row| from_json(row.get("document"), "proofs.document")).transpose()
    }
}

/// Adds a row where there is none.
pub(super) async fn insert(connection: &mut SqliteConnection, proof: &Proof) -> Result<()> {
    sqlx::query(
        "INSERT INTO proofs (point, session, verified_at, document) VALUES (?, ?, ?, ?)
         ON CONFLICT (point, session) DO NOTHING",
    )
    .bind(proof.point.as_str())
    .bind(proof.session.as_str())
    .bind(stamp(proof.verified_at))
    .bind(to_json(proof, "proofs.document")?)
    .execute(connection)
    .await
    .map_err(doing("adding a proof"))?;
    Ok(())
}
