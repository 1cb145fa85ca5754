//! The reaper: lists the cloud by tag and removes what no live session owns.
//!
//! It is the last of the habits that keep the account clean: it finds what the ledger does not know, or knows as removed.
//! What it finds it *adopts*: it writes the ledger row that should have been there, and leaves the rest to teardown. It
//! asks the cloud first and the state afterwards, so that whatever it sees belongs to a session it will see too.

mod decide;
mod places;
mod survey;

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_domain::id::SessionId;
use tokio_util::sync::CancellationToken;

pub use decide::{Finding, Verdict, judge};

use crate::failures;
use crate::ledger::{Resource, RowState, teardown};
use crate::services::Services;
use crate::sessions::Place;
use crate::state::{PointFilter, StateError};

/// Goes round every so often until told to stop.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(services.settings.pace.reaper) => {}
        }
        if let Err(error) = round(&services).await {
            tracing::error!(error = %failures::chain(&error), "reaper could not read the state");
        }
    }
}

/// Goes once through every account and Region. Returns how many things it removed.
///
/// # Errors
/// Where the state cannot be read.
pub async fn round(services: &Services) -> Result<usize, StateError> {
    let mut removed = 0;
    for place in services.state.places().await? {
        match survey::found(services, &place).await {
            Ok(findings) => removed += settle(services, &place, findings).await?,
            Err(error) => {
                tracing::error!(account = place.account.id, region = place.region, %error, "reaper could not list");
            }
        }
        places::sweep(services, &place).await?;
    }
    Ok(removed)
}

/// Whether it is a bucket in which a session has its place, whichever session it is tagged with.
async fn is_used(services: &Services, place: &Place, finding: &Finding) -> Result<bool, StateError> {
    let Resource::TemporaryBucket { bucket, .. } = &finding.resource else { return Ok(false) };
    Ok(services.state.bucket_uses(&place.account.id, &place.region, bucket, None).await? > 0)
}

async fn settle(services: &Services, place: &Place, findings: Vec<Finding>) -> Result<usize, StateError> {
    let live: BTreeSet<SessionId> =
        services.state.live_sessions().await?.into_iter().map(|session| session.id).collect();
    let mut known = BTreeSet::new();
    for finding in &findings {
        if services.state.session(&finding.session).await.is_ok() {
            known.insert(finding.session.clone());
        }
    }
    let points = services.state.points(&PointFilter::default()).await?;
    let snapshots: BTreeSet<String> = points.into_iter().map(|point| point.snapshot_id).collect();
    let mut removed = 0;
    for mut finding in findings {
        finding.kept |= snapshots.contains(&finding.resource_id) || is_used(services, place, &finding).await?;
        match judge(&finding, &live, &known) {
            Verdict::Leave => tracing::debug!(name = finding.name, "reaper leaves it"),
            Verdict::Report => {
                tracing::warn!(name = finding.name, session_id = %finding.session, "snapshot of an unknown session is left alone");
            }
            Verdict::Remove => {
                let entry = services.state.intend(&finding.intent(place)).await?;
                if entry.state == RowState::Kept {
                    continue;
                }
                services.state.mark_created(entry.id, &finding.resource_id).await?;
                tracing::warn!(name = finding.name, session_id = %finding.session, "reaper removes what no live session owns");
                let open = services.state.open_entries(&finding.session, None).await?;
                let adopted: Vec<_> = open.into_iter().filter(|open| open.id == entry.id).collect();
                removed += adopted.len() - teardown::round(services, &adopted).await;
            }
        }
    }
    Ok(removed)
}
