//! Talking to the emulator.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A request to be passed on.
#[derive(Debug, Clone)]
pub(crate) struct MotoRequest {
    pub(crate) service: String,
    pub(crate) method: Method,
    /// Path with query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct MotoReply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A client of one emulator.
#[derive(Debug, Clone)]
pub(crate) struct MotoClient {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    region: String,
}

impl MotoClient {
    /// A client for the emulator at an address.
    pub(crate) fn new(address: SocketAddr, region: &str) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address, region: region.to_owned() }
    }

    /// Whether it answers.
    pub(crate) async fn is_ready(&self) -> bool {
        let request = MotoRequest {
            service: "moto".to_owned(),
            method: Method::GET,
            target: "/moto-api/config".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        self.send(request).await.is_ok_and(|reply| reply.status.is_success())
    }

    /// Sends a request. The emulator reads account, Region and service from the credential scope and checks nothing:
    /// whatever the caller signed with is replaced, so that it never sees a real key.
    pub(crate) async fn send(&self, request: MotoRequest) -> anyhow::Result<MotoReply> {
        let uri: Uri = format!("http://{}{}", self.address, request.target).parse().context("the target is no URI")?;
        let scope = format!("AKIDFRONT/20260101/{}/{}/aws4_request", self.region, request.service);
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let mut outgoing = Request::new(Full::new(request.body));
        *outgoing.method_mut() = request.method;
        *outgoing.uri_mut() = uri;
        for name in [header::CONTENT_TYPE.as_str(), "x-amz-target", "x-amz-date", "user-agent"] {
            if let Some(value) = request.headers.get(name) {
                outgoing.headers_mut().insert(http::HeaderName::from_bytes(name.as_bytes())?, value.clone());
            }
        }
        outgoing.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(&authorization)?);
        let host = format!("{}.{}.amazonaws.com", request.service, self.region);
        outgoing.headers_mut().insert(header::HOST, HeaderValue::from_str(&host)?);
        let response =
            self.client.request(outgoing).await.map_err(|error| anyhow!(error).context("the AWS emulator"))?;
        let (parts, body) = response.into_parts();
        let content_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("text/xml")
            .to_owned();
        let body = body.collect().await.context("reading the AWS emulator's answer")?.to_bytes();
        Ok(MotoReply { status: parts.status, content_type, body })
    }
}
