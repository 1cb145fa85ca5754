//! Opening a repository with what an operator has: a passphrase, or AWS credentials that may use its KMS keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_cloud::aws::AwsCloud;
use haulier_cloud::object_store::ObjectStore;
use haulier_repository::{Error, KeyInfoKind, KmsKey, Repository, Unlock, UnlockedRepository};

use super::of_repository;
use crate::args::place::{Location, Place};
use crate::exit::{CliError, Exit};
use crate::passphrase;

/// An open repository.
pub(crate) struct Opened {
    pub(crate) repository: UnlockedRepository,
}

impl Opened {
    /// Opens the repository at that place.
    pub(crate) async fn at(place: &Place) -> Result<Self, CliError> {
        let doing = format!("opening the repository at s3://{}/{}", place.location.bucket, place.location.prefix);
        let unlock = match &place.passphrase_file {
            Some(file) => Some(Unlock::Passphrase(passphrase::read(file, &doing)?)),
            None => None,
        };
        let cloud = AwsCloud::from_environment(&place.location.region).await;
        let store = cloud.object_store(&place.location.bucket, &place.location.region);
        match open(&cloud, Arc::clone(&store), place, unlock).await {
            Ok(repository) => Ok(Self { repository }),
            Err(error) => Err(why_not(&doing, place, store.as_ref(), &error).await),
        }
    }
}

async fn open(
    cloud: &AwsCloud,
    store: Arc<dyn ObjectStore>,
    place: &Place,
    unlock: Option<Unlock>,
) -> Result<UnlockedRepository, Error> {
    let repository = Repository::open(store, &place.location.prefix).await?;
    match unlock {
        Some(unlock) => repository.unlock(&unlock).await,
        None => with_kms(cloud, &repository).await,
    }
}

/// Opens it with the first of its KMS keys that may be used.
async fn with_kms(cloud: &AwsCloud, repository: &Repository) -> Result<UnlockedRepository, Error> {
    let arns = repository.keys().await?.into_iter().filter_map(|key| match key.kind {
        KeyInfoKind::Wrapper(arn) => Some(arn),
        _ => None,
    });
    let mut refused = Error::NoKeyOpens { tried: 0 };
    for arn in arns.collect::<BTreeSet<_>>() {
        let region = arn.split(':').nth(3).unwrap_or_default();
        let key = KmsKey::new(arn.clone(), cloud.keys(region));
        match repository.unlock(&Unlock::Wrapper(Arc::new(key))).await {
            Ok(opened) => return Ok(opened),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// A bucket that is not there, or lies in another Region, shows in strange ways: S3 is asked what it is.
async fn why_not(doing: &str, place: &Place, store: &dyn ObjectStore, error: &Error) -> CliError {
    let Location { bucket, region, .. } = &place.location;
    let is_about_bucket = matches!(error, Error::NoRepository { .. } | Error::Store { .. });
    match store.region().await {
        Err(error) if is_about_bucket && error.is_not_found() => CliError::new(
            Exit::NotFound,
            "bucket-unknown",
            doing,
            format!("S3 knows no bucket {bucket}"),
            "check --bucket, and that the AWS credentials are those of the right partition",
        ),
        Ok(Some(lies_in)) if is_about_bucket && lies_in != *region => CliError::new(
            Exit::Refused,
            "bucket-in-other-region",
            doing,
            format!("bucket {bucket} lies in {lies_in}, not in {region}"),
            format!("give --region {lies_in}"),
        ),
        _ => of_repository(doing, error),
    }
}
