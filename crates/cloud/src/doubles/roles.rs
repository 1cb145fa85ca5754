//! IAM in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::error::Result;
use crate::roles::{Role, Roles};

/// IAM in memory.
#[derive(Debug, Default)]
pub struct MemoryRoles {
    roles: Mutex<BTreeMap<String, Role>>,
}

impl MemoryRoles {
    /// No roles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates or replaces a role.
    pub fn put(&self, name: impl Into<String>, role: Role) {
        self.lock().insert(name.into(), role);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Role>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Roles for MemoryRoles {
    async fn role(&self, name: &str) -> Result<Option<Role>> {
        Ok(self.lock().get(name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::conformance;

    #[tokio::test]
    async fn conforms() {
        let roles = MemoryRoles::new();
        let arn = "arn:aws:iam::111122223333:role/backups".to_owned();
        let trust = r#"{"Statement": [{"Principal": {"Service": "rds.amazonaws.com"}}]}"#.to_owned();
        roles.put("backups", Role { arn: arn.clone(), trust: trust.clone() });
        conformance::roles(&roles, "backups", &Role { arn, trust }).await;
    }
}
