//! The repositories in their buckets.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use haulier_cloud::object_lock::Hidden;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, PointId, RepositoryId};
use haulier_domain::immutability::Immutability;
use haulier_domain::proof::Proof;
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_repository::{
    Domain, DomainConfig, Error, KmsKey, NewKey, PassphraseCost, PointRoot, Repository as Opened, Undelete, Unlock,
    UnlockedRepository,
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::{
    DomainPoints, Had, KeyChange, KeyChanged, NewRepository, PointFacts, Proposal, StoredKey, StoredPoint, Stray,
    Vaults, stored,
};
use crate::accounts::CloudAccess;
use crate::failures;
use crate::state::{KeyKind, Repository};

/// Memory for one look into a domain: the coordinator reads lists and index, never data.
const MEMORY: usize = 64 << 20;
/// How far the clocks of coordinator and workers may lie apart.
const CLOCKS: SignedDuration = SignedDuration::from_mins(5);

/// The repositories in their buckets. Each is unlocked once.
#[derive(Debug)]
pub struct RepositoryVaults {
    cloud: Arc<dyn CloudAccess>,
    cache_dir: PathBuf,
    unlocked: Mutex<HashMap<RepositoryId, UnlockedRepository>>,
}

impl RepositoryVaults {
    /// Over these accounts; the local index of a domain that is looked into lies in `cache_dir`.
    pub fn new(cloud: Arc<dyn CloudAccess>, cache_dir: PathBuf) -> Self {
        Self { cloud, cache_dir, unlocked: Mutex::default() }
    }

    async fn bucket(&self, what: &str, bucket: &str, region: &str) -> Result<Arc<dyn ObjectStore>, Failure> {
        self.cloud.bucket(bucket, region).await.map_err(|error| failures::as_itself(failures::cloud(what, &error)))
    }

    /// What opens the master key, fetched anew each time it is needed.
    pub(super) async fn opener(&self, what: &str, kind: KeyKind, arn: &str) -> Result<Opener, Failure> {
        let region = arn.split(':').nth(3).unwrap_or_default();
        let reached = async {
            Ok(match kind {
                KeyKind::Kms => Opener::Kms(Arc::new(KmsKey::new(arn, self.cloud.keys(region).await?))),
                KeyKind::Passphrase => Opener::Passphrase(self.cloud.secrets(region).await?.secret(arn).await?),
            })
        };
        reached.await.map_err(|error| failures::as_itself(failures::cloud(what, &error)))
    }

    pub(super) async fn unlock(&self, repository: &Repository) -> Result<UnlockedRepository, Failure> {
        let mut unlocked = self.unlocked.lock().await;
        if let Some(known) = unlocked.get(&repository.id) {
            return Ok(known.clone());
        }
        let what = format!("opening repository {}", repository.name);
        let opener = self.opener(&what, repository.key_kind, &repository.key_arn).await?;
        let store = self.bucket(&what, &repository.bucket, &repository.region).await?;
        let opened =
            open(store, &repository.prefix, opener).await.map_err(|error| failures::repository(&what, &error))?;
        unlocked.insert(repository.id.clone(), opened.clone());
        Ok(opened)
    }

    async fn domain(&self, repository: &Repository, domain: &DomainId, what: &str) -> Result<Domain, Failure> {
        let mut config = DomainConfig::new(&self.cache_dir);
        config.memory = MEMORY;
        let unlocked = self.unlock(repository).await?;
        unlocked.domain(domain, config).await.map_err(|error| failures::repository(what, &error))
    }
}

#[async_trait]
impl Vaults for RepositoryVaults {
    async fn create(&self, new: &NewRepository) -> Result<Had, Failure> {
        let what = format!("creating repository {} in bucket {}", new.name, new.bucket);
        let opener = self.opener(&what, new.key_kind, &new.key_arn).await?;
        let store = self.bucket(&what, &new.bucket, &new.region).await?;
        lies_in(&what, new, store.region().await)?;
        let mut adopted = false;
        let (key, now) = (opener.new_key(), Timestamp::now());
        let made = match new.immutability {
            Some(terms) => Opened::create_immutable(store.clone(), &new.prefix, &key, now, terms).await,
            None => Opened::create(store.clone(), &new.prefix, &key, now).await,
        };
        let made = match made {
            Err(Error::RepositoryExists { .. }) => {
                adopted = true;
                open(store, &new.prefix, opener).await
            }
            made => made,
        };
        let unlocked = made.map_err(|error| failures::repository(&what, &error))?;
        let (id, immutability) = (unlocked.repository().id().clone(), unlocked.repository().immutability());
        as_asked(&what, new.immutability, immutability)?;
        self.unlocked.lock().await.insert(id.clone(), unlocked);
        Ok(Had { id, adopted, immutability })
    }

    async fn open(&self, new: &NewRepository) -> Result<Had, Failure> {
        let what = format!("opening the repository in bucket {}, prefix {:?}", new.bucket, new.prefix);
        let opener = self.opener(&what, new.key_kind, &new.key_arn).await?;
        let store = self.bucket(&what, &new.bucket, &new.region).await?;
        lies_in(&what, new, store.region().await)?;
        let opened = open(store, &new.prefix, opener).await.map_err(|error| failures::repository(&what, &error))?;
        let (id, immutability) = (opened.repository().id().clone(), opened.repository().immutability());
        as_asked(&what, new.immutability, immutability)?;
        self.unlocked.lock().await.insert(id.clone(), opened);
        Ok(Had { id, adopted: true, immutability })
    }

    async fn domain_key(&self, repository: &Repository, domain: &DomainId) -> Result<SecretBytes, Failure> {
        let what = format!("opening domain {domain} of repository {}", repository.name);
        let unlocked = self.unlock(repository).await?;
        let key = unlocked.domain_key(domain, true).await.map_err(|error| failures::repository(&what, &error))?;
        Ok(SecretBytes::new(key.expose().to_vec()))
    }

    async fn publish(
        &self,
        repository: &Repository,
        domain: &DomainId,
        proposal: &Proposal,
    ) -> Result<PointFacts, Failure> {
        let what = format!("publishing restore point {} in repository {}", proposal.point, repository.name);
        let mut root = proposed_root(&what, proposal)?;
        root.labels.extend(proposal.labels.to_labels());
        root.stands_on.clone_from(&proposal.labels.full_point);
        let unlocked = self.unlock(repository).await?;
        if let Some((terms, until)) = unlocked.repository().immutability().zip(root.locked_until) {
            long_enough(&what, &terms, proposal.since, until)?;
            unlocked.hold_keys(domain, until).await.map_err(|error| failures::repository(&what, &error))?;
        }
        let opened = self.domain(repository, domain, &what).await?;
        let published = opened.publish_point(&root).await.map_err(|error| failures::repository(&what, &error))?;
        Ok(stored::facts(&published))
    }

    async fn strays(
        &self,
        repository: &Repository,
        domain: &DomainId,
        known: &BTreeSet<PointId>,
    ) -> Result<Vec<Stray>, Failure> {
        let what = format!("listing the restore points in domain {domain} of repository {}", repository.name);
        let opened = self.domain(repository, domain, &what).await?;
        let points = opened.list_points().await.map_err(|error| failures::repository(&what, &error))?;
        let mut strays = Vec::new();
        for (point, _) in points.into_iter().filter(|(point, _)| !known.contains(point)) {
            match opened.read_point(&point).await {
                Ok(root) => strays.push(Stray { point, session: root.session }),
                Err(error @ Error::Store { .. }) => return Err(failures::repository(&what, &error)),
                Err(error) => {
                    tracing::warn!(%point, error = %failures::chain(&error), "an unknown point cannot be read");
                }
            }
        }
        Ok(strays)
    }

    async fn withdraw(&self, repository: &Repository, domain: &DomainId, point: &PointId) -> Result<bool, Failure> {
        let what = format!("looking at restore point {point} of repository {}", repository.name);
        let opened = self.domain(repository, domain, &what).await?;
        opened.withdraw_point(point).await.map_err(|error| failures::repository(&what, &error))
    }

    async fn store_proof(&self, repository: &Repository, domain: &DomainId, proof: &Proof) -> Result<(), Failure> {
        let what = format!("storing the proof of {} in repository {}", proof.point, repository.name);
        let opened = self.domain(repository, domain, &what).await?;
        opened.store_proof(proof).await.map_err(|error| failures::repository(&what, &error))
    }

    async fn keys(&self, repository: &Repository) -> Result<Vec<StoredKey>, Failure> {
        self.stored_keys(repository).await
    }

    async fn change_key(&self, repository: &Repository, change: KeyChange) -> Result<KeyChanged, Failure> {
        self.change(repository, change).await
    }

    async fn open_with(&self, repository: &Repository, passphrase: &SecretString) -> Result<(), Failure> {
        let what = format!("opening repository {} with a passphrase", repository.name);
        let store = self.bucket(&what, &repository.bucket, &repository.region).await?;
        let opened = open(store, &repository.prefix, Opener::Passphrase(passphrase.clone())).await;
        let opened = opened.map_err(|error| failures::repository(&what, &error))?;
        self.unlocked.lock().await.insert(repository.id.clone(), opened);
        Ok(())
    }

    async fn undelete(&self, repository: &Repository, options: Undelete) -> Result<Vec<Hidden>, Failure> {
        let what = format!("bringing back what is hidden in repository {}", repository.name);
        let store = self.bucket(&what, &repository.bucket, &repository.region).await?;
        let hidden = haulier_repository::undelete(store, &repository.prefix, options).await;
        let mut hidden = hidden.map_err(|error| failures::repository(&what, &error));
        if let Err(failure) = &mut hidden
            && failure.code == "cloud-denied"
        {
            let bucket = &repository.bucket;
            failure.remedy = format!(
                "allow the coordinator s3:ListBucketVersions on the bucket {bucket} and, for as long as this takes, s3:DeleteObjectVersion on the repository's objects"
            );
        }
        hidden
    }

    async fn root(&self, repository: &Repository, domain: &DomainId, point: &PointId) -> Result<Vec<u8>, Failure> {
        let what = format!("reading restore point {point} of repository {}", repository.name);
        let opened = self.domain(repository, domain, &what).await?;
        let root = opened.read_point(point).await.map_err(|error| failures::repository(&what, &error))?;
        serde_json::to_vec(&root).map_err(|error| broken(&what, error.to_string()))
    }

    async fn domains(&self, repository: &Repository) -> Result<Vec<DomainId>, Failure> {
        let what = format!("listing the domains of repository {}", repository.name);
        let unlocked = self.unlock(repository).await?;
        unlocked.domain_names().await.map_err(|error| failures::repository(&what, &error))
    }

    async fn points(&self, repository: &Repository, domain: &DomainId) -> Result<DomainPoints, Failure> {
        let what = format!("listing the restore points of domain {domain} in repository {}", repository.name);
        let opened = self.domain(repository, domain, &what).await?;
        let found = opened.find_points().await.map_err(|error| failures::repository(&what, &error))?;
        Ok(DomainPoints { points: found.points.into_iter().map(|(id, _)| id).collect(), strange: found.strange })
    }

    async fn read(
        &self,
        repository: &Repository,
        domain: &DomainId,
        points: &[PointId],
    ) -> Result<Vec<Result<StoredPoint, Failure>>, Failure> {
        let what = format!("opening domain {domain} of repository {}", repository.name);
        let opened = self.domain(repository, domain, &what).await?;
        let read: Vec<_> = points.iter().map(|point| stored::read(&opened, &repository.name, point)).collect();
        Ok(stream::iter(read).buffered(stored::AT_ONCE).collect().await)
    }
}

/// Refuses a bucket that is not there, and one of another Region: what is sent to the wrong Region's endpoint fails, or
/// travels, later. Where S3 does not say, nothing is refused.
fn lies_in(what: &str, new: &NewRepository, region: haulier_cloud::Result<Option<String>>) -> Result<(), Failure> {
    let NewRepository { bucket, region: wanted, .. } = new;
    match region {
        Ok(Some(region)) if region != *wanted => Err(Failure::new(
            "bucket-in-other-region",
            what,
            format!("bucket {bucket} lies in {region}, and the repository was to be in {wanted}"),
            format!("give --region {region}, or name a bucket that lies in {wanted}"),
        )),
        Err(error) if error.is_not_found() => Err(Failure::new(
            "bucket-unknown",
            what,
            format!("S3 knows no bucket {bucket}"),
            "check the name, or make the bucket first: Haulier makes none for repositories",
        )),
        Err(error) => {
            tracing::debug!(bucket, %error, "S3 does not say where the bucket lies");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Refuses to take over a repository that is less, or otherwise, immutable than was asked for.
fn as_asked(what: &str, asked: Option<Immutability>, found: Option<Immutability>) -> Result<(), Failure> {
    let Some(asked) = asked.filter(|asked| Some(*asked) != found) else { return Ok(()) };
    let found = found.map_or_else(|| "not immutable".to_owned(), |found| format!("immutable otherwise ({found})"));
    Err(Failure::new(
        "repository-immutability-differs",
        what,
        format!("a repository lies there that is {found}, and this one was to be {asked}"),
        "immutability is decided when a repository is made: name another prefix, or leave it out to take over the one that is there",
    ))
}

/// Refuses a point whose worker has locked what it needs for a shorter time than the repository promises. Clocks may differ.
fn long_enough(what: &str, terms: &Immutability, since: Timestamp, until: Timestamp) -> Result<(), Failure> {
    let least = terms.needed(since).saturating_sub(CLOCKS).unwrap_or(since);
    if until >= least {
        return Ok(());
    }
    let cause = format!("what it needs is locked until {until}, and was to be until {}", terms.needed(since));
    Err(Failure::new("point-not-locked", what, cause, "set the worker's clock, and run the backup again").retryable())
}

/// The proposed root, if it is that of this point, session and epoch.
fn proposed_root(what: &str, proposal: &Proposal) -> Result<PointRoot, Failure> {
    let root = PointRoot::from_json(&proposal.root).map_err(|error| match error {
        Error::Unsupported { .. } => failures::repository(what, &error),
        error => broken(what, format!("the root is malformed: {error}")),
    })?;
    let is_its_own = root.point == proposal.point && root.session == proposal.session && root.epoch == proposal.epoch;
    if is_its_own {
        Ok(root)
    } else {
        Err(broken(
            what,
            format!("the root is that of point {}, session {}, epoch {}", root.point, root.session, root.epoch),
        ))
    }
}

fn broken(what: &str, cause: String) -> Failure {
    Failure::new("worker-broke-protocol", what, cause, "use a worker image of the coordinator's version").retryable()
}

async fn open(store: Arc<dyn ObjectStore>, prefix: &str, opener: Opener) -> Result<UnlockedRepository, Error> {
    Opened::open(store, prefix).await?.unlock(&opener.unlock()).await
}

/// What opens a master key.
pub(super) enum Opener {
    Kms(Arc<KmsKey>),
    Passphrase(SecretString),
}

impl Opener {
    pub(super) fn new_key(&self) -> NewKey {
        match self {
            Self::Kms(key) => NewKey::Wrapper(key.clone()),
            Self::Passphrase(passphrase) => NewKey::Passphrase(passphrase.clone(), PassphraseCost::default()),
        }
    }

    pub(super) fn unlock(&self) -> Unlock {
        match self {
            Self::Kms(key) => Unlock::Wrapper(key.clone()),
            Self::Passphrase(passphrase) => Unlock::Passphrase(passphrase.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use haulier_domain::immutability::RetentionMode;

    use super::*;

    #[test]
    fn a_point_is_to_be_locked_for_the_days_of_its_repository_give_or_take_clocks() {
        let terms = Immutability { mode: RetentionMode::Governance, days: 30 };
        let since: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        for (until, enough) in [
            ("2026-12-01T00:00:00Z", true),
            ("2026-12-03T08:00:00Z", true),
            ("2026-11-30T23:55:00Z", true),
            ("2026-11-30T23:54:59Z", false),
            ("2026-11-01T00:00:00Z", false),
        ] {
            let outcome = long_enough("publishing", &terms, since, until.parse().unwrap());
            assert_eq!(outcome.is_ok(), enough, "{until}");
            assert!(outcome.err().is_none_or(|failure| failure.code == "point-not-locked" && failure.retryable));
        }
    }
}
