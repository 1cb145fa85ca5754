//! A repository as the coordinator sees it: created once, opened by its `format` object, unlocked by a key.

use std::sync::Arc;

use haulier_cloud::object_lock::Hidden;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::id::{DomainId, RepositoryId};
use haulier_domain::immutability::Immutability;
use haulier_domain::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use crate::crypto::{DomainKey, KEY_LENGTH, random};
use crate::domain::{Domain, DomainConfig};
use crate::error::{Error, ObjectKind, Result};
use crate::json;
use crate::keys::object::{DomainKeyObject, KeyObject};
use crate::keys::{NewKey, Unlock};
use crate::layout::Layout;
use crate::lock::{Clock, Lock};
use crate::store::Store;

/// The version of the format that this crate writes.
pub const FORMAT_VERSION: u32 = 1;

/// Features that a reader has to know before it may touch anything. None so far.
const KNOWN_FEATURES: &[&str] = &[];

/// The optional feature of repositories that are immutable.
const OBJECT_LOCK: &str = "object-lock";

/// The `format` object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// Version of the whole format.
    pub version: u32,
    /// The repository's id.
    pub repository: RepositoryId,
    /// What a reader must know, or leave the repository alone.
    pub required_features: Vec<String>,
    /// What a reader may ignore.
    pub optional_features: Vec<String>,
    /// When the repository was made.
    pub created: jiff::Timestamp,
    /// Immutability, for whoever stores or deletes; readers need not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<Immutability>,
}

/// A repository, still locked.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) raw: Arc<dyn ObjectStore>,
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    format: Format,
}

impl Repository {
    /// Creates a repository. The `format` object comes last: until then there is none.
    ///
    /// # Errors
    /// [`Error::RepositoryExists`] where the prefix is taken, [`Error::Hidden`] where one is hidden there.
    pub async fn create(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        key: &NewKey,
        now: jiff::Timestamp,
    ) -> Result<UnlockedRepository> {
        Self::create_with(store, prefix, key, now, None).await
    }

    /// As [`Repository::create`], and what is stored in it can be destroyed only when its lock has ended.
    ///
    /// # Errors
    /// As [`Repository::create`]; [`Error::NoObjectLock`] where the bucket cannot lock.
    pub async fn create_immutable(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        key: &NewKey,
        now: jiff::Timestamp,
        immutability: Immutability,
    ) -> Result<UnlockedRepository> {
        Self::create_with(store, prefix, key, now, Some(immutability)).await
    }

    async fn create_with(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        key: &NewKey,
        now: jiff::Timestamp,
        immutability: Option<Immutability>,
    ) -> Result<UnlockedRepository> {
        let layout = Layout::new(prefix);
        let bucket = Arc::clone(&store);
        match (immutability, store.object_lock().await) {
            (_, Ok(Some(_))) => refuse_hidden(&Store::new(bucket), &layout).await?,
            (Some(_), Ok(None)) => return Err(Error::NoObjectLock),
            (Some(_), Err(source)) => {
                let (doing, object) = ("asking for the Object Lock of", "the bucket".to_owned());
                return Err(Error::Store { doing, object, source: Box::new(source) });
            }
            (None, _) => {}
        }
        let lock = immutability.map(|terms| Lock { terms, clock: Clock::default() });
        let handle = Store::locking(Arc::clone(&store), lock);
        let exists = || Error::RepositoryExists { prefix: layout.prefix().to_owned() };
        if handle.find(ObjectKind::Format, &layout.format()).await?.is_some() {
            return Err(exists());
        }
        let format = Format {
            version: FORMAT_VERSION,
            repository: RepositoryId::from_uuid(uuid::Uuid::now_v7()),
            required_features: Vec::new(),
            optional_features: immutability.map(|_| OBJECT_LOCK.to_owned()).into_iter().collect(),
            created: now,
            object_lock: immutability,
        };
        let master = SecretBytes::new(random::<KEY_LENGTH>()?);
        let repository = Self { raw: store, store: handle.clone(), layout: layout.clone(), format: format.clone() };
        let unlocked = UnlockedRepository { repository, master };
        let key = unlocked.put_key(key).await?;
        let body = json::write(&format)?;
        if handle.put_new(&layout.format(), body.clone()).await? {
            return Ok(unlocked);
        }
        // Taken: by somebody else, or by this very call, if its answer was lost and the store's client repeated it.
        if handle.get(ObjectKind::Format, &layout.format()).await? == body {
            return Ok(unlocked);
        }
        if let Err(error) = handle.delete(&key).await {
            tracing::info!(object = key, error = %error, "a key of a repository that was not created stays behind");
        }
        Err(exists())
    }

