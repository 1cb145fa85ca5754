//! Every account and Region a session has worked in.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Result, State, StateError, doing};
use crate::sessions::{Account, Place};

impl State {
    /// Remembers how to get into an account and Region.
    ///
    /// # Errors
    /// Where the state cannot be written.
    pub async fn remember_place(&self, place: &Place) -> Result<()> {
        sqlx::query(
            "INSERT INTO places (account, region, role_arn, external_id) VALUES (?, ?, ?, ?)
             ON CONFLICT (account, region) DO UPDATE SET role_arn = excluded.role_arn, external_id = excluded.external_id",
        )
        .bind(&place.account.id)
        .bind(&place.region)
        .bind(&place.account.role_arn)
        .bind(&place.account.external_id)
        .execute(&self.pool)
        .await
        .map_err(doing("remembering a place"))?;
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn places(&self) -> Result<Vec<Place>> {
        let rows = sqlx::query("SELECT * FROM places ORDER BY account, region")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing places"))?;
        Ok(rows.iter().map(place).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// Where it is not known, or the state cannot be read.
    pub async fn place(&self, account: &str, region: &str) -> Result<Place> {
        sqlx::query("SELECT * FROM places WHERE account = ? AND region = ?")
            .bind(account)
            .bind(region)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("reading a place"))?
            .as_ref()
            .map(place)
            .ok_or_else(|| StateError::Missing { what: "place", id: format!("{account}/{region}") })
    }
}

fn place(row: &SqliteRow) -> Place {
    Place {
        account: Account { id: row.get("account"), role_arn: row.get("role_arn"), external_id: row.get("external_id") },
        region: row.get("region"),
    }
}
