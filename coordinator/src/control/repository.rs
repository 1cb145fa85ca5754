//! Making a repository, or taking up one that is there.

use haulier_cloud::object_lock::Hidden;
use haulier_domain::failure::Failure;
use haulier_domain::immutability::Immutability;
use haulier_domain::policy::{Arn, is_region, is_resource_name};
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::RepositoryOutcome;
use haulier_proto::control::v1::create_repository_request::Key;
use haulier_proto::status::refusal;
use haulier_proto::to_timestamp;
use haulier_repository::Undelete;
use jiff::Timestamp;
use tonic::{Code, Status};

use super::status;
use crate::repositories::{Had, NewRepository};
use crate::sessions::Sessions;
use crate::state::{KeyKind, Repository, StateError};

/// Makes the repository, or adopts the one that lies there under the same key. Repeating the request changes nothing.
pub(super) async fn create(
    sessions: &Sessions,
    request: wire::CreateRepositoryRequest,
) -> Result<(Repository, RepositoryOutcome), Status> {
    let what = format!("creating the repository {}", request.name);
    let new = read(&what, request)?;
    if let Some(known) = known(sessions, &new, &what).await? {
        return Ok((known, RepositoryOutcome::Unchanged));
    }
    let had = sessions.services().vaults.create(&new).await.map_err(|failure| status::of_failure(&failure))?;
    let adopted = had.adopted;
    let stored = add(sessions, new, had, &what).await?;
    tracing::info!(repository = stored.name, id = %stored.id, bucket = stored.bucket, adopted, "added a repository");
    Ok((stored, if adopted { RepositoryOutcome::Adopted } else { RepositoryOutcome::Created }))
}

/// The repository that lies there already, added to this installation where it is new to it. None is made.
pub(super) async fn open(sessions: &Sessions, request: wire::CreateRepositoryRequest) -> Result<Repository, Status> {
    let what = format!("opening the repository {}", request.name);
    if request == (wire::CreateRepositoryRequest { name: request.name.clone(), ..Default::default() }) {
        let known = sessions.state().repository(&request.name).await;
        return known.map_err(|error| match error {
            StateError::Missing { .. } => {
                let cause = format!("this installation has no repository {:?}", request.name);
                let remedy = "say where it lies and what opens it: --bucket, --region, --prefix, and its key";
                refusal(Code::NotFound, &Failure::new("repository-unknown", &what, cause, remedy))
            }
            error => status::of_state(&what, &error),
        });
    }
    let new = read(&what, request)?;
    if let Some(known) = known(sessions, &new, &what).await? {
        return Ok(known);
    }
    let had = sessions.services().vaults.open(&new).await.map_err(|failure| status::of_failure(&failure))?;
    let stored = add(sessions, new, had, &what).await?;
    tracing::info!(repository = stored.name, id = %stored.id, bucket = stored.bucket, "added a repository that was there");
    Ok(stored)
}

/// The repository of that name, if it is the one that is meant.
async fn known(sessions: &Sessions, new: &NewRepository, what: &str) -> Result<Option<Repository>, Status> {
    match sessions.state().repository(&new.name).await {
        Ok(known) if is_same(&known, new) => Ok(Some(known)),
        Ok(known) => {
            let Repository { bucket, prefix, region, key_arn, immutability, .. } = known;
            let locked = immutability.map_or_else(String::new, |terms| format!(", immutable ({terms})"));
            let cause = format!(
                "there is one of that name in bucket {bucket}, prefix {prefix:?}, {region}, under {key_arn}{locked}"
            );
            let failure = Failure::new("repository-name-taken", what, cause, "choose another name");
            Err(refusal(Code::AlreadyExists, &failure))
        }
        Err(StateError::Missing { .. }) => Ok(None),
        Err(error) => Err(status::of_state(what, &error)),
    }
}

