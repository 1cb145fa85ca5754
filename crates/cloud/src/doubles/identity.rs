//! STS in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use haulier_domain::secret::SecretString;
use jiff::{SignedDuration, Timestamp};

use super::errors::refused;
use crate::error::{ErrorKind, Result};
use crate::identity::{AssumeRole, CallerIdentity, Identity, SessionCredentials, SignedCall};

/// Header that ties a signed call to a certificate request.
const CSR_HEADER: &str = "x-haulier-csr-sha256";

/// STS in memory. Roles exist from the moment somebody assumes them.
#[derive(Debug)]
pub struct MemoryIdentity {
    caller: CallerIdentity,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    assumed: Vec<AssumeRole>,
    denied: Vec<String>,
}

impl MemoryIdentity {
    /// STS of an account, asked by its coordinator.
    pub fn new(account: &str) -> Self {
        let caller = CallerIdentity {
            account: account.to_owned(),
            arn: format!("arn:aws:sts::{account}:assumed-role/haulier-coordinator/coordinator"),
            user_id: "AROAEXAMPLE:coordinator".to_owned(),
        };
        Self { caller, state: Mutex::default() }
    }

    /// Every role that was assumed, in order.
    pub fn assumed(&self) -> Vec<AssumeRole> {
        self.lock().assumed.clone()
    }

    /// Refuses every later `AssumeRole` of the role.
    pub fn deny(&self, role_arn: impl Into<String>) {
        self.lock().denied.push(role_arn.into());
    }

    /// What an instance with this profile would sign: [`Identity::verify`] of this double understands it, and refuses it
    /// once anything in it has been changed.
    pub fn sign(region: &str, account: &str, role: &str, instance_id: &str, csr_sha256: &str) -> SignedCall {
        let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{instance_id}");
        let headers = BTreeMap::from([
            (
                "authorization".to_owned(),
                format!("Double {arn} {csr_sha256} {region}, SignedHeaders=host;{CSR_HEADER}"),
            ),
            ("host".to_owned(), host(region)),
            (CSR_HEADER.to_owned(), csr_sha256.to_owned()),
        ]);
        SignedCall {
            region: region.to_owned(),
            headers,
            body: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn host(region: &str) -> String {
    format!("sts.{region}.amazonaws.com")
}

/// Account and session name of an assumed role's ARN.
fn parts_of(arn: &str) -> Option<(&str, &str)> {
    let account = arn.split(':').nth(4)?;
    let session = arn.rsplit('/').next()?;
    Some((account, session))
}

#[async_trait]
impl Identity for MemoryIdentity {
    async fn caller(&self) -> Result<CallerIdentity> {
        Ok(self.caller.clone())
    }

    async fn assume(&self, request: &AssumeRole) -> Result<SessionCredentials> {
        let mut state = self.lock();
        if state.denied.contains(&request.role_arn) {
            let message = "not authorized to perform sts:AssumeRole";
            return Err(refused("AssumeRole", &request.role_arn, ErrorKind::Denied, "AccessDenied", message));
        }
        let too_long = request.policy.as_ref().is_some_and(|policy| policy.len() > 2_048);
        if too_long || !(900..=43_200).contains(&request.duration_seconds) {
            let message = "policy of at most 2048 characters, duration of 900 to 43200 seconds";
            return Err(refused("AssumeRole", &request.role_arn, ErrorKind::Invalid, "ValidationError", message));
        }
        state.assumed.push(request.clone());
        let number = state.assumed.len();
        Ok(SessionCredentials {
            access_key_id: format!("ASIADOUBLE{number:06}"),
            secret_access_key: SecretString::new(format!("double-secret-{number}")),
            session_token: SecretString::new(format!("double-token-{number}")),
            expires_at: Timestamp::now() + SignedDuration::from_secs(i64::from(request.duration_seconds)),
        })
    }

    async fn verify(&self, call: &SignedCall) -> Result<CallerIdentity> {
        let header = |name: &str| call.headers.get(name).map(String::as_str).unwrap_or_default();
        if header("host") != host(&call.region) {
            let message = "the call is addressed to another host than STS of its Region";
            return Err(refused("GetCallerIdentity", &call.region, ErrorKind::Invalid, "InvalidHost", message));
        }
        let signed = header("authorization").split(", ").next().unwrap_or_default();
        let signed: Vec<&str> = signed.split(' ').collect();
        let identity = match signed[..] {
            ["Double", arn, csr, region] if csr == header(CSR_HEADER) && region == call.region => {
                parts_of(arn).map(|(account, session)| CallerIdentity {
                    account: account.to_owned(),
                    arn: arn.to_owned(),
                    user_id: format!("AROAEXAMPLE:{session}"),
                })
            }
            _ => None,
        };
        identity.ok_or_else(|| {
            let message = "the signature does not match";
            refused("GetCallerIdentity", &call.region, ErrorKind::Denied, "SignatureDoesNotMatch", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> AssumeRole {
        AssumeRole {
            role_arn: "arn:aws:iam::111122223333:role/x".into(),
            session_name: "ses-1".into(),
            external_id: None,
            policy: None,
            duration_seconds: 900,
        }
    }

    #[tokio::test]
    async fn assumed_roles_are_recorded_and_may_be_denied() {
        let identity = MemoryIdentity::new("111122223333");
        identity.assume(&role()).await.unwrap();
        assert_eq!(identity.assumed(), [role()]);
        identity.deny(role().role_arn);
        assert_eq!(identity.assume(&role()).await.unwrap_err().kind, ErrorKind::Denied);
    }

    #[tokio::test]
    async fn a_signed_call_names_its_instance_until_it_is_changed() {
        let identity = MemoryIdentity::new("111122223333");
        let call = MemoryIdentity::sign("eu-central-1", "111122223333", "haulier-worker", "i-1", "abc");
        assert_eq!(
            identity.verify(&call).await.unwrap().arn,
            "arn:aws:sts::111122223333:assumed-role/haulier-worker/i-1"
        );
        let mut other = call.clone();
        other.headers.insert(CSR_HEADER.into(), "def".into());
        assert_eq!(identity.verify(&other).await.unwrap_err().kind, ErrorKind::Denied);
        let mut elsewhere = call;
        elsewhere.headers.insert("host".into(), "example.com".into());
        assert_eq!(identity.verify(&elsewhere).await.unwrap_err().kind, ErrorKind::Invalid);
    }
}
