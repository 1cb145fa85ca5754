//! Who this installation is.

use haulier_domain::id::InstallationId;
use jiff::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Result, State, doing, parsed, stamp};

impl State {
    /// The installation's id, made at the first call.
    ///
    /// # Errors
    /// Where the state cannot be read or written.
    pub async fn installation(&self) -> Result<InstallationId> {
        let fresh = InstallationId::from_uuid(Uuid::new_v4());
        sqlx::query(
            "INSERT INTO installation (id, created_at) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM installation)",
        )
        .bind(fresh.as_str())
        .bind(stamp(Timestamp::now()))
        .execute(&self.pool)
        .await
        .map_err(doing("making the installation's id"))?;
        let row = sqlx::query("SELECT id FROM installation")
            .fetch_one(&self.pool)
            .await
            .map_err(doing("reading the installation's id"))?;
        parsed(row.get::<&str, _>("id"), "installation.id")
    }
}