/// Writes a repository down, and gives it as it is stored, so that a repeated request is answered alike.
async fn add(sessions: &Sessions, new: NewRepository, had: Had, what: &str) -> Result<Repository, Status> {
    let Had { id, immutability, .. } = had;
    let repository = Repository {
        name: new.name,
        id,
        bucket: new.bucket,
        region: new.region,
        prefix: new.prefix,
        key_kind: new.key_kind,
        key_arn: new.key_arn,
        created_at: Timestamp::now(),
        immutability,
    };
    let state = sessions.state();
    state.add_repository(&repository).await.map_err(|error| status::of_state(what, &error))?;
    state.repository(&repository.name).await.map_err(|error| status::of_state(what, &error))
}

/// Brings back what delete markers hide.
pub(super) async fn undelete(
    sessions: &Sessions,
    request: wire::UndeleteRepositoryRequest,
) -> Result<wire::UndeleteRepositoryResponse, Status> {
    let wire::UndeleteRepositoryRequest { name, all, dry_run } = request;
    let what = format!("bringing back what is hidden in repository {name}");
    let repository = sessions.state().repository(&name).await.map_err(|error| status::of_state(&what, &error))?;
    let hidden = sessions.services().vaults.undelete(&repository, Undelete { all, dry_run }).await;
    let hidden = hidden.map_err(|failure| status::of_failure(&failure))?;
    if !dry_run && !hidden.is_empty() {
        tracing::warn!(repository = name, objects = hidden.len(), "brought back objects that were hidden");
    }
    let object =
        |Hidden { key, size, since }| wire::HiddenObject { key, size, hidden_since: Some(to_timestamp(since)) };
    Ok(wire::UndeleteRepositoryResponse { objects: hidden.into_iter().map(object).collect() })
}

fn is_same(known: &Repository, new: &NewRepository) -> bool {
    let immutable = new.immutability.is_none() || new.immutability == known.immutability;
    immutable
        && (&known.bucket, &known.region, &known.prefix, known.key_kind, &known.key_arn)
            == (&new.bucket, &new.region, &new.prefix, new.key_kind, &new.key_arn)
}

fn read(what: &str, request: wire::CreateRepositoryRequest) -> Result<NewRepository, Status> {
    if !is_resource_name(&request.name) {
        let remedy = "use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends";
        return Err(status::invalid(what, format!("{:?} is not a name", request.name), remedy));
    }
    if request.bucket.is_empty() || request.bucket.contains('/') {
        let cause = format!("{:?} is not a bucket", request.bucket);
        return Err(status::invalid(what, cause, "name the bucket alone, and what follows it as the prefix"));
    }
    if !is_region(&request.region) {
        let cause = format!("{:?} is not a Region", request.region);
        return Err(status::invalid(what, cause, "write it as in eu-central-1"));
    }
    let prefix = request.prefix.trim_matches('/').to_owned();
    if prefix.split('/').any(|part| part == "." || part == "..") {
        return Err(status::invalid(what, format!("{prefix:?} is not a prefix"), "leave out '.' and '..'"));
    }
    let (key_kind, key_arn) = match request.key {
        Some(Key::KmsKeyArn(arn)) if arn.parse::<Arn>().is_ok_and(|arn| arn.service == "kms") => (KeyKind::Kms, arn),
        Some(Key::PassphraseSecretArn(arn)) if arn.parse::<Arn>().is_ok_and(|arn| arn.is_secret()) => {
            (KeyKind::Passphrase, arn)
        }
        Some(_) => {
            let remedy = "write arn:aws:kms:… for a key, arn:aws:secretsmanager:… for a passphrase";
            return Err(status::invalid(what, "the key is not an ARN of its kind", remedy));
        }
        None => return Err(status::invalid(what, "no key is named", "name a KMS key or the secret of a passphrase")),
    };
    let immutability = request.immutability.map(Immutability::try_from).transpose().map_err(|error| {
        let remedy = "write governance or compliance, and 1 to 36500 days";
        status::invalid(what, error.to_string(), remedy)
    })?;
    let wire::CreateRepositoryRequest { name, bucket, region, .. } = request;
    Ok(NewRepository { name, bucket, region, prefix, key_kind, key_arn, immutability })
}
