//! Who asks, and whether they may.
//!
//! The protocol crate verifies the signature with the secret found here. Then, before the operation sees its input:
//! the session token, features we do not have, the permissions. Names of actions and condition keys are in
//! [`actions`] and [`context`], the decision itself in [`crate::iam`].

mod actions;
mod context;
mod unsupported;

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Uri};
use jiff::Timestamp;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3Result, s3_error};

pub(super) use context::decode;

use super::store::{Retention, Store};
use crate::credentials::{Credential, CredentialStore, KeyError};
use crate::iam::{self, Context, Decision, Policy};

/// Verifies callers and their permissions.
#[derive(Clone)]
pub(super) struct Access {
    store: Arc<Store>,
    credentials: Arc<CredentialStore>,
}

/// The caller of a request, kept with it for the questions that only the operation can ask.
#[derive(Clone)]
pub(super) struct Caller {
    store: Arc<Store>,
    credential: Credential,
    context: Context,
}

impl Access {
    pub(super) fn new(store: Arc<Store>, credentials: Arc<CredentialStore>) -> Self {
        Self { store, credentials }
    }

    fn caller(&self, cx: &S3AccessContext<'_>) -> S3Result<Caller> {
        let Some(signed) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "Anonymous access is forbidden for this operation"));
        };
        if !is_signature_4(cx.headers(), cx.uri()) {
            return Err(s3_error!(
                InvalidRequest,
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
            ));
        }
        let token = session_token(cx.headers(), cx.uri());
        let credential = self
            .credentials
            .authenticate(&signed.access_key, token.as_deref(), Timestamp::now())
            .map_err(refused_key)?;
        let context =
            context::of_request(cx.s3_op().name(), cx.headers(), cx.uri(), &credential, self.credentials.account());
        Ok(Caller { store: Arc::clone(&self.store), credential, context })
    }

    fn check_owner(&self, headers: &HeaderMap) -> S3Result<()> {
        match headers.get("x-amz-expected-bucket-owner") {
            Some(owner) if owner.as_bytes() != self.credentials.account().as_bytes() => {
                Err(s3_error!(AccessDenied, "The bucket is not owned by the expected account"))
            }
            _ => Ok(()),
        }
    }
}

impl Caller {
    /// Refuses unless the caller may do this to a key of the bucket, or to the bucket itself.
    pub(super) fn demand(&self, action: &str, bucket: &str, key: Option<&str>) -> S3Result<()> {
        let resource = actions::arn(bucket, key);
        let decision = self.decide(action, &resource, Some(bucket))?;
        if decision.allowed() {
            return Ok(());
        }
        let why = match decision {
            Decision::ExplicitDeny => "with an explicit deny in a policy",
            _ => "because no identity-based policy allows it",
        };
        let who = &self.credential.principal;
        Err(s3_error!(
            AccessDenied,
            "User: {} is not authorized to perform: {} on resource: \"{}\" {}",
            who,
            action,
            resource,
            why
        ))
    }

    /// Adds the retention that a request's body asks for to what conditions look at.
    pub(super) fn add_retention(&mut self, retention: &Retention, now: Timestamp) {
        context::add_retention(&mut self.context, retention.mode.name(), retention.until, now);
    }

    /// What S3 tells this caller of a key that is not there: that it is not there only if the caller may list.
    pub(super) fn missing_key(&self, bucket: &str, missing: S3Error) -> S3Error {
        match self.demand("s3:ListBucket", bucket, None) {
            Ok(()) => missing,
            Err(denied) => denied,
        }
    }

    fn decide(&self, action: &str, resource: &str, bucket: Option<&str>) -> S3Result<Decision> {
        let policy = bucket
            .and_then(|bucket| self.store.bucket(bucket).ok())
            .and_then(|bucket| bucket.settings().policy.clone());
        // It parsed when it was put.
        let policy = policy.map(|text| Policy::parse(&text)).transpose().map_err(S3Error::internal_error)?;
        let request = iam::Request { action, resource, context: &self.context };
        Ok(iam::authorise(&self.credential.permissions, &self.credential.principal, policy.as_ref(), request))
    }
}

#[async_trait]
impl S3Auth for Access {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let credential = self.credentials.lookup(access_key, Timestamp::now()).map_err(refused_key)?;
        Ok(SecretKey::from(credential.secret_access_key.as_str()))
    }
}

#[async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let caller = self.caller(cx)?;
        if let Some(feature) = unsupported::feature(cx.headers()) {
            return Err(s3_error!(NotImplemented, "The local cloud's S3 does not implement {}", feature));
        }
        self.check_owner(cx.headers())?;
        for needed in actions::needed(cx.s3_op().name(), cx.headers(), cx.uri()) {
            match cx.s3_path() {
                S3Path::Root => caller.demand(&needed, "*", None)?,
                S3Path::Bucket { bucket } => caller.demand(&needed, bucket, None)?,
                S3Path::Object { bucket, key } => caller.demand(&needed, bucket, Some(key))?,
            }
        }
        cx.extensions_mut().insert(caller);
        Ok(())
    }
}

fn refused_key(error: KeyError) -> S3Error {
    match error {
        KeyError::Unknown => {
            s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        }
        KeyError::Expired => s3_error!(ExpiredToken, "The provided token has expired."),
        KeyError::Token => s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."),
    }
}

fn is_signature_4(headers: &HeaderMap, uri: &Uri) -> bool {
    let in_header = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"));
    in_header || context::parameter(uri, "X-Amz-Algorithm").is_some()
}

fn session_token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    match headers.get("x-amz-security-token") {
        Some(token) => token.to_str().ok().map(str::to_owned),
        None => context::parameter(uri, "X-Amz-Security-Token"),
    }
}
