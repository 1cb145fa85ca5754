//! The exported snapshot of one database, and sessions that read under it.

use haulier_domain::failure::Failure;
use haulier_domain::postgres::quote;
use jiff::Timestamp;

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;
use super::super::text::AS_TEXT;

/// How long to wait for somebody's exclusive lock.
pub(super) const LOCK_TIMEOUT: &str = "5min";

/// An exported snapshot. It lives as long as the connection that exported it.
pub(super) struct Snapshot {
    pub(super) holder: Session,
    pub(super) id: String,
    pub(super) taken_at: Timestamp,
    /// The database's encoding, by name.
    pub(super) encoding: String,
}

impl Snapshot {
    /// Exports one.
    pub(super) async fn export(connector: &Connector, database: &str) -> Result<Self, Stopped> {
        let doing = format!("exporting a snapshot of database {database:?}");
        let holder = connector.connect(database).await?;
        let settings = format!("SET lock_timeout = '{LOCK_TIMEOUT}'; SET row_security = off");
        holder.execute(&doing, &settings).await?;
        holder.execute(&doing, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let sql = "SELECT pg_catalog.pg_export_snapshot(), current_setting('server_encoding'),
            to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        let row = holder.query_one(&doing, sql, &[]).await?;
        let time: String = row.get(2);
        let taken_at = time.parse().map_err(|error: jiff::Error| {
            Failure::new("mover-defect", &doing, error.to_string(), "report this with the session's log")
        })?;
        Ok(Self { id: row.get(0), encoding: row.get(1), taken_at, holder })
    }

    /// A session that reads under the snapshot, with the settings under which `pg_dump` reads rows.
    pub(super) async fn join(&self, connector: &Connector, database: &str) -> Result<Session, Stopped> {
        let doing = format!("joining the snapshot of database {database:?}");
        let session = connector.connect(database).await?;
        let sql = format!(
            "SET lock_timeout = '{LOCK_TIMEOUT}'; {AS_TEXT}; SET synchronize_seqscans = off;
             SET client_encoding = {encoding};
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET TRANSACTION SNAPSHOT {id}",
            encoding = quote::literal(&self.encoding),
            id = quote::literal(&self.id),
        );
        session.execute(&doing, &sql).await?;
        Ok(session)
    }

    /// Ends it; says whether it was there until now.
    pub(super) async fn end(self, database: &str) -> Result<(), Stopped> {
        let doing = format!("ending the snapshot of database {database:?}");
        self.holder.query_one(&doing, "SELECT 1", &[]).await?;
        self.holder.execute(&doing, "COMMIT").await
    }
}
