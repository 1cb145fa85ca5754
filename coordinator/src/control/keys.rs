//! What opens a repository: list, add, remove, rotate.

use haulier_domain::policy::Arn;
use haulier_domain::secret::SecretString;
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::add_repository_key_request::Key as Added;
use haulier_proto::control::v1::rotate_repository_key_request::Key as Rotated;
use haulier_proto::to_timestamp;
use tonic::Status;

use super::status;
use crate::repositories::{KeyChange, KeyChanged, NewRepositoryKey, StoredKey, described};
use crate::sessions::Sessions;
use crate::state::{KeyKind, Repository};

/// The shortest passphrase that is taken.
const SHORTEST: usize = 12;

async fn repository(sessions: &Sessions, name: &str, what: &str) -> Result<Repository, Status> {
    sessions.state().repository(name).await.map_err(|error| status::of_state(what, &error))
}

async fn change(sessions: &Sessions, repository: &Repository, change: KeyChange) -> Result<KeyChanged, Status> {
    let changed = sessions.services().vaults.change_key(repository, change).await;
    changed.map_err(|failure| status::of_failure(&failure))
}

/// All keys of a repository.
pub(super) async fn list(
    sessions: &Sessions,
    request: wire::ListRepositoryKeysRequest,
) -> Result<wire::ListRepositoryKeysResponse, Status> {
    let what = format!("listing the keys of repository {}", request.name);
    let repository = repository(sessions, &request.name, &what).await?;
    let keys = sessions.services().vaults.keys(&repository).await.map_err(|failure| status::of_failure(&failure))?;
    Ok(wire::ListRepositoryKeysResponse { keys: keys.into_iter().map(key).collect() })
}

fn key(StoredKey { info, in_use }: StoredKey) -> wire::RepositoryKey {
    let (kind, detail) = described(&info);
    wire::RepositoryKey {
        kind: kind.to_owned(),
        detail,
        created_at: Some(to_timestamp(info.created)),
        id: info.id,
        in_use,
    }
}

/// Adds a key.
pub(super) async fn add(
    sessions: &Sessions,
    request: wire::AddRepositoryKeyRequest,
) -> Result<wire::AddRepositoryKeyResponse, Status> {
    let what = format!("adding a key to repository {}", request.name);
    let key = match request.key {
        Some(Added::KmsKeyArn(arn)) => NewRepositoryKey::Named(KeyKind::Kms, arn),
        Some(Added::PassphraseSecretArn(arn)) => NewRepositoryKey::Named(KeyKind::Passphrase, arn),
        Some(Added::Passphrase(text)) if text.chars().count() < SHORTEST => {
            let cause = format!("the passphrase has fewer than {SHORTEST} characters");
            return Err(status::invalid(&what, cause, "use a longer one"));
        }
        Some(Added::Passphrase(text)) => NewRepositoryKey::Passphrase(SecretString::new(text)),
        None => return Err(status::invalid(&what, "no key is named", "name a KMS key, a secret or a passphrase")),
    };
    if let NewRepositoryKey::Named(kind, arn) = &key {
        well_formed(&what, *kind, arn)?;
    }
    let repository = repository(sessions, &request.name, &what).await?;
    let id = change(sessions, &repository, KeyChange::Add(key)).await?.ids.into_iter().next().unwrap_or_default();
    tracing::info!(repository = repository.name, key = id, "added a key");
    Ok(wire::AddRepositoryKeyResponse { id })
}

/// Removes a key. One that is gone already is as good as removed.
pub(super) async fn remove(
    sessions: &Sessions,
    request: wire::RemoveRepositoryKeyRequest,
) -> Result<wire::RemoveRepositoryKeyResponse, Status> {
    let what = format!("removing a key of repository {}", request.name);
    let repository = repository(sessions, &request.name, &what).await?;
    let removed = change(sessions, &repository, KeyChange::Remove(request.id.clone())).await?;
    tracing::info!(repository = repository.name, key = request.id, "removed a key");
    Ok(wire::RemoveRepositoryKeyResponse { locked_until: removed.locked_until.map(to_timestamp) })
}

/// Replaces what the coordinator opens the repository with. The new key is stored first, then written down, and only then
/// the former one goes: stopped anywhere, the repository opens with what is written down.
pub(super) async fn rotate(
    sessions: &Sessions,
    request: wire::RotateRepositoryKeyRequest,
) -> Result<wire::RotateRepositoryKeyResponse, Status> {
    let what = format!("replacing the key of repository {}", request.name);
    let stored = repository(sessions, &request.name, &what).await?;
    let former = (stored.key_kind, stored.key_arn.clone());
    let (kind, arn) = match request.key {
        Some(Rotated::KmsKeyArn(arn)) => (KeyKind::Kms, arn),
        Some(Rotated::PassphraseSecretArn(arn)) => (KeyKind::Passphrase, arn),
        None => former.clone(),
    };
    well_formed(&what, kind, &arn)?;
    if !request.open_with_passphrase.is_empty() {
        let passphrase = SecretString::new(request.open_with_passphrase);
        let opened = sessions.services().vaults.open_with(&stored, &passphrase).await;
        opened.map_err(|failure| status::of_failure(&failure))?;
    }
    let added = change(sessions, &stored, KeyChange::Add(NewRepositoryKey::Named(kind, arn.clone()))).await?;
    let id = added.ids.into_iter().next().unwrap_or_default();
    let written = sessions.state().set_repository_key(&stored.name, kind, &arn).await;
    written.map_err(|error| status::of_state(&what, &error))?;
    let now = Repository { key_kind: kind, key_arn: arn, ..stored };
    let retired = change(sessions, &now, KeyChange::Retire { former, successor: id.clone() }).await?;
    tracing::info!(repository = now.name, key = id, removed = retired.ids.len(), "rotated the key");
    let KeyChanged { ids: removed, locked_until } = retired;
    Ok(wire::RotateRepositoryKeyResponse { id, removed, locked_until: locked_until.map(to_timestamp) })
}

fn well_formed(what: &str, kind: KeyKind, arn: &str) -> Result<(), Status> {
    let parsed = arn.parse::<Arn>();
    let fits = match kind {
        KeyKind::Kms => parsed.is_ok_and(|arn| arn.service == "kms"),
        KeyKind::Passphrase => parsed.is_ok_and(|arn| arn.is_secret()),
    };
    if fits {
        return Ok(());
    }
    let remedy = "write arn:aws:kms:… for a key, arn:aws:secretsmanager:… for a passphrase";
    Err(status::invalid(what, "the key is not an ARN of its kind", remedy))
}
