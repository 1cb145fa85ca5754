//! The session's place in a temporary bucket.
//!
//! The bucket that we make is one for all sessions of the account and Region, and each makes sure that it is there and closed.
//! What a session has in it is its own prefix. Both are in its ledger before anything is made.

use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::native_backup::temporary::{EXPIRE_DAYS, bucket_name, tls_only};
use haulier_domain::session::Severity;
use haulier_domain::session_policy::TemporaryAccess;
use haulier_proto::worker::v1::TemporaryLocation;
use serde::{Deserialize, Serialize};

use crate::ledger::{Entry, Intent, Resource, bucket_use};
use crate::sessions::PreparedBucket;
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _, Made, SoonAfter as _};

/// Where native backups of a session pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::workflows) struct TemporaryPlace {
    bucket: String,
    region: String,
    prefix: String,
}

impl TemporaryPlace {
    /// As it goes over the wire.
    pub(super) fn to_wire(&self) -> TemporaryLocation {
        let Self { bucket, region, prefix } = self.clone();
        TemporaryLocation { bucket, region, prefix }
    }

    /// What its worker may do there.
    pub(super) fn access(&self, fills: bool) -> TemporaryAccess {
        TemporaryAccess { bucket: self.bucket.clone(), prefix: self.prefix.clone(), fills }
    }
}

/// Takes the session's place in the bucket that was prepared, or in the one that is made.
pub(in crate::workflows) async fn open(work: &Work, prepared: Option<&PreparedBucket>) -> Attempt<TemporaryPlace> {
    let place = work.place();
    let own = work.naming.of_session("native");
    let (bucket, prefix) = match prepared {
        Some(PreparedBucket { bucket, prefix }) if prefix.is_empty() => (bucket.clone(), own),
        Some(PreparedBucket { bucket, prefix }) => (bucket.clone(), format!("{prefix}/{own}")),
        None => (bucket_name(&work.services.installation, &place.account.id, &place.region), own),
    };
    if prepared.is_some() {
        check(work, &bucket).await?;
    }
    let entry = intend(work, &bucket, &prefix, prepared.is_some()).await?;
    if prepared.is_none() {
        make(work, &bucket, &entry).await?;
    }
    work.services.state.mark_created(entry.id, &bucket).await?;
    work.log(Severity::Info, &format!("files pass through s3://{bucket}/{prefix}")).await;
    Ok(TemporaryPlace { bucket, region: place.region.clone(), prefix })
}

/// Writes the row while nobody decides whether the bucket is still in use.
async fn intend(work: &Work, bucket: &str, prefix: &str, prepared: bool) -> Attempt<Entry> {
    let resource = Resource::TemporaryBucket { bucket: bucket.to_owned(), prefix: prefix.to_owned(), prepared };
    let intent = Intent {
        session: work.id().clone(),
        epoch: Epoch(0),
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        name: bucket_use(bucket, prefix),
        resource,
    };
    let _alone = work.services.temporary_buckets.lock().await;
    Ok(work.services.state.intend(&intent).await?)
}

/// A prepared bucket is used as it is, where it is there and in the Region of the instance: RDS takes no other.
async fn check(work: &Work, bucket: &str) -> Attempt<()> {
    let what = || format!("looking up the temporary bucket {bucket}");
    let region = &work.place().region;
    let buckets = work.services.cloud.buckets(work.place()).await.during(what)?;
    match buckets.bucket(bucket).await.during(what)? {
        Some(found) if found.region == *region => Ok(()),
        Some(found) => {
            let cause =
                format!("it lies in {}, and RDS takes a bucket of the instance's own Region, {region}", found.region);
            Err(Failure::new("temporary-bucket-elsewhere", what(), cause, "name a bucket of that Region in the policy")
                .into())
        }
        None => {
            let cause = format!("account {} has no such bucket", work.place().account.id);
            let remedy = "make it, correct its name in the policy, or remove the key: then Haulier makes one by itself";
            Err(Failure::new("temporary-bucket-unknown", what(), cause, remedy).into())
        }
    }
}

/// Makes the bucket, or finds it made; closes it, and has S3 remove what nobody does.
async fn make(work: &Work, bucket: &str, entry: &Entry) -> Attempt<()> {
    let what = || format!("making the temporary bucket {bucket}");
    let services = &work.services;
    let buckets = services.cloud.buckets(work.place()).await.during(what)?;
    match buckets.create(bucket).await {
        Err(error) if error.code.as_deref() == Some("BucketAlreadyExists") => {
            // Nothing of ours is there, and nothing will be.
            services.state.mark_removed(entry.id).await?;
            let cause = format!("another account has a bucket of this name: {error}");
            let remedy = "prepare a bucket and name it in the policy: sqlserver.temporary_buckets";
            return Err(Failure::new("temporary-bucket-taken", what(), cause, remedy).into());
        }
        created => created.during(what)?,
    }
    let made = Made { ids: &[bucket], at: entry.intended_at, settle: services.settings.pace.settle };
    buckets.block_public_access(bucket).await.soon_after(&made, what)?;
    let policy = tls_only(&services.settings.partition, bucket);
    buckets.set_policy(bucket, &policy).await.soon_after(&made, what)?;
    buckets.expire_after(bucket, EXPIRE_DAYS).await.soon_after(&made, what)?;
    buckets.tag(bucket, &work.naming.tags(Epoch(0), bucket)).await.soon_after(&made, what)
}
