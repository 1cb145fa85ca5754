//! Keys of repositories: what opens them beside, or instead of, what the coordinator uses.

use haulier_domain::failure::Failure;
use haulier_domain::secret::SecretString;
use haulier_repository::{Error, KeyInfo, KeyInfoKind, NewKey, PassphraseCost, UnlockedRepository};

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
    /// Another way in. Gives its id.
    Add(NewRepositoryKey),
    /// One way less. Gives its id, or nothing where there is none.
    Remove(String),
    /// What the repository was opened with goes, after something else has taken its place. Gives the ids that went.
    Retire {
        /// What it was opened with.
        former: (KeyKind, String),
        /// The id that has taken its place.
        successor: String,
    },
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

    pub(super) async fn change(&self, repository: &Repository, change: KeyChange) -> Result<Vec<String>, Failure> {
        match change {
            KeyChange::Add(key) => {
                let what = format!("adding a key to repository {}", repository.name);
                let unlocked = self.unlock(repository).await?;
                let key = self.wrapping(&what, key).await?;
                let id = unlocked.add_key(&key).await.map_err(|error| failures::repository(&what, &error))?;
                Ok(vec![id])
            }
            KeyChange::Remove(id) => {
                let what = format!("removing key {id} of repository {}", repository.name);
                let unlocked = self.unlock(repository).await?;
                let keep = self.opener(&what, repository.key_kind, &repository.key_arn).await?;
                let removed = remove(&unlocked, &what, &id, &keep).await?;
                Ok(removed.then_some(id).into_iter().collect())
            }
            KeyChange::Retire { former: (kind, arn), successor } => {
                let what = format!("removing the former key of repository {}", repository.name);
                let unlocked = self.unlock(repository).await?;
                let former = self.opener(&what, kind, &arn).await?;
                let keep = self.opener(&what, repository.key_kind, &repository.key_arn).await?;
                let outdated = unlocked.keys_of(&former.unlock()).await;
                let outdated = outdated.map_err(|error| failures::repository(&what, &error))?;
                let mut removed = Vec::new();
                for id in outdated.into_iter().filter(|id| *id != successor) {
                    if remove(&unlocked, &what, &id, &keep).await? {
                        removed.push(id);
                    }
                }
                Ok(removed)
            }
        }
    }

    async fn wrapping(&self, what: &str, key: NewRepositoryKey) -> Result<NewKey, Failure> {
        match key {
            NewRepositoryKey::Named(kind, arn) => Ok(self.opener(what, kind, &arn).await?.new_key()),
            NewRepositoryKey::Passphrase(passphrase) => Ok(NewKey::Passphrase(passphrase, PassphraseCost::default())),
        }
    }
}

async fn remove(unlocked: &UnlockedRepository, what: &str, id: &str, keep: &Opener) -> Result<bool, Failure> {
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
