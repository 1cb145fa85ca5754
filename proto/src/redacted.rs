//! Messages that carry secrets print their public part alone.

use std::fmt;

use crate::control::v1::{AddRepositoryKeyRequest, RotateRepositoryKeyRequest};
use crate::worker::v1::{Credentials, EnrolRequest};

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolRequest")
            .field("worker_id", &self.worker_id)
            .field("session_id", &self.session_id)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AddRepositoryKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddRepositoryKeyRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for RotateRepositoryKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotateRepositoryKeyRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let credentials =
            Credentials { secret_access_key: "hunter2".into(), domain_key: vec![7; 32], ..Default::default() };
        let request = EnrolRequest { token: "hunter2".into(), ..Default::default() };
        assert!(!format!("{credentials:?} {request:?}").contains("hunter2"));
        assert!(!format!("{credentials:?}").contains("7, 7"));
        let key = Some(crate::control::v1::add_repository_key_request::Key::Passphrase("hunter2".into()));
        let add = AddRepositoryKeyRequest { name: "main".into(), key };
        assert!(!format!("{add:?}").contains("hunter2"));
        let rotate = RotateRepositoryKeyRequest { open_with_passphrase: "hunter2".into(), ..Default::default() };
        assert!(!format!("{rotate:?}").contains("hunter2"));
    }
}
