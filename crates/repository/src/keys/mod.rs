//! The master key and what opens it. A repository may have several key objects, each wrapping the same master key in its
//! own way; a domain key is wrapped by the master key.

mod kms;
pub(crate) mod manage;
pub(crate) mod object;
pub(crate) mod passphrase;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::id::RepositoryId;
use haulier_domain::secret::{SecretBytes, SecretString};

pub use self::kms::KmsKey;
pub use self::passphrase::PassphraseCost;

/// A service that wraps the master key: a KMS key.
#[async_trait]
pub trait KeyWrapper: Send + Sync {
    /// What the service calls the wrapping key: an ARN. Stored in the clear beside what it wrapped.
    fn name(&self) -> String;

    /// Wraps the master key. The repository's id should be bound in, as KMS's encryption context does.
    ///
    /// # Errors
    /// The service's own.
    async fn wrap(&self, repository: &RepositoryId, master: &SecretBytes) -> haulier_cloud::Result<Vec<u8>>;

    /// Unwraps what [`KeyWrapper::wrap`] gave.
    ///
    /// # Errors
    /// The service's own.
    async fn unwrap(&self, repository: &RepositoryId, wrapped: &[u8]) -> haulier_cloud::Result<SecretBytes>;
}

/// A way to wrap the master key from now on.
#[derive(Clone)]
pub enum NewKey {
    /// By a passphrase.
    Passphrase(SecretString, PassphraseCost),
    /// By a service.
    Wrapper(Arc<dyn KeyWrapper>),
}

/// What opens the master key.
#[derive(Clone)]
pub enum Unlock {
    /// A passphrase.
    Passphrase(SecretString),
    /// The service that wrapped it.
    Wrapper(Arc<dyn KeyWrapper>),
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(_, cost) => f.debug_tuple("Passphrase").field(cost).finish(),
            Self::Wrapper(wrapper) => f.debug_tuple("Wrapper").field(&wrapper.name()).finish(),
        }
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("Passphrase"),
            Self::Wrapper(wrapper) => f.debug_tuple("Wrapper").field(&wrapper.name()).finish(),
        }
    }
}
