//! The port to STS: who somebody is, and credentials that can do less.

use std::collections::BTreeMap;

use async_trait::async_trait;
use haulier_domain::secret::SecretString;
use jiff::Timestamp;

use crate::error::Result;

/// Credentials of a role session.
#[derive(Debug, Clone)]
pub struct SessionCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: SecretString,
    /// Session token.
    pub session_token: SecretString,
    /// When they end.
    pub expires_at: Timestamp,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRole {
    /// ARN of the role.
    pub role_arn: String,
    /// `RoleSessionName`, 2 to 64 of `[\w+=,.@-]`: shows in CloudTrail.
    pub session_name: String,
    /// External id, where the role's trust asks for one.
    pub external_id: Option<String>,
    /// Inline session policy, JSON, at most 2,048 characters: what the session may do is the cut of it and the role's own
    /// policies.
    pub policy: Option<String>,
    /// Seconds, 900 to 43,200; at most 3,600 where roles are chained.
    pub duration_seconds: u32,
}

/// What `GetCallerIdentity` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Account id.
    pub account: String,
    /// `arn:aws:sts::111122223333:assumed-role/haulier-worker/i-0abc`.
    pub arn: String,
    /// `AROA...:i-0abc`.
    pub user_id: String,
}

/// A `GetCallerIdentity` call that is signed and not yet sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCall {
    /// Region of the STS endpoint it was signed for.
    pub region: String,
    /// Signed headers by lower-case name, `host` and `authorization` included.
    pub headers: BTreeMap<String, String>,
    /// The request body.
    pub body: String,
}

/// STS.
#[async_trait]
pub trait Identity: Send + Sync + std::fmt::Debug {
    /// Who the caller is.
    async fn caller(&self) -> Result<CallerIdentity>;
    /// Credentials of a role, cut down by the session policy.
    async fn assume(&self, request: &AssumeRole) -> Result<SessionCredentials>;
    /// Sends a call that somebody else has signed and tells who that was. The address is built here, from the Region and
    /// the configured endpoint: a `host` header that names any other address is refused, redirects are not followed.
    async fn verify(&self, call: &SignedCall) -> Result<CallerIdentity>;
}
