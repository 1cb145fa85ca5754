//! The operators' token: whoever shows it may do everything.
//!
//! It lies in `operator.token` of the state directory, mode 0600, made at the first start. Only its digest stays in
//! memory; comparing digests takes the same time whatever was shown.

use std::path::{Path, PathBuf};

use aws_lc_rs::{constant_time, digest, rand};
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};
use zeroize::Zeroizing;

use crate::installation_key::write_private;

const LENGTH: usize = 32;

/// The token cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("operators' token {}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds too little to be a secret.
    #[error("operators' token {}: it has fewer than 32 characters; remove the file, and a new one is made", .0.display())]
    Short(PathBuf),
    /// The system gives no random bytes.
    #[error("operators' token: the system gives no random bytes")]
    Random,
}

/// Lets through whoever shows the token.
#[derive(Clone)]
pub struct OperatorToken {
    digest: [u8; 32],
}

impl OperatorToken {
    /// Reads the token of the state directory, or makes one.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(state_dir: &Path) -> Result<Self, TokenError> {
        let file = state_dir.join("operator.token");
        let failed = |source| TokenError::File { file: file.clone(), source };
        if !file.exists() {
            let mut fresh = Zeroizing::new([0; LENGTH]);
            rand::fill(fresh.as_mut()).map_err(|_| TokenError::Random)?;
            let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex::encode(fresh.as_ref()))));
            write_private(&file, text.as_bytes()).map_err(failed)?;
        }
        let text = Zeroizing::new(std::fs::read_to_string(&file).map_err(failed)?);
        let token = text.trim();
        if token.len() < LENGTH {
            return Err(TokenError::Short(file));
        }
        Ok(Self { digest: sha256(token.as_bytes()) })
    }

    fn accepts(&self, shown: &str) -> bool {
        constant_time::verify_slices_are_equal(&sha256(shown.as_bytes()), &self.digest).is_ok()
    }
}

impl std::fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorToken")
    }
}

impl Interceptor for OperatorToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        match shown.and_then(|shown| shown.strip_prefix("Bearer ")) {
            Some(token) if self.accepts(token) => Ok(request),
            Some(_) => Err(Status::new(Code::Unauthenticated, "the operator's token is not the right one")),
            None => Err(Status::new(Code::Unauthenticated, "no operator's token was shown")),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut found = [0; 32];
    found.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn shown(header: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        request
    }

    #[test]
    fn the_token_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = OperatorToken::open(folder.path()).unwrap();
        let again = OperatorToken::open(folder.path()).unwrap();
        assert_eq!(first.digest, again.digest);
        let file = folder.path().join("operator.token");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim().len(), 64);
        assert!(!format!("{first:?}").contains(&hex::encode(first.digest)));
    }

    #[test]
    fn only_the_token_is_let_through() {
        let folder = tempfile::tempdir().unwrap();
        let mut token = OperatorToken::open(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("operator.token")).unwrap();
        let text = text.trim();
        assert!(token.call(shown(Some(&format!("Bearer {text}")))).is_ok());
        let half = &text[..32];
        for header in [None, Some(text), Some("Bearer "), Some("Bearer x"), Some(&*format!("Bearer {half}"))] {
            let refused = token.call(shown(header)).unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
            assert!(!refused.message().contains(text));
        }
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("operator.token"), "\n").unwrap();
        assert!(matches!(OperatorToken::open(folder.path()), Err(TokenError::Short(_))));
    }
}
