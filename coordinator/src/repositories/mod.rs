//! The repositories as the coordinator works with them: it makes them, hands out the key of one domain, and reads and
//! publishes points. Data passes through workers alone.

mod import;
mod keys;
mod labels;
mod naming;
mod stored;
mod vault;

use std::collections::BTreeSet;

use async_trait::async_trait;
use haulier_cloud::object_lock::Hidden;
use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, Epoch, PointId, RepositoryId, SessionId};
use haulier_domain::immutability::Immutability;
use haulier_domain::proof::Proof;
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_repository::Undelete;
use jiff::Timestamp;
use serde_json::Value;

pub use import::{Import, ImportEvent, Imported, Missed};
pub(crate) use keys::described;
pub use keys::{KeyChange, KeyChanged, NewRepositoryKey, StoredKey};
pub use labels::PointLabels;
pub use naming::{copy_id, domain_of};
pub use vault::RepositoryVaults;

use crate::state::{KeyKind, Repository};

/// A repository to be made or adopted.
#[derive(Debug, Clone)]
pub struct NewRepository {
    /// Name within this installation.
    pub name: String,
    /// Bucket; it must exist.
    pub bucket: String,
    /// Region of the bucket.
    pub region: String,
    /// Prefix within it; may be empty.
    pub prefix: String,
    /// What wraps its master key.
    pub key_kind: KeyKind,
    /// ARN of the KMS key or of the passphrase's secret.
    pub key_arn: String,
    /// The immutability it is to have; `None`: that of the one that lies there, else none.
    pub immutability: Option<Immutability>,
}

/// A repository that was made or adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Had {
    /// Its id.
    pub id: RepositoryId,
    /// Whether it lay there already.
    pub adopted: bool,
    /// Its immutability.
    pub immutability: Option<Immutability>,
}

/// A restore point as a worker has proposed it, with what the coordinator knows better.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The point that the session was to make.
    pub point: PointId,
    /// The session.
    pub session: SessionId,
    /// The epoch whose worker proposes it.
    pub epoch: Epoch,
    /// When the session was made: no worker of it began earlier.
    pub since: Timestamp,
    /// JSON of the root.
    pub root: Vec<u8>,
    /// What should be found in the repository if the coordinator's state is lost.
    pub labels: PointLabels,
}

/// A point that lies in a repository and is in no catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The point.
    pub point: PointId,
    /// The session that was to make it.
    pub session: SessionId,
}

/// What a point's root says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PointFacts {
    /// The summary operators see, as JSON.
    pub summary: Value,
    /// When its data was current.
    pub consistent_at: Option<Timestamp>,
    /// Until when everything it needs is locked at least.
    pub locked_until: Option<Timestamp>,
}

/// What lies where the points of a domain lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainPoints {
    /// Ids of points.
    pub points: Vec<PointId>,
    /// Objects that are not named as points are.
    pub strange: Vec<String>,
}

/// A published point, as its repository alone tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPoint {
    /// Its id.
    pub id: PointId,
    /// The session that made it.
    pub session: SessionId,
    /// When it was made.
    pub created: Timestamp,
    /// Engine, as RDS names it.
    pub engine: String,
    /// Where it comes from.
    pub labels: PointLabels,
    /// What else its root says of it.
    pub facts: PointFacts,
    /// Restore tests that went well.
    pub proofs: Vec<Proof>,
    /// Why a proof that lies beside it could not be read.
    pub unread: Vec<Failure>,
}

/// Access to repositories.
#[async_trait]
pub trait Vaults: Send + Sync + std::fmt::Debug {
    /// Makes the repository, or opens the one that is there under the same key.
    async fn create(&self, new: &NewRepository) -> Result<Had, Failure>;
    /// Opens the repository that is there. Makes none.
    async fn open(&self, new: &NewRepository) -> Result<Had, Failure>;
    /// The key of a domain, made where there is none.
    async fn domain_key(&self, repository: &Repository, domain: &DomainId) -> Result<SecretBytes, Failure>;
    /// Publishes the point that a worker has proposed, once everything its root names is found stored and listed.
    /// Repeating it changes nothing.
    async fn publish(
        &self,
        repository: &Repository,
        domain: &DomainId,
        proposal: &Proposal,
    ) -> Result<PointFacts, Failure>;
    /// The points of a domain that are not among the `known` ones, and can be read.
    async fn strays(
        &self,
        repository: &Repository,
        domain: &DomainId,
        known: &BTreeSet<PointId>,
    ) -> Result<Vec<Stray>, Failure>;
    /// Removes a point that was never published, unless it is whole. Says whether it did.
    async fn withdraw(&self, repository: &Repository, domain: &DomainId, point: &PointId) -> Result<bool, Failure>;
    /// Stores what a restore test has shown beside its point, which stays as it is. Repeating it changes nothing.
    async fn store_proof(&self, repository: &Repository, domain: &DomainId, proof: &Proof) -> Result<(), Failure>;
    /// What opens the repository, oldest first.
    async fn keys(&self, repository: &Repository) -> Result<Vec<StoredKey>, Failure>;
    /// Adds, removes or replaces what opens the repository. What `repository` names goes on opening it, except where it is
    /// replaced.
    async fn change_key(&self, repository: &Repository, change: KeyChange) -> Result<KeyChanged, Failure>;
    /// Opens the repository with a passphrase, where what it is opened with otherwise is lost. It stays open until the
    /// coordinator ends.
    async fn open_with(&self, repository: &Repository, passphrase: &SecretString) -> Result<(), Failure>;
    /// What delete markers hide in the repository, brought back into sight unless only asked for.
    async fn undelete(&self, repository: &Repository, options: Undelete) -> Result<Vec<Hidden>, Failure>;
    /// The root of a published point, as JSON.
    async fn root(&self, repository: &Repository, domain: &DomainId, point: &PointId) -> Result<Vec<u8>, Failure>;
    /// Every domain that has objects in the repository.
    async fn domains(&self, repository: &Repository) -> Result<Vec<DomainId>, Failure>;
    /// What lies where a domain's points lie.
    async fn points(&self, repository: &Repository, domain: &DomainId) -> Result<DomainPoints, Failure>;
    /// Reads points and their proofs, as many as can be read: an answer for each, in their order.
    async fn read(
        &self,
        repository: &Repository,
        domain: &DomainId,
        points: &[PointId],
    ) -> Result<Vec<Result<StoredPoint, Failure>>, Failure>;
}
