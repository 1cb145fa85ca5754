//! Who stands behind an access key: one store that the front, S3 and the metadata service share.
//!
//! STS and S3 must agree on session credentials, so both ask here. Role policies are looked up at each request and not
//! copied into the credential: a `PutRolePolicy` holds for sessions that are open already, as on AWS.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use rand::RngExt;

use crate::iam::{Permissions, Policy};

/// What a key opens, as of now.
#[derive(Clone)]
pub struct Credential {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The secret that requests are signed with.
    pub secret_access_key: String,
    /// Must come with every request signed by a temporary key.
    pub session_token: Option<String>,
    /// ARN of the caller, `arn:aws:sts::…:assumed-role/<role>/<session>`.
    pub principal: String,
    /// `UserId` as GetCallerIdentity gives it.
    pub user_id: String,
    /// What the caller may do.
    pub permissions: Permissions,
    /// ARN of the resource for which a service of AWS's acts; only services have it.
    pub source_arn: Option<String>,
    /// After this instant the key is dead.
    pub expires: Option<Timestamp>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("access_key_id", &self.access_key_id)
            .field("principal", &self.principal)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why a key opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Never given out, or its session was ended (`InvalidClientTokenId`, for S3 `InvalidAccessKeyId`).
    #[error("the access key is not known")]
    Unknown,
    /// Its time is over (`ExpiredToken`).
    #[error("the security token included in the request is expired")]
    Expired,
    /// A temporary key without its token, or with another's (`InvalidClientTokenId`, for S3 `InvalidToken`).
    #[error("the security token included in the request is invalid")]
    Token,
}

/// What the store keeps of an IAM role.
#[derive(Debug, Clone)]
pub struct Role {
    /// `arn:aws:iam::<account>:role/<name>`.
    pub arn: String,
    /// `AROA…`.
    pub role_id: String,
    /// Who may assume it.
    pub trust: Policy,
    /// Inline and attached policies by name.
    pub policies: BTreeMap<String, Policy>,
}

/// A session of a role, to be given out.
#[derive(Debug, Clone)]
pub struct Session {
    /// Name of the role.
    pub role: String,
    /// `RoleSessionName`, or the instance id for an instance profile.
    pub name: String,
    /// Inline session policy.
    pub policy: Option<Policy>,
    /// End of its life.
    pub expires: Timestamp,
}

enum Holder {
    Root,
    Session(Session),
    Service(Service),
}

/// A service of AWS's that acts for a resource of the account. It may do what resource policies let it do.
#[derive(Debug, Clone)]
pub struct Service {
    /// `backups.rds.amazonaws.com`.
    pub name: String,
    /// ARN of the resource.
    pub source_arn: String,
    /// End of its key's life.
    pub expires: Timestamp,
}

struct Entry {
    secret_access_key: String,
    session_token: Option<String>,
    holder: Holder,
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, Entry>,
    roles: BTreeMap<String, Role>,
}

/// Every key of the local cloud's one account.
pub struct CredentialStore {
    account: String,
    state: RwLock<State>,
}

impl fmt::Debug for CredentialStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CredentialStore").field("account", &self.account).finish_non_exhaustive()
    }
}

impl CredentialStore {
    /// An empty store for an account.
    #[must_use]
    pub fn new(account: &str) -> Self {
        Self { account: account.to_owned(), state: RwLock::default() }
    }

    /// The account's twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Gives out a key of the account's root.
    pub fn issue_root(&self) -> Credential {
        let access_key_id = format!("AKIA{}", random(BASE32, 16));
        let secret_access_key = random(BASE62, 40);
        self.write().keys.insert(
            access_key_id.clone(),
            Entry { secret_access_key: secret_access_key.clone(), session_token: None, holder: Holder::Root },
        );
        Credential {
            access_key_id,
            secret_access_key,
            session_token: None,
            principal: format!("arn:aws:iam::{}:root", self.account),
            user_id: self.account.clone(),
            permissions: Permissions::Root,
            source_arn: None,
            expires: None,
        }
    }

    /// Gives out temporary credentials of a role; `None` where the role does not exist.
    pub fn issue_session(&self, session: Session) -> Option<Credential> {
        let access_key_id = format!("ASIA{}", random(BASE32, 16));
        let secret_access_key = random(BASE62, 40);
        let session_token = random(BASE62, 320);
        let mut state = self.write();
        let role = state.roles.get(&session.role)?.clone();
        let entry = Entry { secret_access_key, session_token: Some(session_token), holder: Holder::Session(session) };
        let credential = describe(&self.account, &access_key_id, &entry, Some(&role));
        state.keys.insert(access_key_id, entry);
        Some(credential)
    }

    /// Gives out a key of a service.
    pub fn issue_service(&self, service: Service) -> Credential {
        let access_key_id = format!("ASIA{}", random(BASE32, 16));
        let holder = Holder::Service(service);
        let entry = Entry { secret_access_key: random(BASE62, 40), session_token: None, holder };
        let credential = describe(&self.account, &access_key_id, &entry, None);
        self.write().keys.insert(access_key_id, entry);
        credential
    }

    /// What a key opens at this instant, expiry enforced. The session token is the caller's to check, with
    /// [`CredentialStore::authenticate`] doing both.
    pub fn lookup(&self, access_key_id: &str, now: Timestamp) -> Result<Credential, KeyError> {
        let state = self.read();
        let entry = state.keys.get(access_key_id).ok_or(KeyError::Unknown)?;
        let role = match &entry.holder {
            Holder::Session(session) => state.roles.get(&session.role),
            Holder::Root | Holder::Service(_) => None,
        };
        let credential = describe(&self.account, access_key_id, entry, role);
        match credential.expires {
            Some(expires) if expires <= now => Err(KeyError::Expired),
            _ => Ok(credential),
        }
    }

