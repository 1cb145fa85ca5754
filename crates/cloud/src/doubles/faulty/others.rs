//! [`Identity`], [`Keys`], [`Roles`] and [`Secrets`] behind a switchboard.

use std::collections::BTreeMap;

use async_trait::async_trait;
use haulier_domain::native_backup::key::KeyFacts;
use haulier_domain::secret::{SecretBytes, SecretString};

use super::Faulty;
use crate::error::Result;
use crate::identity::{AssumeRole, CallerIdentity, Identity, SessionCredentials, SignedCall};
use crate::keys::Keys;
use crate::roles::{Role, Roles};
use crate::secrets::Secrets;

#[async_trait]
impl<P: Identity + ?Sized> Identity for Faulty<P> {
    async fn caller(&self) -> Result<CallerIdentity> {
        self.call("GetCallerIdentity", "", self.inner.caller()).await
    }

    async fn assume(&self, request: &AssumeRole) -> Result<SessionCredentials> {
        self.call("AssumeRole", &request.role_arn, self.inner.assume(request)).await
    }

    async fn verify(&self, call: &SignedCall) -> Result<CallerIdentity> {
        self.call("GetCallerIdentity", &call.region, self.inner.verify(call)).await
    }
}

#[async_trait]
impl<P: Keys + ?Sized> Keys for Faulty<P> {
    async fn wrap(&self, key_arn: &str, context: &BTreeMap<String, String>, plain: &SecretBytes) -> Result<Vec<u8>> {
        self.call("Encrypt", key_arn, self.inner.wrap(key_arn, context, plain)).await
    }

    async fn unwrap(&self, key_arn: &str, context: &BTreeMap<String, String>, wrapped: &[u8]) -> Result<SecretBytes> {
        self.call("Decrypt", key_arn, self.inner.unwrap(key_arn, context, wrapped)).await
    }

    async fn key(&self, key_arn: &str) -> Result<Option<KeyFacts>> {
        self.call("DescribeKey", key_arn, self.inner.key(key_arn)).await
    }
}

#[async_trait]
impl<P: Secrets + ?Sized> Secrets for Faulty<P> {
    async fn secret(&self, arn: &str) -> Result<SecretString> {
        self.call("GetSecretValue", arn, self.inner.secret(arn)).await
    }
}

#[async_trait]
impl<P: Roles + ?Sized> Roles for Faulty<P> {
    async fn role(&self, name: &str) -> Result<Option<Role>> {
        self.read("GetRole", name, || None, self.inner.role(name)).await
    }
}
