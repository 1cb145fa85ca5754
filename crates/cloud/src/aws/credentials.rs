//! Credentials that are replaced while clients live.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::identity::SessionCredentials;

/// A cell of session credentials. Clones share it; a client signs each request with what the cell then holds.
#[derive(Clone, Default)]
pub struct SharedCredentials(Arc<RwLock<Option<SessionCredentials>>>);

impl SharedCredentials {
    /// A cell that holds these.
    pub fn new(credentials: SessionCredentials) -> Self {
        Self(Arc::new(RwLock::new(Some(credentials))))
    }

    /// Replaces what the cell holds.
    pub fn replace(&self, credentials: SessionCredentials) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
    }

    fn current(&self) -> Result<Credentials, CredentialsError> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().ok_or_else(|| CredentialsError::not_loaded("no session credentials received yet"))?;
        Ok(Credentials::new(
            held.access_key_id.clone(),
            held.secret_access_key.expose(),
            Some(held.session_token.expose().to_owned()),
            Some(SystemTime::from(held.expires_at)),
            "haulier-session",
        ))
    }
}

impl fmt::Debug for SharedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCredentials([redacted])")
    }
}

impl ProvideCredentials for SharedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.current())
    }
}
