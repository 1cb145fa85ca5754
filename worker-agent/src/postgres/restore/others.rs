//! Connections that work under this key left behind: of a worker that was killed, or of a statement whose answer was lost.
//! The server goes on with what nobody waits for any more, and would create a database after somebody had looked for it.

use std::time::Duration;

use tokio::time::Instant;

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;

/// How long they may take to go.
const GOING: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Ends every other connection of the connector's name, and waits until they are gone. One that stays will be met again
/// by whatever it is in the way of.
pub(super) async fn end(front: &Session, connector: &Connector) -> Result<(), Stopped> {
    let doing = "ending what an interrupted restore still has at work";
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE application_name = $1 AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()";
    let until = Instant::now() + GOING;
    while !front.query(doing, sql, &[&connector.application()]).await?.is_empty() && Instant::now() < until {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
