//! Calls that are signed here and sent by somebody else.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use haulier_domain::secret::SecretString;

use super::{AwsCloud, SharedCredentials};
use crate::identity::SignedCall;

/// A call could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No credentials to sign with.
    #[error("no credentials to sign with")]
    NoCredentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Unsignable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Signs `GetCallerIdentity` with the instance's own credentials. The header `x-haulier-csr-sha256` ties the call to one
/// certificate request; AWS takes a signature for five minutes.
///
/// # Errors
/// Where the instance has no credentials.
pub async fn sign_caller_identity(region: &str, csr_sha256: &str) -> Result<SignedCall, SignError> {
    let cloud = AwsCloud::from_environment(region).await;
    let credentials = credentials(cloud.config.credentials_provider()).await?;
    let default = format!("https://sts.{region}.amazonaws.com");
    let address = format!("{}/", cloud.config.endpoint_url().unwrap_or(&default).trim_end_matches('/'));
    let uri: http::Uri = address.parse().map_err(unsignable)?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let body = "Action=GetCallerIdentity&Version=2011-06-15";

    let mut headers = BTreeMap::from([
        ("host".to_owned(), host),
        ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ("x-haulier-csr-sha256".to_owned(), csr_sha256.to_owned()),
    ]);
    let identity = Identity::from(credentials);
    let params = params(&identity, region, "sts", SigningSettings::default())?;
    let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request =
        SignableRequest::new("POST", &address, named, SignableBody::Bytes(body.as_bytes())).map_err(unsignable)?;
    let (instructions, _signature) = sign(request, &params).map_err(unsignable)?.into_parts();
    for (name, value) in instructions.headers() {
        headers.insert(name.to_owned(), value.to_owned());
    }
    Ok(SignedCall { region: region.to_owned(), headers, body: body.to_owned() })
}

/// A token for IAM database authentication: a presigned `rds-db:connect`, good for 15 minutes, looked at when a
/// connection is made and never after (RDS User Guide, "IAM database authentication").
///
/// # Errors
/// Where there are no credentials to sign with.
pub async fn rds_auth_token(
    credentials: &SharedCredentials,
    host: &str,
    port: u16,
    user: &str,
    region: &str,
) -> Result<SecretString, SignError> {
    let held = credentials.provide_credentials().await.map_err(|error| SignError::NoCredentials(Box::new(error)))?;
    let identity = Identity::from(held);
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(900));
    let params = params(&identity, region, "rds-db", settings)?;
    let address = format!("https://{host}:{port}/?Action=connect&DBUser={}", percent_encoded(user));
    let request =
        SignableRequest::new("GET", &address, std::iter::empty(), SignableBody::Bytes(&[])).map_err(unsignable)?;
    let (instructions, _signature) = sign(request, &params).map_err(unsignable)?.into_parts();
    let mut url = http::Request::builder().uri(&address).body(()).map_err(unsignable)?;
    instructions.apply_to_request_http1x(&mut url);
    Ok(SecretString::new(url.uri().to_string().trim_start_matches("https://")))
}

fn params<'a>(
    identity: &'a Identity,
    region: &'a str,
    service: &'a str,
    settings: SigningSettings,
) -> Result<SigningParams<'a>, SignError> {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(unsignable)?;
    Ok(params.into())
}

async fn credentials(
    provider: Option<aws_credential_types::provider::SharedCredentialsProvider>,
) -> Result<Credentials, SignError> {
    let provider = provider.ok_or_else(|| SignError::NoCredentials("no provider is configured".into()))?;
    provider.provide_credentials().await.map_err(|error| SignError::NoCredentials(Box::new(error)))
}

fn unsignable(error: impl std::error::Error + Send + Sync + 'static) -> SignError {
    SignError::Unsignable(Box::new(error))
}

/// RFC 3986: everything but unreserved characters.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SessionCredentials;

    #[tokio::test]
    async fn a_database_token_names_its_user_encoded_and_has_no_scheme() {
        let credentials = SharedCredentials::new(SessionCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: SecretString::new("secret"),
            session_token: SecretString::new("token"),
            expires_at: jiff::Timestamp::MAX,
        });
        let token = rds_auth_token(&credentials, "db.example", 5432, "odd user&x", "eu-central-1").await.unwrap();
        let token = token.expose();
        assert!(token.starts_with("db.example:5432/?Action=connect&DBUser=odd%20user%26x&"), "{token}");
        assert!(token.contains("X-Amz-Expires=900") && token.contains("X-Amz-Signature="), "{token}");
    }
}
