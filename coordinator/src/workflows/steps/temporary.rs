//! The session's place in a temporary bucket.
//!
//! The bucket that we make is one for all sessions of the account and Region, and each makes sure that it is there and closed.
//! What a session has in it is its own prefix. Both are in its ledger before anything is made.
//!
//! Log backups are put there by a service of RDS, which the bucket's policy must allow. Each session writes the policy whole, so
//! it is made of what the ledger says of all of them, by one at a time: none shuts out another's RDS.

use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::native_backup::temporary::{self, EXPIRE_DAYS, FOLDER_ROLE, LogWriter, bucket_name};
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

/// Takes the session's place in the bucket that was prepared, or in the one that is made. `logs_of` is the ARN of the instance
/// whose log backups RDS is to put there.
pub(in crate::workflows) async fn open(
    work: &Work,
    prepared: Option<&PreparedBucket>,
    logs_of: Option<&str>,
) -> Attempt<TemporaryPlace> {
    let place = work.place();
    let own = work.naming.of_session(FOLDER_ROLE);
    let (bucket, prefix) = match prepared {
        Some(PreparedBucket { bucket, prefix }) if prefix.is_empty() => (bucket.clone(), own),
        Some(PreparedBucket { bucket, prefix }) => (bucket.clone(), format!("{prefix}/{own}")),
        None => (bucket_name(&work.services.installation, &place.account.id, &place.region), own),
    };
    if prepared.is_some() {
        check(work, &bucket).await?;
    }
    let resource = Resource::TemporaryBucket {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        prepared: prepared.is_some(),
        logs_of: logs_of.map(str::to_owned),
    };
    let entry = intend(work, bucket_use(&bucket, &prefix), resource).await?;
    if prepared.is_none() {
        make(work, &bucket, &entry, logs_of.is_some()).await?;
    }
    work.services.state.mark_created(entry.id, &bucket).await?;
    work.log(Severity::Info, &format!("files pass through s3://{bucket}/{prefix}")).await;
    Ok(TemporaryPlace { bucket, region: place.region.clone(), prefix })
}

/// Writes the row while nobody decides whether the bucket is still in use.
async fn intend(work: &Work, name: String, resource: Resource) -> Attempt<Entry> {
    let intent = Intent {
        session: work.id().clone(),
        epoch: Epoch(0),
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        name,
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

/// Makes the bucket, or finds it made; closes it but for RDS where that is to put something there, and has S3 remove what
/// nobody does.
async fn make(work: &Work, bucket: &str, entry: &Entry, takes_logs: bool) -> Attempt<()> {
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
    if takes_logs {
        buckets.prefer_owner(bucket).await.soon_after(&made, what)?;
    }
    {
        let _alone = services.temporary_buckets.lock().await;
        let policy = policy(work, bucket).await?;
        buckets.set_policy(bucket, &policy).await.soon_after(&made, what)?;
    }
    buckets.expire_after(bucket, EXPIRE_DAYS).await.soon_after(&made, what)?;
    buckets.tag(bucket, &work.naming.tags(Epoch(0), bucket)).await.soon_after(&made, what)
}

/// The bucket's policy, by what all sessions have in it that are not over.
async fn policy(work: &Work, bucket: &str) -> Attempt<String> {
    let services = &work.services;
    let account = &work.place().account.id;
    let open = services.state.ledger(None, true).await?;
    let writer = |entry: Entry| match entry.resource {
        Resource::TemporaryBucket { bucket: own, prefix, logs_of: Some(instance_arn), .. } if own == bucket => {
            Some(LogWriter { instance_arn, prefix })
        }
        _ => None,
    };
    let writers: Vec<LogWriter> = open.into_iter().filter_map(writer).collect();
    Ok(temporary::policy(&services.settings.partition, account, bucket, &writers))
}