    /// Opens a repository, if this program knows all that it requires.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::Unsupported`], [`Error::Damaged`].
    pub async fn open(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self> {
        let layout = Layout::new(prefix);
        let handle = Store::new(Arc::clone(&store));
        let object = layout.format();
        let Some(body) = handle.find(ObjectKind::Format, &object).await? else {
            if matches!(store.object_lock().await, Ok(Some(_))) {
                refuse_hidden(&handle, &layout).await?;
            }
            return Err(Error::NoRepository { prefix: layout.prefix().to_owned() });
        };
        let format = read_format(&object, &body)?;
        let lock = format.object_lock.map(|terms| Lock { terms, clock: Clock::default() });
        Ok(Self { raw: Arc::clone(&store), store: Store::locking(store, lock), layout, format })
    }

    /// The same repository by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        let lock = self.format.object_lock.map(|terms| Lock { terms, clock });
        Self { store: Store::locking(Arc::clone(&self.raw), lock), ..self }
    }

    /// Its immutability, if it has any.
    pub fn immutability(&self) -> Option<Immutability> {
        self.format.object_lock
    }

    /// The repository's id.
    pub fn id(&self) -> &RepositoryId {
        &self.format.repository
    }

    /// Its `format` object.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Where its objects lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Opens the master key with the first key object that `with` fits.
    ///
    /// # Errors
    /// [`Error::NoKeyOpens`] for a wrong passphrase, [`Error::Wrapping`] where the wrapping service fails,
    /// [`Error::Damaged`] where a key object is not readable and no other opens.
    pub async fn unlock(&self, with: &Unlock) -> Result<UnlockedRepository> {
        let mut tried = 0;
        let mut failure = None;
        let keys = self.store.list_all(&self.layout.keys()).await?;
        for object in &keys {
            let opened = async {
                let body = self.store.get(ObjectKind::Key, &object.key).await?;
                let key = KeyObject::parse(&object.key, &body)?;
                if key.repository != *self.id() || !key.suits(with) {
                    return Ok(None);
                }
                tried += 1;
                key.unwrap(with).await
            };
            match opened.await {
                Ok(Some(master)) => return Ok(UnlockedRepository { repository: self.clone(), master }),
                Ok(None) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if keys.is_empty() && self.store.lock().is_some() {
            // Keys that were removed before their locks ended are hidden, too: only where none is left are they told of.
            let hidden = self.store.hidden(&self.layout.keys(), 1).await.unwrap_or_default().into_iter().next();
            let of = |hidden: Hidden| Error::Hidden { kind: ObjectKind::Key, object: hidden.key, since: hidden.since };
            failure = hidden.map(of);
        }
        Err(failure.unwrap_or(Error::NoKeyOpens { tried }))
    }
}

/// Refuses a place where a delete marker hides a repository. Who may not list versions cannot tell.
async fn refuse_hidden(store: &Store, layout: &Layout) -> Result<()> {
    let object = layout.format();
    match store.hides(&object).await {
        Ok(Some(hidden)) => Err(Error::Hidden { kind: ObjectKind::Format, object, since: hidden.since }),
        Ok(None) => Ok(()),
        Err(error) => {
            tracing::debug!(object, %error, "whether it is hidden cannot be told");
            Ok(())
        }
    }
}

/// Reads a `format` object.
pub(crate) fn read_format(object: &str, body: &[u8]) -> Result<Format> {
    #[derive(Deserialize)]
    struct Needs {
        version: u32,
        #[serde(default)]
        required_features: Vec<String>,
    }
    let line = json::verified(ObjectKind::Format, object, body)?;
    let unsupported =
        |needs: String| Err(Error::Unsupported { kind: ObjectKind::Format, object: object.to_owned(), needs });
    let needs: Needs = json::parse(ObjectKind::Format, object, line)?;
    if needs.version != FORMAT_VERSION {
        return unsupported(format!("format version {}", needs.version));
    }
    let unknown: Vec<String> =
        needs.required_features.into_iter().filter(|feature| !KNOWN_FEATURES.contains(&feature.as_str())).collect();
    if !unknown.is_empty() {
        return unsupported(unknown.join(", "));
    }
    json::parse(ObjectKind::Format, object, line)
}

/// A repository with its master key: the coordinator's, never a worker's.
#[derive(Debug, Clone)]
pub struct UnlockedRepository {
    repository: Repository,
    master: SecretBytes,
}

impl UnlockedRepository {
    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(crate) fn master(&self) -> &SecretBytes {
        &self.master
    }

    /// The domains that have a key.
    ///
    /// # Errors
    /// Those of listing.
    pub async fn domains(&self) -> Result<Vec<DomainId>> {
        let mut domains = Vec::new();
        for domain in self.domain_names().await? {
            if self.repository.store.exists(&self.repository.layout.domain(&domain).key()).await? {
                domains.push(domain);
            }
        }
        Ok(domains)
    }

    /// The folders under `domains/` that are named as a domain is, whether or not its key is there.
    ///
    /// # Errors
    /// Those of listing.
    pub async fn domain_names(&self) -> Result<Vec<DomainId>> {
        let prefix = self.repository.layout.domains();
        let mut domains = Vec::new();
        let mut after: Option<String> = None;
        // Skips from one domain to the next instead of listing what is in them.
        loop {
            let (objects, _) = self.repository.store.page(&prefix, after.as_deref()).await?;
            let Some(first) = objects.first() else { return Ok(domains) };
            let name = first.key[prefix.len()..].split('/').next().unwrap_or_default();
            after = Some(format!("{prefix}{name}/~"));
            domains.extend(name.parse::<DomainId>());
        }
    }

    /// The key of a domain, made if there is none and `create` says so. Of several that make it at once one wins, and all
    /// get the winner's.
    ///
    /// # Errors
    /// [`Error::NoDomain`] where there is none and none is to be made, [`Error::Damaged`] where it does not open.
    pub async fn domain_key(&self, domain: &DomainId, create: bool) -> Result<DomainKey> {
        if let Some(key) = self.find_domain_key(domain).await? {
            return Ok(key);
        }
        if !create {
            return Err(Error::NoDomain { domain: domain.clone() });
        }
        let key = DomainKey::generate()?;
        let object = self.repository.layout.domain(domain).key();
        let body = json::write(&DomainKeyObject::wrap(self.repository.id(), domain, &self.master, &key)?)?;
        if self.repository.store.put_new(&object, body).await? {
            return Ok(key);
        }
        self.find_domain_key(domain).await?.ok_or(Error::Missing { kind: ObjectKind::DomainKey, object })
    }

    async fn find_domain_key(&self, domain: &DomainId) -> Result<Option<DomainKey>> {
        let object = self.repository.layout.domain(domain).key();
        let Some(body) = self.repository.store.find(ObjectKind::DomainKey, &object).await? else { return Ok(None) };
        let wrapped = DomainKeyObject::parse(&object, &body)?;
        self.open_domain_key(&object, domain, &wrapped).map(Some)
    }

    pub(crate) fn open_domain_key(&self, object: &str, domain: &DomainId, key: &DomainKeyObject) -> Result<DomainKey> {
        key.unwrap(object, self.repository.id(), domain, &self.master)
    }

    /// Opens a domain that exists.
    ///
    /// # Errors
    /// Those of [`UnlockedRepository::domain_key`] and [`Domain::open`].
    pub async fn domain(&self, domain: &DomainId, config: DomainConfig) -> Result<Domain> {
        let key = self.domain_key(domain, false).await?;
        let config = DomainConfig { immutability: self.repository.immutability(), ..config };
        let Repository { raw, layout, .. } = &self.repository;
        Domain::open(Arc::clone(raw), layout.prefix(), self.repository.id().clone(), domain.clone(), &key, config)
    }
}

#[cfg(test)]
mod tests {
    use haulier_domain::immutability::RetentionMode;

    use super::*;

    #[test]
    fn the_format_object_is_as_it_is_written_down() {
        let plain = r#"{"version":1,"repository":"rep-1","required_features":[],"optional_features":[],"created":"2026-11-27T12:00:00Z"}"#;
        let locked = r#"{"version":1,"repository":"rep-1","required_features":[],"optional_features":["object-lock"],"created":"2026-11-27T12:00:00Z","object_lock":{"mode":"compliance","days":30}}"#;
        for (text, expected) in
            [(plain, None), (locked, Some(Immutability { mode: RetentionMode::Compliance, days: 30 }))]
        {
            let body = format!("{text}\nblake3 {}\n", blake3::hash(text.as_bytes()).to_hex());
            let format = read_format("format", body.as_bytes()).unwrap();
            assert_eq!(format.object_lock, expected);
            assert_eq!(json::write(&format).unwrap(), body);
        }
    }
}
