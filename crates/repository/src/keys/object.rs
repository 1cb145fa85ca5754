//! The JSON of key objects, and wrapping and unwrapping.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use haulier_domain::id::{DomainId, RepositoryId};
use haulier_domain::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use super::manage::KeyInfoKind;
use super::passphrase::{self, PassphraseCost};
use super::{NewKey, Unlock};
use crate::crypto::{DomainKey, KEY_LENGTH, random};
use crate::error::{Error, ObjectKind, Result};
use crate::json;

const VERSION: u32 = 1;
const DOMAIN_WRAPPING: &str = "haulier repository v1: domain key wrapping";

/// Bytes in JSON, as base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Base64(Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(text).map(Self)
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(bytes.0)
    }
}

/// `keys/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyObject {
    version: u32,
    pub(crate) repository: RepositoryId,
    wrap: Wrap,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Wrap {
    Passphrase { kdf: Kdf, cost: PassphraseCost, salt: Base64, nonce: Base64, sealed: Base64 },
    Wrapper { name: String, wrapped: Base64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kdf {
    Argon2id,
}

/// `domains/<d>/key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DomainKeyObject {
    version: u32,
    repository: RepositoryId,
    domain: DomainId,
    nonce: Base64,
    sealed: Base64,
}

fn cipher(key: &[u8; KEY_LENGTH]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key);
    key.map(LessSafeKey::new).map_err(|_| Error::TaskStopped("the cipher refused its key".to_owned()))
}

fn seal(key: &[u8; KEY_LENGTH], aad: &str, plain: &[u8]) -> Result<(Base64, Base64)> {
    let nonce = random::<12>()?;
    let mut sealed = plain.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad.as_bytes()), &mut sealed)
        .map_err(|_| Error::TaskStopped("the cipher failed to seal".to_owned()))?;
    Ok((Base64(nonce.to_vec()), Base64(sealed)))
}

fn open(key: &[u8; KEY_LENGTH], aad: &str, nonce: &Base64, sealed: &Base64) -> Result<Option<SecretBytes>> {
    let Ok(nonce) = Nonce::try_assume_unique_for_key(&nonce.0) else { return Ok(None) };
    let mut bytes = sealed.0.clone();
    let plain = cipher(key)?.open_in_place(nonce, Aad::from(aad.as_bytes()), &mut bytes);
    Ok(plain.ok().filter(|plain| plain.len() == KEY_LENGTH).map(|plain| SecretBytes::new(&*plain)))
}

fn master_aad(repository: &RepositoryId) -> String {
    format!("haulier repository v1: master key of {repository}")
}

fn domain_aad(repository: &RepositoryId, domain: &DomainId) -> String {
    format!("haulier repository v1: domain key of {domain} in {repository}")
}

fn parse<T: serde::de::DeserializeOwned>(kind: ObjectKind, object: &str, body: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let line = json::verified(kind, object, body)?;
    let found: Version = json::parse(kind, object, line)?;
    if found.version != VERSION {
        let needs = format!("version {} of key objects", found.version);
        return Err(Error::Unsupported { kind, object: object.to_owned(), needs });
    }
    json::parse(kind, object, line)
}

impl KeyObject {
    /// Wraps the master key. May take a second: run it where that is allowed.
    pub(crate) async fn wrap(repository: &RepositoryId, master: &SecretBytes, how: &NewKey) -> Result<Self> {
        let wrap = match how {
            NewKey::Passphrase(passphrase, cost) => {
                let salt = random::<16>()?;
                let (passphrase, cost) = (passphrase.clone(), *cost);
                let key = blocking(move || passphrase::derive(&passphrase, cost, &salt)).await?;
                let (nonce, sealed) = seal(&key, &master_aad(repository), master.expose())?;
                Wrap::Passphrase { kdf: Kdf::Argon2id, cost, salt: Base64(salt.to_vec()), nonce, sealed }
            }
            NewKey::Wrapper(wrapper) => {
                let name = wrapper.name();
                let wrapped = wrapper
                    .wrap(repository, master)
                    .await
                    .map_err(|source| Error::Wrapping { wrapper: name.clone(), source: Box::new(source) })?;
                Wrap::Wrapper { name, wrapped: Base64(wrapped) }
            }
        };
        Ok(Self { version: VERSION, repository: repository.clone(), wrap })
    }

    /// How it wraps.
    pub(crate) fn info(&self) -> KeyInfoKind {
        match &self.wrap {
            Wrap::Passphrase { cost, .. } => KeyInfoKind::Passphrase(*cost),
            Wrap::Wrapper { name, .. } => KeyInfoKind::Wrapper(name.clone()),
        }
    }

    /// Whether this object is of the kind that `with` opens.
    pub(crate) fn suits(&self, with: &Unlock) -> bool {
        match (&self.wrap, with) {
            (Wrap::Passphrase { .. }, Unlock::Passphrase(_)) => true,
            (Wrap::Wrapper { name, .. }, Unlock::Wrapper(wrapper)) => *name == wrapper.name(),
            _ => false,
        }
    }

    /// The master key, `None` where it does not open.
    pub(crate) async fn unwrap(&self, with: &Unlock) -> Result<Option<SecretBytes>> {
        match (&self.wrap, with) {
            (Wrap::Passphrase { kdf: Kdf::Argon2id, cost, salt, nonce, sealed }, Unlock::Passphrase(passphrase)) => {
                let (passphrase, cost, salt) = (passphrase.clone(), *cost, salt.0.clone());
                let key = blocking(move || passphrase::derive(&passphrase, cost, &salt)).await?;
                open(&key, &master_aad(&self.repository), nonce, sealed)
            }
            (Wrap::Wrapper { name, wrapped }, Unlock::Wrapper(wrapper)) => {
                let master = wrapper
                    .unwrap(&self.repository, &wrapped.0)
                    .await
                    .map_err(|source| Error::Wrapping { wrapper: name.clone(), source: Box::new(source) })?;
                Ok(Some(master).filter(|master| master.expose().len() == KEY_LENGTH))
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn parse(object: &str, body: &[u8]) -> Result<Self> {
        parse(ObjectKind::Key, object, body)
    }
}

impl DomainKeyObject {
    pub(crate) fn wrap(
        repository: &RepositoryId,
        domain: &DomainId,
        master: &SecretBytes,
        key: &DomainKey,
    ) -> Result<Self> {
        let wrapping = blake3::derive_key(DOMAIN_WRAPPING, master.expose());
        let (nonce, sealed) = seal(&wrapping, &domain_aad(repository, domain), key.expose())?;
        Ok(Self { version: VERSION, repository: repository.clone(), domain: domain.clone(), nonce, sealed })
    }

    /// The domain key. Repository and domain are those of the place it was read from, not those it claims.
    pub(crate) fn unwrap(
        &self,
        object: &str,
        repository: &RepositoryId,
        domain: &DomainId,
        master: &SecretBytes,
    ) -> Result<DomainKey> {
        let wrapping = blake3::derive_key(DOMAIN_WRAPPING, master.expose());
        match open(&wrapping, &domain_aad(repository, domain), &self.nonce, &self.sealed)? {
            Some(key) => DomainKey::from_bytes(key),
            None => Err(Error::damaged(ObjectKind::DomainKey, object, "the master key does not open it")),
        }
    }

    pub(crate) fn parse(object: &str, body: &[u8]) -> Result<Self> {
        parse(ObjectKind::DomainKey, object, body)
    }
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(job).await.map_err(|error| Error::TaskStopped(error.to_string()))?
}
