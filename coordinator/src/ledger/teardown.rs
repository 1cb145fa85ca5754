//! Teardown: everything a session asked for is removed, from its ledger rows alone.
//!
//! It neither knows nor cares how the session ended. Rows go in rounds: instances are terminated while our group is taken
//! off the DB instance's list, then the rules between our groups are revoked, then the groups are deleted, then snapshots
//! that belong to no point and what lies in temporary buckets. A row that is stuck keeps no other from being removed, and is tried again, with growing
//! pauses, without limit. Every removal succeeds where the thing is gone already.

mod remove;

use std::time::Duration;

use futures::future::join_all;
use haulier_domain::id::{Epoch, SessionId};

use super::{Entry, Resource};
use crate::services::Services;
use crate::state::Result;
use crate::workflows::BackOff;

/// How long one removal is waited for before the others get their turn.
const PATIENCE: Duration = Duration::from_secs(45);

/// Why a row is still there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    /// A call failed.
    #[error(transparent)]
    Cloud(#[from] haulier_cloud::CloudError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// It is on its way, or may still appear.
    #[error("{0}")]
    NotYet(&'static str),
}

/// Removes everything of a session. Returns when its ledger has no open row.
///
/// # Errors
/// Where the ledger itself cannot be read: the caller repeats.
pub(crate) async fn session(services: &Services, session: &SessionId) -> Result<()> {
    all(services, session, None).await
}

/// Removes everything of one epoch of a session.
///
/// # Errors
/// As for [`session`].
pub(crate) async fn epoch(services: &Services, session: &SessionId, epoch: Epoch) -> Result<()> {
    all(services, session, Some(epoch)).await
}

async fn all(services: &Services, session: &SessionId, epoch: Option<Epoch>) -> Result<()> {
    let mut pause = BackOff::new(services.settings.pace.back_off);
    loop {
        let open = services.state.open_entries(session, epoch).await?;
        if open.is_empty() || round(services, &open).await == 0 {
            return Ok(());
        }
        pause.sleep().await;
    }
}

/// Tries each row once, in order. Returns how many are stuck.
pub(crate) async fn round(services: &Services, entries: &[Entry]) -> usize {
    let of_rank = |wanted: &[u8]| {
        let rank = |entry: &&Entry| wanted.contains(&entry.resource.teardown_rank());
        entries.iter().filter(rank).cloned().collect::<Vec<_>>()
    };
    let mut stuck = each(services, &of_rank(&[0, 1])).await;
    let groups = of_rank(&[2]);
    join_all(groups.iter().map(|group| isolate(services, group))).await;
    stuck += each(services, &groups).await;
    stuck + each(services, &of_rank(&[3])).await
}

async fn each(services: &Services, entries: &[Entry]) -> usize {
    let attempts = join_all(entries.iter().map(|entry| attempt(services, entry))).await;
    attempts.into_iter().filter(|removed| !removed).count()
}

/// Removes one row, or notes why not.
async fn attempt(services: &Services, entry: &Entry) -> bool {
    let removal = tokio::time::timeout(PATIENCE, remove::one(services, entry));
    let result = match removal.await {
        Ok(Ok(())) => services.state.mark_removed(entry.id).await.map_err(Stuck::State),
        Ok(Err(stuck)) => Err(stuck),
        Err(_) => Err(Stuck::NotYet("its removal takes its time")),
    };
    match result {
        Ok(()) => {
            tracing::info!(session_id = %entry.session, epoch = %entry.epoch, kind = entry.resource.kind(), name = entry.name, "removed");
            true
        }
        Err(stuck) => {
            tracing::warn!(
                session_id = %entry.session, epoch = %entry.epoch, kind = entry.resource.kind(), name = entry.name,
                attempts = entry.attempts, %stuck, "not removed yet",
            );
            if let Err(error) = services.state.note_stuck(entry.id, &stuck.to_string()).await {
                tracing::warn!(%error, "ledger note lost");
            }
            false
        }
    }
}

/// Revokes the rules that name other groups, so that no group keeps another from being deleted.
async fn isolate(services: &Services, entry: &Entry) {
    if let Resource::SecurityGroup { vpc_id } = &entry.resource
        && let Err(stuck) = remove::revoke_peers(services, entry, vpc_id).await
    {
        tracing::debug!(name = entry.name, %stuck, "rules not revoked yet");
    }
}
