//! S3 as an instance speaks to it: signed requests with the role's credentials, through the front, multipart uploads and
//! ranged reads.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;

use super::surroundings::{DataKey, Surroundings};
use crate::credentials::Credential;
use crate::front::{Element, encode};

/// How often a request is tried whose answer does not come or is cut.
const ATTEMPTS: usize = 3;

/// Why S3 did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum S3Error {
    #[error("Access Denied")]
    Denied,
    #[error("The specified bucket does not exist")]
    NoBucket,
    #[error("The specified key does not exist.")]
    NoKey,
    #[error("{0}")]
    Other(String),
}

/// One bucket, by one set of credentials.
#[derive(Clone)]
pub(crate) struct Bucket {
    surroundings: Arc<dyn Surroundings>,
    credential: Credential,
    name: String,
}

struct Reply {
    etag: Option<String>,
    sealed_key: Option<String>,
    body: Bytes,
}

/// Header that holds the sealed data key of a file that is encrypted, where Amazon's S3 encryption clients have it.
const SEALED_KEY: &str = "x-amz-meta-x-amz-key-v2";

/// A request's header.
type Header = (&'static str, String);

/// What Amazon's S3 encryption clients keep beside a file that is encrypted with a data key.
fn envelope(data_key: Option<&DataKey>) -> Vec<Header> {
    let Some(DataKey { sealed, sealed_by, .. }) = data_key else { return Vec::new() };
    vec![
        (SEALED_KEY, sealed.clone()),
        ("x-amz-meta-x-amz-wrap-alg", "kms".to_owned()),
        ("x-amz-meta-x-amz-matdesc", format!(r#"{{"kms_cmk_id":"{sealed_by}"}}"#)),
    ]
}

impl Bucket {
    pub(crate) fn new(surroundings: Arc<dyn Surroundings>, credential: Credential, name: &str) -> Self {
        Self { surroundings, credential, name: name.to_owned() }
    }

    /// The credentials that it is reached by.
    pub(crate) fn role(&self) -> &Credential {
        &self.credential
    }

    /// The Region that it is in.
    pub(crate) async fn region(&self) -> Result<String, S3Error> {
        let reply = self.call(Method::GET, "", "location=", &[], Bytes::new()).await?;
        let region =
            Element::parse(&String::from_utf8_lossy(&reply.body)).and_then(|root| root.text_at(&[]).map(str::to_owned));
        Ok(region.filter(|region| !region.is_empty()).unwrap_or_else(|| "us-east-1".to_owned()))
    }

    /// Keys with a prefix and the bytes of their objects.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, S3Error> {
        let query = format!("list-type=2&prefix={}", encode(prefix));
        let reply = self.call(Method::GET, "", &query, &[], Bytes::new()).await?;
        let root = Element::parse(&String::from_utf8_lossy(&reply.body)).unwrap_or_default();
        let entry = |element: &Element| {
            let size = element.text_at(&["Size"])?.parse().ok()?;
            Some((element.text_at(&["Key"])?.to_owned(), size))
        };
        Ok(root.items(&[]).iter().filter_map(entry).collect())
    }

    /// Whether there is an object.
    pub(crate) async fn has(&self, key: &str) -> Result<bool, S3Error> {
        match self.call(Method::HEAD, key, "", &[], Bytes::new()).await {
            Ok(_) => Ok(true),
            Err(S3Error::NoKey) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The sealed data key that an object's file is encrypted with, if it is.
    pub(crate) async fn sealed_key(&self, key: &str) -> Result<Option<String>, S3Error> {
        Ok(self.call(Method::HEAD, key, "", &[], Bytes::new()).await?.sealed_key)
    }

    /// Bytes of an object.
    pub(crate) async fn read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, S3Error> {
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let reply = self.call(Method::GET, key, "", &[("range", range)], Bytes::new()).await?;
        if reply.body.len() as u64 == length {
            Ok(reply.body)
        } else {
            Err(S3Error::Other(format!("{} of {length} bytes of {key} came", reply.body.len())))
        }
    }

    /// Puts an object in one request, encrypted already where there is a data key. The bucket's owner is to own it, whoever
    /// puts it.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes, data_key: Option<&DataKey>) -> Result<(), S3Error> {
        let mut headers = envelope(data_key);
        headers.push(("x-amz-acl", "bucket-owner-full-control".to_owned()));
        self.call(Method::PUT, key, "", &headers, bytes).await.map(drop)
    }

    /// Begins a multipart upload, of bytes that are encrypted already where there is a data key.
    pub(crate) async fn begin(&self, key: &str, data_key: Option<&DataKey>) -> Result<String, S3Error> {
        let reply = self.call(Method::POST, key, "uploads=", &envelope(data_key), Bytes::new()).await?;
        let root = Element::parse(&String::from_utf8_lossy(&reply.body)).unwrap_or_default();
        let id = root.text_at(&["UploadId"]).map(str::to_owned);
        id.ok_or_else(|| S3Error::Other("the upload has no id".to_owned()))
    }

    /// Sends a part; returns its tag.
    pub(crate) async fn part(&self, key: &str, upload: &str, number: usize, bytes: Bytes) -> Result<String, S3Error> {
        let query = format!("partNumber={number}&uploadId={}", encode(upload));
        let reply = self.call(Method::PUT, key, &query, &[], bytes).await?;
        reply.etag.ok_or_else(|| S3Error::Other(format!("part {number} of {key} has no tag")))
    }

    /// Puts the parts together.
    pub(crate) async fn complete(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), S3Error> {
        let part = |(number, tag): (usize, &String)| {
            let tag = tag.replace('"', "&quot;");
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        };
        let parts: String = (1..).zip(tags).map(part).collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = format!("uploadId={}", encode(upload));
        self.call(Method::POST, key, &query, &[], body.into()).await.map(drop)
    }

    /// Gives a multipart upload up.
    pub(crate) async fn abort(&self, key: &str, upload: &str) -> Result<(), S3Error> {
        self.call(Method::DELETE, key, &format!("uploadId={}", encode(upload)), &[], Bytes::new()).await.map(drop)
    }

    async fn call(
        &self,
        method: Method,
        key: &str,
        query: &str,
        headers: &[Header],
        body: Bytes,
    ) -> Result<Reply, S3Error> {
        let mut last = S3Error::Other("S3 does not answer".to_owned());
        for _ in 0..ATTEMPTS {
            match self.attempt(&method, key, query, headers, body.clone()).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(error)) => return Err(error),
                Err(again) => last = S3Error::Other(again),
            }
        }
        Err(last)
    }

    /// One attempt: an answer that is final, or why another is worth while.
    async fn attempt(
        &self,
        method: &Method,
        key: &str,
        query: &str,
        headers: &[Header],
        body: Bytes,
    ) -> Result<Result<Reply, S3Error>, String> {
        let request = self.signed(method, key, query, headers, body).map_err(|error| format!("{error:#}"))?;
        let Some(response) = self.surroundings.s3(request).await else {
            return Err("the connection to S3 ended".to_owned());
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("the answer of S3 was cut: {error}"))?.to_bytes();
        if parts.status.is_server_error() {
            return Err(format!("S3 answers {}", parts.status));
        }
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // A POST may succeed with an error in its body.
        let told = !parts.status.is_success() || *method == Method::POST;
        let root = told.then(|| Element::parse(&String::from_utf8_lossy(&body))).flatten().unwrap_or_default();
        let code = root.text_at(&["Code"]).map(str::to_owned);
        if parts.status.is_success() && code.is_none() {
            return Ok(Ok(Reply { etag: header("etag"), sealed_key: header(SEALED_KEY), body }));
        }
        let code = code.unwrap_or_default();
        Ok(Err(match (parts.status, code.as_str()) {
            (_, "NoSuchBucket") => S3Error::NoBucket,
            (_, "NoSuchKey") | (StatusCode::NOT_FOUND, _) => S3Error::NoKey,
            (StatusCode::FORBIDDEN, _) => S3Error::Denied,
            (status, code) => S3Error::Other(format!("S3 answers {status} {code}")),
        }))
    }

    fn signed(
        &self,
        method: &Method,
        key: &str,
        query: &str,
        headers: &[Header],
        body: Bytes,
    ) -> anyhow::Result<Request<Body>> {
        let region = self.surroundings.region();
        let host = format!("s3.{region}.amazonaws.com");
        let path = key.split('/').map(encode).collect::<Vec<_>>().join("/");
        let target = format!("/{}{}{path}", self.name, if key.is_empty() { "" } else { "/" });
        let target = if query.is_empty() { target } else { format!("{target}?{query}") };
        let mut request = Request::builder().method(method).uri(&target).header("host", &host);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut request = request.header("content-length", body.len()).body(Body::from(body))?;
        let credential = &self.credential;
        let identity = Credentials::new(
            &credential.access_key_id,
            &credential.secret_access_key,
            credential.session_token.clone(),
            None,
            "option group",
        )
        .into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let uri = format!("http://{host}{target}");
        let known = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(method.as_str(), &uri, known, SignableBody::UnsignedPayload)?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}
