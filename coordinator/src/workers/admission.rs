//! Whether an EC2 instance is the worker it says it is. Pure: everything that was looked up is passed in.

use haulier_cloud::compute::{Instance, InstanceState};
use haulier_cloud::identity::{CallerIdentity, SignedCall};
use haulier_domain::id::InstallationId;
use jiff::{SignedDuration, Timestamp};

use crate::ledger::{Entry, TAG_EPOCH, TAG_INSTALLATION, TAG_SESSION};
use crate::state::Worker;

/// Header under the signature that binds the call to a certificate request.
const CSR_HEADER: &str = "x-haulier-csr-sha256";
/// The one call that is accepted.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// An instance enrols within minutes of its launch. One that comes later was asleep, or is somebody else's.
const NEWEST: SignedDuration = SignedDuration::from_hours(1);

/// Why a worker is refused. The worker is told nothing of it; the log is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature does not cover this certificate request.
    #[error("the signed identity is not bound to the certificate request")]
    Unbound,
    /// Another call than GetCallerIdentity was signed.
    #[error("the signed call is not GetCallerIdentity")]
    OtherCall,
    /// It was signed for another Region.
    #[error("the identity is signed for Region {0}")]
    OtherRegion(String),
    /// The caller is of another account.
    #[error("the caller belongs to account {0}")]
    OtherAccount(String),
    /// The caller is not the instance's role session.
    #[error("the caller {0} is not that instance")]
    OtherInstance(String),
    /// The instance does not carry the tags of this session and epoch.
    #[error("instance {0} does not carry the tags of this worker")]
    Tags(String),
    /// The instance is not running.
    #[error("instance {0} is not running")]
    NotRunning(String),
    /// The instance was launched at a time that does not fit.
    #[error("instance {0} was not launched for this worker: wrong time")]
    LaunchTime(String),
    /// The ledger knows another instance.
    #[error("the ledger has another instance for this worker than {0}")]
    Ledger(String),
}

/// Whether the signed call is what it should be, before it is sent.
///
/// # Errors
/// Why not.
pub fn signed_call(call: &SignedCall, region: &str, csr_sha256: &str) -> Result<(), Refusal> {
    if call.region != region {
        return Err(Refusal::OtherRegion(call.region.clone()));
    }
    if call.body != BODY {
        return Err(Refusal::OtherCall);
    }
    let is_bound = call.headers.get(CSR_HEADER).is_some_and(|digest| digest == csr_sha256);
    let is_covered = call.headers.get("authorization").is_some_and(|authorization| {
        authorization
            .split(',')
            .filter_map(|part| part.trim().strip_prefix("SignedHeaders="))
            .any(|headers| headers.split(';').any(|header| header == CSR_HEADER))
    });
    if is_bound && is_covered { Ok(()) } else { Err(Refusal::Unbound) }
}

/// Whether the caller is the role session of this instance in this account. Sessions of an instance profile are named
/// after the instance.
///
/// # Errors
/// Why not.
pub fn caller(caller: &CallerIdentity, account: &str, instance_id: &str) -> Result<(), Refusal> {
    if caller.account != account {
        return Err(Refusal::OtherAccount(caller.account.clone()));
    }
    let resource = caller.arn.split(':').nth(5).unwrap_or_default();
    let mut parts = resource.split('/');
    let is_role_session = parts.next() == Some("assumed-role");
    if is_role_session && parts.next_back() == Some(instance_id) {
        Ok(())
    } else {
        Err(Refusal::OtherInstance(caller.arn.clone()))
    }
}

/// Whether the instance is the one that was launched for this worker.
///
/// # Errors
/// Why not.
pub fn instance(
    instance: &Instance,
    worker: &Worker,
    installation: &InstallationId,
    entry: Option<&Entry>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let id = || instance.id.clone();
    let tagged = |key: &str, value: &str| instance.tags.get(key).is_some_and(|tag| tag == value);
    let is_tagged = tagged(TAG_INSTALLATION, installation.as_str())
        && tagged(TAG_SESSION, worker.session.as_str())
        && tagged(TAG_EPOCH, &worker.epoch.to_string());
    if !is_tagged {
        return Err(Refusal::Tags(id()));
    }
    if !matches!(instance.state, InstanceState::Pending | InstanceState::Running) {
        return Err(Refusal::NotRunning(id()));
    }
    let entry = entry.ok_or_else(|| Refusal::Ledger(id()))?;
    if entry.resource_id.as_ref().is_some_and(|recorded| *recorded != instance.id) {
        return Err(Refusal::Ledger(id()));
    }
    // Clocks differ by a little.
    let earliest = entry.intended_at - SignedDuration::from_mins(5);
    let fits = instance.launched_at.is_none_or(|at| at >= earliest && now.duration_since(at) <= NEWEST);
    if fits { Ok(()) } else { Err(Refusal::LaunchTime(id())) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn call(authorization: &str, digest: &str) -> SignedCall {
        let headers = [("authorization", authorization), (CSR_HEADER, digest)];
        let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        SignedCall { region: "eu-central-1".into(), headers, body: BODY.into() }
    }

    #[test]
    fn the_signature_must_cover_the_digest_of_the_request() {
        let covered = "AWS4-HMAC-SHA256 Credential=A/1, SignedHeaders=host;x-haulier-csr-sha256, Signature=0";
        let bare = "AWS4-HMAC-SHA256 Credential=A/1, SignedHeaders=host;x-amz-date, Signature=0";
        assert_eq!(signed_call(&call(covered, "aa"), "eu-central-1", "aa"), Ok(()));
        assert_eq!(signed_call(&call(covered, "bb"), "eu-central-1", "aa"), Err(Refusal::Unbound));
        assert_eq!(signed_call(&call(bare, "aa"), "eu-central-1", "aa"), Err(Refusal::Unbound));
        let mut other = call(covered, "aa");
        other.body = "Action=AssumeRole&Version=2011-06-15".into();
        assert_eq!(signed_call(&other, "eu-central-1", "aa"), Err(Refusal::OtherCall));
        assert!(signed_call(&call(covered, "aa"), "us-east-1", "aa").is_err());
    }

    #[test]
    fn the_caller_must_be_the_role_session_of_the_instance() {
        let who = |account: &str, arn: &str| CallerIdentity {
            account: account.into(),
            arn: arn.into(),
            user_id: String::new(),
        };
        let arn = "arn:aws:sts::111122223333:assumed-role/haulier-worker/i-1";
        assert_eq!(caller(&who("111122223333", arn), "111122223333", "i-1"), Ok(()));
        assert!(caller(&who("111122223333", arn), "111122223333", "i-2").is_err());
        assert!(caller(&who("999900001111", arn), "111122223333", "i-1").is_err());
        assert!(caller(&who("111122223333", "arn:aws:iam::111122223333:user/i-1"), "111122223333", "i-1").is_err());
    }
}
