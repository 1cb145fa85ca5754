//! Credentials of one session: a role session cut down by an inline policy, and the key of one repository domain. They are
//! made when they are needed, sent over the stream, and kept nowhere.

use haulier_cloud::identity::AssumeRole;
use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, WorkerId};
use haulier_domain::secret::SecretBytes;
use haulier_proto::worker::v1 as wire;
use jiff::{SignedDuration, Timestamp};

use super::{DomainGrant, Grant};
use crate::failures;
use crate::services::Services;
use crate::state::StateError;

/// Role chaining lasts an hour at most.
const LIFE_SECONDS: u32 = 3600;
/// They are replaced when so much of their life is left.
const MARGIN: SignedDuration = SignedDuration::from_mins(20);

/// Makes credentials for a worker.
///
/// # Errors
/// A failure as an operator reads it.
pub async fn mint(services: &Services, grant: &Grant, worker: &WorkerId) -> Result<wire::Credentials, Failure> {
    let what = format!("assuming {} for worker {worker}", grant.role_arn);
    let request = AssumeRole {
        role_arn: grant.role_arn.clone(),
        session_name: worker.to_string(),
        external_id: None,
        policy: Some(grant.policy.clone()),
        duration_seconds: LIFE_SECONDS,
    };
    let assumed = async { services.cloud.identity(&grant.account).await?.assume(&request).await };
    let session = assumed.await.map_err(|error| failures::cloud(&what, &error))?;
    let key = domain_key(services, &grant.repository, &grant.domain, &what).await?;
    let target = match &grant.target {
        Some(DomainGrant { repository, domain }) => Some(domain_key(services, repository, domain, &what).await?),
        None => None,
    };
    Ok(wire::Credentials {
        access_key_id: session.access_key_id,
        secret_access_key: session.secret_access_key.expose().to_owned(),
        session_token: session.session_token.expose().to_owned(),
        expires_at: Some(haulier_proto::to_timestamp(session.expires_at)),
        domain_key: key.expose().to_vec(),
        target_domain_key: target.map(|key| key.expose().to_vec()).unwrap_or_default(),
    })
}

async fn domain_key(
    services: &Services,
    repository: &str,
    domain: &DomainId,
    what: &str,
) -> Result<SecretBytes, Failure> {
    match services.state.repository(repository).await {
        Ok(repository) => services.vaults.domain_key(&repository, domain).await,
        Err(error @ StateError::Missing { .. }) => {
            Err(Failure::new("repository-missing", what, error.to_string(), "create the repository"))
        }
        Err(error) => Err(failures::state(what, &error)),
    }
}

/// When to replace credentials that end at this time: well before, but not at once where they are short-lived.
pub fn refresh_at(now: Timestamp, expires_at: Timestamp) -> Timestamp {
    let life = expires_at.duration_since(now);
    now.saturating_add((life - MARGIN).max(life / 2)).unwrap_or(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_replaced_before_they_end() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let at = |life: i64| refresh_at(now, now + SignedDuration::from_mins(life)).duration_since(now).as_secs() / 60;
        assert_eq!(at(60), 40);
        assert_eq!(at(15), 7);
        assert_eq!(at(0), 0);
    }
}
