//! Changing what opens the master key: list, add, remove, replace. The master key itself never changes, so everything that
//! is stored stays readable, and nothing is written anew.
//!
//! One way in always stays. Before a key is removed, another one is shown to open with what the caller keeps; after it has
//! been removed, this is looked at once more, and if somebody else has removed that other key meanwhile, the removed one is
//! put back. So of two who remove each other's key, the later one to look finds it and undoes his own step.

use haulier_domain::secret::SecretBytes;
use jiff::Timestamp;

use super::object::KeyObject;
use super::{NewKey, PassphraseCost, Unlock};
use crate::crypto::random;
use crate::error::{Error, ObjectKind, Result};
use crate::json;
use crate::repository::{Repository, UnlockedRepository};

/// A key object, as far as it can be known without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// What it is called: 32 hex digits.
    pub id: String,
    /// How it wraps the master key.
    pub kind: KeyInfoKind,
    /// When the store took it.
    pub created: Timestamp,
}

/// How a key object wraps the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyInfoKind {
    /// By a passphrase.
    Passphrase(PassphraseCost),
    /// By a service: what the service calls its key.
    Wrapper(String),
    /// It cannot be read, or belongs to another repository.
    Unusable(String),
}

/// What became of a key that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// There was none.
    Absent,
    /// It is gone.
    Done,
    /// It is out of sight, and cannot be destroyed before this time: its lock holds until then.
    Hidden(Timestamp),
}

impl Repository {
    /// All key objects, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>> {
        let prefix = self.layout.keys();
        let mut keys = Vec::new();
        for object in self.store.list_all(&prefix).await? {
            let kind = match self.key_object(&object.key).await {
                Ok(key) if key.repository != *self.id() => {
                    KeyInfoKind::Unusable(format!("it belongs to repository {}", key.repository))
                }
                Ok(key) => key.info(),
                Err(error @ (Error::Damaged { .. } | Error::Unsupported { .. })) => {
                    KeyInfoKind::Unusable(error.to_string())
                }
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error),
            };
            keys.push(KeyInfo { id: object.key[prefix.len()..].to_owned(), kind, created: object.modified });
        }
        keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(keys)
    }

    async fn key_object(&self, object: &str) -> Result<KeyObject> {
        KeyObject::parse(object, &self.store.get(ObjectKind::Key, object).await?)
    }

    /// Whether a key other than `except` opens with this, and gives this master key.
    async fn opens_without(&self, except: &str, with: &Unlock, master: &SecretBytes) -> Result<bool> {
        for object in self.store.list_all(&self.layout.keys()).await? {
            if object.key == except {
                continue;
            }
            let key = match self.key_object(&object.key).await {
                Err(Error::Damaged { .. } | Error::Unsupported { .. }) => continue,
                Err(error) if error.is_absent() => continue,
                key => key?,
            };
            if key.repository != *self.id() || !key.suits(with) {
                continue;
            }
            if key.unwrap(with).await?.is_some_and(|opened| opened.expose() == master.expose()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl UnlockedRepository {
    /// Adds another way to open the master key, and gives its id. Adding the same twice makes two.
    ///
    /// # Errors
    /// Those of wrapping and writing.
    pub async fn add_key(&self, key: &NewKey) -> Result<String> {
        let object = self.put_key(key).await?;
        let opens = self.repository().key_object(&object).await?.unwrap(&key.unlock()).await?;
        if opens.is_none_or(|opened| opened.expose() != self.master().expose()) {
            self.repository().store.remove(&object).await?;
            return Err(Error::Invalid("the new key does not open what it has just wrapped".to_owned()));
        }
        Ok(object[self.repository().layout.keys().len()..].to_owned())
    }

    /// The ids of the keys that open with this, oldest first. Of a service the name decides; it is not asked.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keys_of(&self, with: &Unlock) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for key in self.repository().keys().await? {
            let object = format!("{}{}", self.repository().layout.keys(), key.id);
            let opens = match (&key.kind, with) {
                (KeyInfoKind::Passphrase(_), Unlock::Passphrase(_)) => {
                    self.repository().key_object(&object).await?.unwrap(with).await?.is_some()
                }
                (KeyInfoKind::Wrapper(name), Unlock::Wrapper(wrapper)) => *name == wrapper.name(),
                _ => false,
            };
            ids.extend(opens.then_some(key.id));
        }
        Ok(ids)
    }

    /// Removes the key of that id, if another one opens with `keep`. In an immutable repository it only goes out of sight:
    /// its bytes can be destroyed when its lock has ended, which no later point extends.
    ///
    /// # Errors
    /// [`Error::LastKey`] where nothing else opens with `keep`; those of the store.
    pub async fn remove_key(&self, id: &str, keep: &Unlock) -> Result<Removal> {
        let repository = self.repository();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Invalid(format!("{id:?} is not the id of a key")));
        }
        let object = format!("{}{id}", repository.layout.keys());
        let last = || Error::LastKey { key: id.to_owned() };
        let body = match repository.store.find(ObjectKind::Key, &object).await {
            Err(Error::Hidden { .. }) | Ok(None) => return Ok(Removal::Absent),
            Ok(Some(body)) => body,
            Err(error) => return Err(error),
        };
        if !repository.opens_without(&object, keep, self.master()).await? {
            return Err(last());
        }
        let locked_until = repository.store.locked_until(ObjectKind::Key, &object).await?;
        repository.store.remove(&object).await?;
        if repository.opens_without(&object, keep, self.master()).await? {
            return Ok(locked_until.map_or(Removal::Done, Removal::Hidden));
        }
        repository.store.put_new(&object, body).await?;
        Err(last())
    }

    pub(crate) async fn put_key(&self, key: &NewKey) -> Result<String> {
        let repository = self.repository();
        let wrapped = json::write(&KeyObject::wrap(repository.id(), self.master(), key).await?)?;
        loop {
            let object = format!("{}{}", repository.layout.keys(), hex::encode(random::<16>()?));
            if repository.store.put_new(&object, wrapped.clone()).await? {
                return Ok(object);
            }
            // Written by this very call, if its answer was lost and the store's client repeated it.
            if repository.store.get(ObjectKind::Key, &object).await? == wrapped {
                return Ok(object);
            }
        }
    }
}

impl NewKey {
    /// What opens it.
    pub fn unlock(&self) -> Unlock {
        match self {
            Self::Passphrase(passphrase, _) => Unlock::Passphrase(passphrase.clone()),
            Self::Wrapper(wrapper) => Unlock::Wrapper(std::sync::Arc::clone(wrapper)),
        }
    }
}
