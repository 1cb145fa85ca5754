//! What an instance knows of the cloud around it.

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};

use crate::credentials::Credential;
use crate::front::{BucketSetup, Effect};

/// A key of KMS's cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is none of that name.
    #[error("Key {0} does not exist")]
    Missing(String),
    /// The role may not use it.
    #[error("User {user} is not authorized to perform {action} on resource {key}")]
    Denied {
        /// ARN of the role's session.
        user: String,
        /// `kms:GenerateDataKey`.
        action: &'static str,
        /// ARN of the key.
        key: String,
    },
    /// KMS does not answer as it should.
    #[error("{0}")]
    Other(String),
}

/// A fresh data key, open and sealed.
#[derive(Clone)]
pub struct DataKey {
    /// 32 bytes.
    pub open: [u8; 32],
    /// What KMS opens again, in base64.
    pub sealed: String,
    /// The key of KMS's that has sealed it, as it was named.
    pub sealed_by: String,
}

/// What the cloud is to its SQL Server instances.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// The Region that the instance is in.
    fn region(&self) -> String;
    /// Whether the instance's option group has native backup, in force.
    fn is_backup_enabled(&self, instance: &str) -> bool;
    /// Credentials of the role that the option names; `None` where that role does not trust RDS with this instance and
    /// this option group.
    fn backup_role(&self, instance: &str) -> Option<Credential>;
    /// Credentials of the service that writes log backups, acting for the instance: what it may do is the bucket's to say.
    fn log_writer(&self, instance: &str) -> Credential;
    /// Whether the instance's storage is encrypted.
    fn is_encrypted(&self, instance: &str) -> bool;
    /// How a bucket of the account is set up; `None` where there is none of that name.
    fn bucket(&self, name: &str) -> Option<BucketSetup>;
    /// Whether a snapshot of the instance is being taken.
    fn is_backing_up(&self, instance: &str) -> bool;
    /// Days that automated backups are kept, 0 where there are none.
    fn retention_days(&self, instance: &str) -> u32;
    /// Whether an additional volume of that name was added to the instance: `rdsdbdata2`.
    fn has_volume(&self, instance: &str, volume: &str) -> bool;
    /// The fault that somebody has ordered for an operation (a procedure's name, or a task's type), if it is its turn;
    /// `text` is what a rule may look for.
    fn fault(&self, operation: &str, text: &str) -> Option<Effect>;
    /// An S3 request; `None` where its connection ends without an answer.
    async fn s3(&self, request: Request<Body>) -> Option<Response<Body>>;
    /// A data key under a key of KMS's.
    async fn data_key(&self, role: &Credential, key: &str) -> Result<DataKey, KeyFault>;
    /// Opens a sealed data key.
    async fn open_key(&self, role: &Credential, key: &str, sealed: &str) -> Result<[u8; 32], KeyFault>;
}
