//! Judging the IAM tokens that database users log in with: presigned requests to the service `rds-db`.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Uri};
use jiff::Timestamp;

use crate::credentials::CredentialStore;
use crate::front::{Params, Signature};
use crate::iam::{self, Context};
use crate::machines::{TokenJudge, TokenLogin};

/// Accepts what a key of this account has signed for the very endpoint and user, if its policies allow
/// `rds-db:connect`.
pub(crate) struct SignedTokens {
    pub(crate) credentials: Arc<CredentialStore>,
    pub(crate) region: String,
    /// Every token that somebody has shown, for tests that look where it stands besides.
    pub(crate) shown: Shown,
}

/// Tokens, oldest first.
pub(crate) type Shown = Arc<Mutex<Vec<String>>>;

impl TokenJudge for SignedTokens {
    fn admits(&self, login: TokenLogin<'_>, token: &str) -> bool {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(token.to_owned());
        let admitted = self.judge(login, token, Timestamp::now()).is_some();
        tracing::info!(endpoint = login.endpoint, user = login.user, admitted, "judged an IAM database token");
        admitted
    }
}

impl SignedTokens {
    fn judge(&self, login: TokenLogin<'_>, token: &str, now: Timestamp) -> Option<()> {
        let TokenLogin { resource_id, endpoint, user } = login;
        let uri: Uri = format!("http://{token}").parse().ok()?;
        let query = Params::parse(uri.query()?);
        let names = |name: &str, wanted: &str| query.get(name) == Some(wanted);
        if uri.authority()?.as_str() != endpoint || !names("Action", "connect") || !names("DBUser", user) {
            return None;
        }
        let (parts, ()) = Request::get(uri).header("host", endpoint).body(()).ok()?.into_parts();
        let signature = Signature::find(&parts)?;
        if signature.service != "rds-db" || signature.region != self.region {
            return None;
        }
        let session_token = signature.session_token.as_deref();
        let credential = self.credentials.authenticate(&signature.access_key_id, session_token, now).ok()?;
        signature.verify(&parts, b"", &credential.secret_access_key, now).ok()?;
        let resource =
            format!("arn:aws:rds-db:{}:{}:dbuser:{resource_id}/{user}", self.region, self.credentials.account());
        let request = iam::Request { action: "rds-db:connect", resource: &resource, context: &Context::new() };
        iam::authorise(&credential.permissions, &credential.principal, None, request).allowed().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
    use aws_sigv4::sign::v4;

    use super::*;
    use crate::credentials::Credential;

    const ENDPOINT: &str = "orders.abc.eu-central-1.rds.amazonaws.com:5432";

    fn login<'a>(endpoint: &'a str, user: &'a str) -> TokenLogin<'a> {
        TokenLogin { resource_id: "db-ORDERS", endpoint, user }
    }

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    /// As the SDK's token generator does it.
    fn token(key: &Credential, user: &str) -> String {
        let secret = key.secret_access_key.clone();
        let identity = Credentials::new(&key.access_key_id, secret, key.session_token.clone(), None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(900));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name("rds-db")
            .time(SystemTime::from(now()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("https://{ENDPOINT}/?Action=connect&DBUser={user}");
        let signable = SignableRequest::new("GET", &uri, std::iter::empty(), SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = Request::get(&uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request.uri().to_string().trim_start_matches("https://").to_owned()
    }

    #[test]
    fn a_token_opens_one_endpoint_to_one_user_for_a_quarter_of_an_hour() {
        let credentials = Arc::new(CredentialStore::new("111122223333"));
        let key = credentials.issue_root();
        let judge = SignedTokens { credentials, region: "eu-central-1".into(), shown: Shown::default() };
        let good = token(&key, "ivan");
        let later = |minutes| now() + jiff::SignedDuration::from_mins(minutes);
        assert!(judge.judge(login(ENDPOINT, "ivan"), &good, later(14)).is_some());
        assert!(judge.judge(login(ENDPOINT, "ivan"), &good, later(16)).is_none(), "too late");
        assert!(judge.judge(login(ENDPOINT, "olga"), &good, now()).is_none(), "another user");
        assert!(judge.judge(login("other.abc.eu-central-1.rds.amazonaws.com:5432", "ivan"), &good, now()).is_none());
        assert!(judge.judge(login(ENDPOINT, "olga"), &good.replace("ivan", "olga"), now()).is_none(), "tampered with");
        assert!(judge.judge(login(ENDPOINT, "ivan"), "hunter2", now()).is_none());
        let stranger = Credential { secret_access_key: "x".repeat(40), ..key };
        assert!(judge.judge(login(ENDPOINT, "ivan"), &token(&stranger, "ivan"), now()).is_none());
    }

    #[test]
    fn a_role_needs_the_permission_to_connect() {
        use crate::credentials::{Role, Session};
        use crate::iam::Policy;

        let credentials = Arc::new(CredentialStore::new("111122223333"));
        let policy = |text: &str| Policy::parse(text).unwrap();
        let trust = policy(r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#);
        let allowing = policy(
            r#"{"Statement":{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-ORDERS/ivan"}}"#,
        );
        let role = |policies| Role { arn: "arn".into(), role_id: "AROA".into(), trust: trust.clone(), policies };
        credentials.put_role("with", role([("p".to_owned(), allowing)].into()));
        credentials.put_role("without", role([].into()));
        let judge = SignedTokens {
            credentials: Arc::clone(&credentials),
            region: "eu-central-1".into(),
            shown: Shown::default(),
        };
        let opens = |name: &str, user: &str, resource_id: &str| {
            let session = Session { role: name.into(), name: "s".into(), policy: None, expires: Timestamp::MAX };
            let key = credentials.issue_session(session).unwrap();
            judge.judge(TokenLogin { resource_id, ..login(ENDPOINT, user) }, &token(&key, user), now()).is_some()
        };
        assert!(opens("with", "ivan", "db-ORDERS"));
        assert!(!opens("with", "olga", "db-ORDERS"));
        assert!(!opens("with", "ivan", "db-OTHER"), "another instance");
        assert!(!opens("without", "ivan", "db-ORDERS"));
    }
}
