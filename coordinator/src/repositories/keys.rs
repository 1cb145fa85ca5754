//! Keys of repositories: what opens them beside, or instead of, what the coordinator uses.

use haulier_domain::failure::Failure;
use haulier_domain::secret::SecretString;
use haulier_repository::{Error, KeyInfo, KeyInfoKind, NewKey, PassphraseCost, Removal, UnlockedRepository};
use jiff::Timestamp;

use super::vault::{Opener, RepositoryVaults};
use crate::failures;
use crate::state::{KeyKind, Repository};

/// A key object of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// What is known of it without opening it.
    pub info: KeyInfo,
    /// Whether the coordinator opens the repository with it.
    pub in_use: bool,
}

/// Something that is to open a repository.
#[derive(Debug, Clone)]
pub enum NewRepositoryKey {
    /// A KMS key, or a secret with a passphrase, by ARN.
    Named(KeyKind, String),
    /// A passphrase that the operator keeps.
    Passphrase(SecretString),
}

/// A change to what opens a repository.
#[derive(Debug, Clone)]
pub enum KeyChange {
    /// Another way in.
    Add(NewRepositoryKey),
    /// One way less.
    Remove(String),
    /// What the repository was opened with goes, after something else has taken its place.
    Retire {
        /// What it was opened with.
        former: (KeyKind, String),
        /// The id that has taken its place.
        successor: String,
    },
}

/// What a change came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChanged {
    /// Ids of the keys that came or went.
    pub ids: Vec<String>,
    /// Where the repository is immutable: until when the last of those that went is only out of sight.
    pub locked_until: Option<Timestamp>,
}

impl RepositoryVaults {
    pub(super) async fn stored_keys(&self, repository: &Repository) -> Result<Vec<StoredKey>, Failure> {
        let what = format!("listing the keys of repository {}", repository.name);
        let failed = |error: Error| failures::repository(&what, &error);
        let unlocked = self.unlock(repository).await?;
        let opener = self.opener(&what, repository.key_kind, &repository.key_arn).await?;
        let used = unlocked.keys_of(&opener.unlock()).await.map_err(failed)?;
        let keys = unlocked.repository().keys().await.map_err(failed)?;
        Ok(keys.into_iter().map(|info| StoredKey { in_use: used.contains(&info.id), info }).collect())
    }

    pub(super) async fn change(&self, repository: &Repository, change: KeyChange) -> Result<KeyChanged, Failure> {
        let mut changed = KeyChanged::default();
        match change {
            KeyChange::Add(key) => {
                let what = format!("adding a key to repository {}", repository.name);
                let unlocked = self.unlock(repository).await?;
                let key = self.wrapping(&what, key).await?;
                let id = unlocked.add_key(&key).await.map_err(|error| failures::repository(&what, &error))?;
                changed.ids.push(id);
            }
            KeyChange::Remove(id) => {
                let what = format!("removing key {id} of repository {}", repository.name);
                let unlocked = self.unlock(repository).await?;
                let keep = self.opener(&what, repository.key_kind, &repository.key_arn).await?;
                changed.note(id.clone(), remove(&unlocked, &what, &id, &keep).await?);
            }
            KeyChange::Retire { former: (kind, arn), successor } => {
                let what = format!("removing the former key of repository {}", repository.name);
                let unlocked = self.unlock(repository).await?;
                let former = match self.opener(&what, kind, &arn).await {
                    Ok(former) => former,
                    // A secret that is lost: which keys it opened cannot be told any more.
                    Err(failure) => {
                        tracing::warn!(%failure, "the former key of a repository stays: what it was is not to be had");
                        return Ok(changed);
                    }
                };
                let keep = self.opener(&what, repository.key_kind, &repository.key_arn).await?;
                let outdated = unlocked.keys_of(&former.unlock()).await;
                let outdated = outdated.map_err(|error| failures::repository(&what, &error))?;
                for id in outdated.into_iter().filter(|id| *id != successor) {
                    changed.note(id.clone(), remove(&unlocked, &what, &id, &keep).await?);
                }
            }
        }
        Ok(changed)
    }

    async fn wrapping(&self, what: &str, key: NewRepositoryKey) -> Result<NewKey, Failure> {
        match key {
            NewRepositoryKey::Named(kind, arn) => Ok(self.opener(what, kind, &arn).await?.new_key()),
            NewRepositoryKey::Passphrase(passphrase) => Ok(NewKey::Passphrase(passphrase, PassphraseCost::default())),
        }
    }
}

impl KeyChanged {
    fn note(&mut self, id: String, removal: Removal) {
        match removal {
            Removal::Absent => return,
            Removal::Done => {}
            Removal::Hidden(until) => self.locked_until = self.locked_until.max(Some(until)),
        }
        self.ids.push(id);
    }
}

async fn remove(unlocked: &UnlockedRepository, what: &str, id: &str, keep: &Opener) -> Result<Removal, Failure> {
    match unlocked.remove_key(id, &keep.unlock()).await {
        Err(error @ Error::LastKey { .. }) => Err(Failure::new(
            "repository-key-last",
            what,
            error.to_string(),
            "the coordinator opens the repository with it: replace it with `haulier repository key rotate`",
        )),
        Err(error @ Error::Invalid(_)) => {
            Err(Failure::new("repository-key-unknown", what, error.to_string(), "see `haulier repository key list`"))
        }
        removed => removed.map_err(|error| failures::repository(what, &error)),
    }
}

/// How a key wraps, as a word, and what is to be said of it.
pub(crate) fn described(info: &KeyInfo) -> (&'static str, String) {
    match &info.kind {
        KeyInfoKind::Passphrase(_) => ("passphrase", String::new()),
        KeyInfoKind::Wrapper(name) => ("kms", name.clone()),
        KeyInfoKind::Unusable(why) => ("unusable", why.clone()),
    }
}
