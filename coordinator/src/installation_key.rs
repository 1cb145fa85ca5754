//! The installation key: 32 bytes that seal snapshot tags and derive enrolment tokens.
//!
//! It is what an operator must keep to re-adopt snapshots after the coordinator's state is lost. It lies in
//! `installation.key` of the state directory, mode 0600: as it is, or wrapped by a KMS key where the config names one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{aead, hkdf, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haulier_cloud::CloudError;
use haulier_cloud::keys::Keys;
use haulier_domain::id::InstallationId;
use haulier_domain::secret::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use crate::settings::WrappingKey;

const LENGTH: usize = 32;

/// Why the key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("installation key file {file}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// KMS does not wrap or unwrap it.
    #[error("installation key under KMS key {arn}")]
    Wrapping {
        /// The KMS key.
        arn: String,
        /// Why.
        #[source]
        source: Box<CloudError>,
    },
    /// The file holds something else.
    #[error("installation key file {0} does not hold a key of 32 bytes")]
    Malformed(PathBuf),
    /// The cryptographic library refused.
    #[error("installation key: the cryptographic library failed")]
    Crypto,
}

/// The installation key.
#[derive(Debug, Clone)]
pub struct InstallationKey(SecretBytes);

impl InstallationKey {
    /// Reads the key from the state directory, or makes it.
    ///
    /// # Errors
    /// Where it cannot be read, written, wrapped or unwrapped.
    pub async fn open(
        directory: &Path,
        installation: &InstallationId,
        wrapping: Option<(&WrappingKey, &dyn Keys)>,
    ) -> Result<Self, KeyError> {
        let file = directory.join("installation.key");
        let context = BTreeMap::from([("haulier:installation".to_owned(), installation.to_string())]);
        let wrapped_by = |arn: &str| {
            let arn = arn.to_owned();
            move |source| KeyError::Wrapping { arn, source: Box::new(source) }
        };
        if !file.exists() {
            let mut fresh = Zeroizing::new([0; LENGTH]);
            rand::fill(fresh.as_mut()).map_err(|_| KeyError::Crypto)?;
            let fresh = SecretBytes::new(fresh.to_vec());
            let stored = match wrapping {
                Some((key, kms)) => {
                    Zeroizing::new(kms.wrap(&key.arn, &context, &fresh).await.map_err(wrapped_by(&key.arn))?)
                }
                None => Zeroizing::new(fresh.expose().to_vec()),
            };
            write_private(&file, &stored).map_err(|source| KeyError::File { file: file.clone(), source })?;
        }
        let stored =
            Zeroizing::new(std::fs::read(&file).map_err(|source| KeyError::File { file: file.clone(), source })?);
        let plain = match wrapping {
            Some((key, kms)) => kms.unwrap(&key.arn, &context, &stored).await.map_err(wrapped_by(&key.arn))?,
            None => SecretBytes::new(stored.to_vec()),
        };
        if plain.expose().len() == LENGTH { Ok(Self(plain)) } else { Err(KeyError::Malformed(file)) }
    }

    /// The enrolment token of a worker. It follows from the key and the worker alone, so that a repeated launch carries
    /// the same one.
    pub fn enrolment_token(&self, worker: &str) -> SecretString {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let tag = hmac::sign(&key, format!("haulier/enrolment-token/v1/{worker}").as_bytes());
        SecretString::new(URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// Seals a short text for a tag: base64url of version, nonce, ciphertext and tag of AES-256-GCM.
    ///
    /// # Errors
    /// Where the cryptographic library fails.
    pub fn seal(&self, plain: &[u8]) -> Result<String, KeyError> {
        let nonce: [u8; aead::NONCE_LEN] = rand::generate(&SystemRandom::new()).map_err(|_| KeyError::Crypto)?.expose();
        let mut body = plain.to_vec();
        self.sealing_key()?
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(SEAL), &mut body)
            .map_err(|_| KeyError::Crypto)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &body].concat()))
    }

    /// Opens what [`Self::seal`] gave; `None` where it is not of this key or was changed.
    pub fn open_sealed(&self, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, body) = bytes.split_at_checked(aead::NONCE_LEN)?;
        let mut body = body.to_vec();
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.sealing_key().ok()?.open_in_place(nonce, aead::Aad::from(SEAL), &mut body).ok()?;
        Some(plain.to_vec())
    }

    fn sealing_key(&self) -> Result<aead::LessSafeKey, KeyError> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SEAL).extract(self.0.expose());
        let info = [&b"sealed tags"[..]];
        let expanded = secret.expand(&info, &aead::AES_256_GCM).map_err(|_| KeyError::Crypto)?;
        Ok(aead::LessSafeKey::new(aead::UnboundKey::from(expanded)))
    }
}

const SEAL: &[u8] = b"haulier/sealed-tag/v1";

/// Writes a file that nobody else may read; it must not exist.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut handle = options.write(true).create_new(true).mode(0o600).open(file)?;
    handle.write_all(bytes)?;
    handle.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use haulier_cloud::doubles::MemoryKeys;

    use super::*;

    async fn key(directory: &Path) -> InstallationKey {
        InstallationKey::open(directory, &"ins-1".parse().unwrap(), None).await.unwrap()
    }

    #[tokio::test]
    async fn the_key_stays_the_same_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = key(directory.path()).await;
        let again = key(directory.path()).await;
        assert_eq!(first.enrolment_token("wrk-1").expose(), again.enrolment_token("wrk-1").expose());
        assert_ne!(first.enrolment_token("wrk-1").expose(), first.enrolment_token("wrk-2").expose());
        let mode = std::fs::metadata(directory.path().join("installation.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_wrapped_key_is_not_in_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let kms = MemoryKeys::new();
        let wrapping = WrappingKey { arn: "arn:aws:kms:eu-central-1:111122223333:key/1".into(), region: "eu".into() };
        let installation = "ins-1".parse().unwrap();
        let open = || InstallationKey::open(directory.path(), &installation, Some((&wrapping, &kms)));
        let key = open().await.unwrap();
        let stored = std::fs::read(directory.path().join("installation.key")).unwrap();
        assert!(!stored.windows(LENGTH).any(|window| window == key.0.expose()));
        assert_eq!(open().await.unwrap().0.expose(), key.0.expose());
    }

    #[tokio::test]
    async fn a_sealed_tag_opens_under_its_key_only() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (key, stranger) = (key(one.path()).await, key(other.path()).await);
        let sealed = key.seal(b"orders|nightly").unwrap();
        assert!(!sealed.contains("orders"));
        assert_eq!(key.open_sealed(&sealed).as_deref(), Some(&b"orders|nightly"[..]));
        assert_eq!(stranger.open_sealed(&sealed), None);
        assert_eq!(key.open_sealed(&sealed[1..]), None);
    }
}
