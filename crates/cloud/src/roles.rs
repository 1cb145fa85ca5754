//! The port to IAM in one account: whom a role trusts.

use async_trait::async_trait;

use crate::error::Result;

/// A role as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// ARN.
    pub arn: String,
    /// `AssumeRolePolicyDocument`, JSON.
    pub trust: String,
}

/// IAM of one account.
#[async_trait]
pub trait Roles: Send + Sync + std::fmt::Debug {
    /// `GetRole` by name, without its path; `None` where there is none.
    async fn role(&self, name: &str) -> Result<Option<Role>>;
}
