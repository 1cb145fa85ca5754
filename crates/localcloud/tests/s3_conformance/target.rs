//! An S3 to be checked, and the one we built.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use haulier_localcloud::credentials::{Credential, CredentialStore};
use haulier_localcloud::s3::LocalS3;

/// Region of every target.
pub(crate) const REGION: &str = "eu-central-1";
/// Account of our own S3.
pub(crate) const ACCOUNT: &str = "111122223333";

/// Somewhere that speaks S3.
#[derive(Clone)]
pub(crate) struct Target {
    /// Where it is.
    pub(crate) endpoint: String,
    /// Who may do everything there.
    pub(crate) credentials: Credentials,
}

impl Target {
    /// A client with the SDK's defaults, but without retries: a check sees the first answer.
    pub(crate) fn client(&self) -> Client {
        self.client_of(self.credentials.clone(), REGION)
    }

    /// A client of somebody, for a Region's endpoint.
    pub(crate) fn client_of(&self, credentials: Credentials, region: &'static str) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::from_static(region))
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        Client::from_conf(config)
    }

    /// A client and a new bucket.
    pub(crate) async fn bucket(&self) -> (Client, String) {
        let client = self.client();
        let bucket = format!("conformance-{}", uuid::Uuid::new_v4().simple());
        create_bucket(&client, &bucket).await;
        (client, bucket)
    }
}

/// Creates a bucket in the Region of the tests.
pub(crate) async fn create_bucket(client: &Client, bucket: &str) {
    client.create_bucket().bucket(bucket).create_bucket_configuration(here()).send().await.unwrap();
}

/// The Region of the tests, as a bucket's place.
pub(crate) fn here() -> CreateBucketConfiguration {
    CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(REGION)).build()
}

/// Puts an object with the SDK's defaults.
pub(crate) async fn put(client: &Client, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) -> String {
    let body = ByteStream::from(bytes.into());
    let output = client.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    output.e_tag().unwrap().to_owned()
}

/// An object's bytes.
pub(crate) async fn get(client: &Client, bucket: &str, key: &str) -> Vec<u8> {
    let output = client.get_object().bucket(bucket).key(key).send().await.unwrap();
    output.body.collect().await.unwrap().to_vec()
}

/// Bytes that differ from place to place.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// HTTP status and error code of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug, E>(result: Result<T, SdkError<E>>) -> (u16, String)
where
    SdkError<E>: ProvideErrorMetadata,
    E: std::fmt::Debug,
{
    let error = result.expect_err("it was to be refused");
    let status = error.raw_response().unwrap_or_else(|| panic!("no answer: {error:?}")).status().as_u16();
    (status, error.code().unwrap_or_default().to_owned())
}

/// A refusal to compare with.
pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Our S3, served in this process on a folder of its own.
pub(crate) struct Ours {
    /// The S3 itself.
    pub(crate) s3: LocalS3,
    /// Where its credentials come from.
    pub(crate) store: Arc<CredentialStore>,
    root: Credential,
    endpoint: String,
    server: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Ours {
    /// A new, empty one.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(CredentialStore::new(ACCOUNT));
        let root = store.issue_root();
        let s3 = LocalS3::new(folder.path(), Arc::clone(&store)).unwrap();
        let (endpoint, server) = serve(s3.clone());
        Self { s3, store, root, endpoint, server, folder }
    }

    /// The same folder, opened anew.
    pub(crate) fn restart(self) -> Self {
        self.server.abort();
        let s3 = LocalS3::new(self.folder.path(), Arc::clone(&self.store)).unwrap();
        let (endpoint, server) = serve(s3.clone());
        Self { s3, endpoint, server, ..self }
    }

    /// As a target, with the root's key.
    pub(crate) fn target(&self) -> Target {
        Target { endpoint: self.endpoint.clone(), credentials: sdk_credentials(&self.root) }
    }
}

/// Credentials as the SDK takes them.
pub(crate) fn sdk_credentials(credential: &Credential) -> Credentials {
    let Credential { access_key_id, secret_access_key, session_token, .. } = credential.clone();
    Credentials::new(access_key_id, secret_access_key, session_token, None, "conformance")
}

fn serve(s3: LocalS3) -> (String, tokio::task::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(async move |request: axum::extract::Request| s3.handle(request).await);
    let server = tokio::spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    (endpoint, server)
}