    /// Every key of a role's session that was ever given out, expired ones included.
    #[must_use]
    pub fn sessions(&self) -> Vec<Credential> {
        let state = self.read();
        let sessions = state.keys.iter().filter_map(|(access_key_id, entry)| match &entry.holder {
            Holder::Session(session) => {
                Some(describe(&self.account, access_key_id, entry, state.roles.get(&session.role)))
            }
            Holder::Root | Holder::Service(_) => None,
        });
        sessions.collect()
    }

    /// [`CredentialStore::lookup`] that also demands the right session token.
    pub fn authenticate(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Credential, KeyError> {
        let credential = self.lookup(access_key_id, now)?;
        if credential.session_token.as_deref() == session_token { Ok(credential) } else { Err(KeyError::Token) }
    }

    /// Adds a role or replaces it.
    pub fn put_role(&self, name: &str, role: Role) {
        self.write().roles.insert(name.to_owned(), role);
    }

    /// Forgets a role; its sessions are left without any permission.
    pub fn delete_role(&self, name: &str) {
        self.write().roles.remove(name);
    }

    /// A role by its name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Role> {
        self.read().roles.get(name).cloned()
    }

    /// Changes a role in place; `false` where it does not exist.
    pub fn update_role(&self, name: &str, change: impl FnOnce(&mut Role)) -> bool {
        let mut state = self.write();
        let Some(role) = state.roles.get_mut(name) else { return false };
        change(role);
        true
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(account: &str, access_key_id: &str, entry: &Entry, role: Option<&Role>) -> Credential {
    let (principal, user_id, permissions, expires) = match &entry.holder {
        Holder::Root => (format!("arn:aws:iam::{account}:root"), account.to_owned(), Permissions::Root, None),
        Holder::Session(session) => (
            format!("arn:aws:sts::{account}:assumed-role/{}/{}", session.role, session.name),
            format!("{}:{}", role.map_or("AROADELETED", |role| role.role_id.as_str()), session.name),
            role.map_or(Permissions::None, |role| Permissions::Role {
                role: role.policies.values().cloned().collect(),
                session: session.policy.clone(),
            }),
            Some(session.expires),
        ),
        Holder::Service(service) => {
            (service.name.clone(), service.name.clone(), Permissions::None, Some(service.expires))
        }
    };
    let source_arn = match &entry.holder {
        Holder::Service(service) => Some(service.source_arn.clone()),
        Holder::Root | Holder::Session(_) => None,
    };
    Credential {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: entry.secret_access_key.clone(),
        session_token: entry.session_token.clone(),
        principal,
        user_id,
        permissions,
        source_arn,
        expires,
    }
}

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn random(alphabet: &[u8], length: usize) -> String {
    let mut generator = rand::rng();
    (0..length).map(|_| char::from(alphabet[generator.random_range(0..alphabet.len())])).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn store() -> CredentialStore {
        let store = CredentialStore::new("111122223333");
        let trust =
            Policy::parse(r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#).unwrap();
        let role = Role {
            arn: "arn:aws:iam::111122223333:role/worker".into(),
            role_id: "AROA1".into(),
            trust,
            policies: BTreeMap::new(),
        };
        store.put_role("worker", role);
        store
    }

    fn session(expires: Timestamp) -> Session {
        Session { role: "worker".into(), name: "ses-1".into(), policy: None, expires }
    }

    #[test]
    fn root_keys_have_no_token_and_no_end() {
        let store = store();
        let key = store.issue_root();
        let found = store.authenticate(&key.access_key_id, None, Timestamp::MAX).unwrap();
        assert_eq!(found.principal, "arn:aws:iam::111122223333:root");
        assert_eq!(found.secret_access_key, key.secret_access_key);
        assert_eq!(store.authenticate(&key.access_key_id, Some("x"), Timestamp::MIN).unwrap_err(), KeyError::Token);
    }

    #[test]
    fn temporary_keys_need_their_token_and_end() {
        let store = store();
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let later = now + SignedDuration::from_hours(1);
        let key = store.issue_session(session(later)).unwrap();
        let token = key.session_token.as_deref();
        assert_eq!(key.principal, "arn:aws:sts::111122223333:assumed-role/worker/ses-1");
        assert_eq!(key.user_id, "AROA1:ses-1");
        assert!(store.authenticate(&key.access_key_id, token, now).is_ok());
        assert_eq!(store.authenticate(&key.access_key_id, None, now).unwrap_err(), KeyError::Token);
        assert_eq!(store.authenticate(&key.access_key_id, token, later).unwrap_err(), KeyError::Expired);
        assert_eq!(store.authenticate("ASIANOBODY", token, now).unwrap_err(), KeyError::Unknown);
    }

    #[test]
    fn policies_of_a_role_hold_for_open_sessions() {
        let store = store();
        let key = store.issue_session(session(Timestamp::MAX)).unwrap();
        let policies =
            |store: &CredentialStore| match store.lookup(&key.access_key_id, Timestamp::MIN).unwrap().permissions {
                Permissions::Role { role, .. } => role.len(),
                _ => 0,
            };
        assert_eq!(policies(&store), 0);
        let policy = Policy::parse(r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#).unwrap();
        store.update_role("worker", |role| drop(role.policies.insert("p".into(), policy)));
        assert_eq!(policies(&store), 1);
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = store().issue_root();
        assert!(!format!("{key:?}").contains(&key.secret_access_key));
    }
}
