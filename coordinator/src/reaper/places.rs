//! Places in temporary buckets that RDS may still write to. A task that nobody has seen end outlives its session, and what it
//! writes comes after the session's place was emptied: into a prepared bucket, which stays, or into ours, as long as others use
//! it. So such places are emptied again, for as long as S3 itself would wait in a bucket of ours.

use haulier_domain::native_backup::temporary::EXPIRE_DAYS;
use jiff::{SignedDuration, Timestamp};

use crate::ledger::{Entry, Resource};
use crate::services::Services;
use crate::sessions::Place;
use crate::state::StateError;
use crate::workers::tasks;

/// Empties them, in one account and Region.
///
/// # Errors
/// Where the state cannot be read.
pub(super) async fn sweep(services: &Services, place: &Place) -> Result<(), StateError> {
    let long = SignedDuration::from_hours(24 * i64::from(EXPIRE_DAYS));
    let since = Timestamp::now().saturating_sub(long).unwrap_or(Timestamp::MIN);
    let left = services.state.places_left_since(&place.account.id, &place.region, since).await?;
    let sessions: Vec<_> = left.iter().map(|entry| &entry.session).collect();
    let unended = tasks::unended(&services.state, &sessions).await?;
    for entry in left.iter().filter(|entry| unended.contains(&entry.session)) {
        if let Err(error) = empty(services, place, entry).await {
            tracing::warn!(session_id = %entry.session, name = entry.name, %error, "reaper could not empty a place");
        }
    }
    Ok(())
}

async fn empty(services: &Services, place: &Place, entry: &Entry) -> haulier_cloud::Result<()> {
    match &entry.resource {
        // The whole of a bucket is nobody's place.
        Resource::TemporaryBucket { bucket, prefix, .. } if !prefix.is_empty() => {
            services.cloud.buckets(place).await?.empty(bucket, &format!("{prefix}/")).await
        }
        _ => Ok(()),
    }
}
