//! The cloud as its own client: a few AWS calls that set-up by hand needs, signed as anybody's are.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::credentials::Credential;

/// Calls the front with the key of the account's root.
pub(crate) struct Api {
    key: Credential,
    region: String,
    address: OnceLock<SocketAddr>,
}

impl Api {
    pub(crate) fn new(key: Credential, region: String) -> Self {
        Self { key, region, address: OnceLock::new() }
    }

    /// Says where the front listens, once it does.
    pub(crate) fn set_address(&self, address: SocketAddr) -> anyhow::Result<()> {
        self.address.set(address).map_err(|_| anyhow::anyhow!("the front's address is set twice"))
    }

    /// `CreateBucket`.
    pub(crate) async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        anyhow::ensure!(!name.is_empty() && !name.contains(['/', '?']), "{name:?} cannot name a bucket");
        let place = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.region
        );
        self.call("s3", Request::put(format!("/{name}")), place).await.map(drop)
    }

    /// `CreateSecret`; returns the ARN.
    pub(crate) async fn create_secret(&self, name: &str, value: &str) -> anyhow::Result<String> {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "secretsmanager.CreateSecret");
        let token = uuid::Uuid::new_v4().to_string();
        let body = json!({ "Name": name, "SecretString": value, "ClientRequestToken": token });
        let answer = self.call("secretsmanager", request, body.to_string()).await?;
        let answer: Value = serde_json::from_slice(&answer).context("reading the answer to CreateSecret")?;
        answer["ARN"].as_str().map(str::to_owned).context("the answer to CreateSecret has no ARN")
    }

    async fn call(&self, service: &str, request: http::request::Builder, body: String) -> anyhow::Result<Bytes> {
        let Some(address) = self.address.get() else { bail!("the cloud is not up yet") };
        let mut request = request.header("host", address.to_string()).body(Body::from(body.clone()))?;
        self.sign(service, *address, &mut request, &body)?;
        let response = send(*address, request).await.with_context(|| format!("calling {service}"))?;
        let status = response.status();
        let bytes = response.into_body().collect().await.context("reading the answer")?.to_bytes();
        if status != StatusCode::OK {
            bail!("{service} answered {status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(bytes)
    }

    fn sign(&self, service: &str, address: SocketAddr, request: &mut Request<Body>, body: &str) -> anyhow::Result<()> {
        let identity =
            Credentials::new(&self.key.access_key_id, &self.key.secret_access_key, None, None, "local cloud").into();
        let mut settings = SigningSettings::default();
        if service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .context("signing a call")?
            .into();
        let uri = format!("http://{address}{}", request.uri());
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable =
            SignableRequest::new(request.method().as_str(), uri, headers, SignableBody::Bytes(body.as_bytes()))
                .context("signing a call")?;
        let (instructions, _) = sign(signable, &params).context("signing a call")?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

async fn send(address: SocketAddr, request: Request<Body>) -> anyhow::Result<Response<hyper::body::Incoming>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a call of the cloud to itself ended early");
        }
    });
    Ok(sender.send_request(request).await?)
}
