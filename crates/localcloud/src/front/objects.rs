//! S3 requests on their way to the S3 handler: unverified and unbuffered, but under the switchboard.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::context::{Context, locked};
use super::decisions::faults::{Effect, Subject};
use super::dispatch::{injected, throttled};
use super::flushed::Flushes;
use super::wire::{Answer, AwsError, Params, Protocol};

/// Answers an S3 request; `None` ends the connection without an answer.
pub(crate) async fn serve(context: Arc<Context>, request: Request<Body>) -> Option<Response<Body>> {
    let operation = operation(request.method(), request.uri(), request.headers().contains_key("x-amz-copy-source"));
    let text = request.uri().to_string();
    let subject = Subject { service: "s3", operation, text: &text, has_stale_answer: false };
    let effect = locked(&context.faults).decide(subject);
    if let Some(effect) = &effect {
        tracing::info!(service = "s3", operation, ?effect, "a fault fires");
    }
    match effect {
        None | Some(Effect::StaleRead | Effect::SqlError { .. } | Effect::TaskError { .. } | Effect::TaskHang) => {
            Some(context.s3.call(request).await)
        }
        Some(Effect::ErrorBefore(error)) => Some(refuse(request, &injected(&error)).await),
        Some(Effect::ErrorAfter(error)) => {
            context.s3.call(request).await;
            Some(Answer::error("s3", &injected(&error)).into())
        }
        Some(Effect::DelayMs(delay)) => {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            Some(context.s3.call(request).await)
        }
        Some(Effect::TimeoutAfter) => {
            context.s3.call(request).await;
            None
        }
        Some(Effect::Throttle) => Some(refuse(request, &throttled(Protocol::S3)).await),
        Some(Effect::CutAfterBytes(bytes)) if matches!(*request.method(), Method::PUT | Method::POST) => {
            let (parts, body) = request.into_parts();
            context.s3.call(Request::from_parts(parts, Body::new(Cut::new(body, bytes, None)))).await;
            None
        }
        Some(Effect::CutAfterBytes(bytes)) => {
            let flushes = request.extensions().get::<Flushes>().cloned();
            Some(context.s3.call(request).await.map(|body| Body::new(Cut::new(body, bytes, flushes))))
        }
    }
}

/// Takes the whole request, then answers: a connection that ends while the caller still sends loses the answer on the way.
async fn refuse(request: Request<Body>, error: &AwsError) -> Response<Body> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    Answer::error("s3", error).into()
}

/// The name of an S3 operation, from the request's shape alone.
fn operation(method: &Method, uri: &Uri, copies: bool) -> &'static str {
    let query = Params::parse(uri.query().unwrap_or_default());
    let has = |name: &str| query.get(name).is_some();
    let path = uri.path().trim_start_matches('/');
    let on_object = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let on_bucket = !on_object && !path.is_empty();
    match (method.as_str(), on_object, on_bucket) {
        ("GET", true, _) if has("uploadId") => "ListParts",
        ("GET", true, _) if has("tagging") => "GetObjectTagging",
        ("GET", true, _) if has("attributes") => "GetObjectAttributes",
        ("GET", true, _) if has("retention") => "GetObjectRetention",
        ("GET", true, _) if has("legal-hold") => "GetObjectLegalHold",
        ("GET", true, _) => "GetObject",
        ("HEAD", true, _) => "HeadObject",
        ("PUT", true, _) if has("partNumber") && copies => "UploadPartCopy",
        ("PUT", true, _) if has("partNumber") => "UploadPart",
        ("PUT", true, _) if has("tagging") => "PutObjectTagging",
        ("PUT", true, _) if has("retention") => "PutObjectRetention",
        ("PUT", true, _) if has("legal-hold") => "PutObjectLegalHold",
        ("PUT", true, _) if copies => "CopyObject",
        ("PUT", true, _) => "PutObject",
        ("POST", true, _) if has("uploads") => "CreateMultipartUpload",
        ("POST", true, _) if has("uploadId") => "CompleteMultipartUpload",
        ("DELETE", true, _) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", true, _) if has("tagging") => "DeleteObjectTagging",
        ("DELETE", true, _) => "DeleteObject",
        ("GET", _, true) if has("uploads") => "ListMultipartUploads",
        ("GET", _, true) if has("policy") => "GetBucketPolicy",
        ("GET", _, true) if has("location") => "GetBucketLocation",
        ("GET", _, true) if has("versions") => "ListObjectVersions",
        ("GET", _, true) if has("versioning") => "GetBucketVersioning",
        ("GET", _, true) if has("object-lock") => "GetObjectLockConfiguration",
        ("GET", _, true) if query.get("list-type") == Some("2") => "ListObjectsV2",
        ("GET", _, true) => "ListObjects",
        ("HEAD", _, true) => "HeadBucket",
        ("PUT", _, true) if has("policy") => "PutBucketPolicy",
        ("PUT", _, true) if has("versioning") => "PutBucketVersioning",
        ("PUT", _, true) if has("object-lock") => "PutObjectLockConfiguration",
        ("PUT", _, true) => "CreateBucket",
        ("POST", _, true) if has("delete") => "DeleteObjects",
        ("DELETE", _, true) if has("policy") => "DeleteBucketPolicy",
        ("DELETE", _, true) => "DeleteBucket",
        ("GET", false, false) => "ListBuckets",
        _ => "Other",
    }
}

/// A body that breaks after so many bytes.
struct Cut {
    body: Body,
    left: u64,
    /// Those of the connection that a response goes out on: its bytes must have left before it breaks.
    flushes: Option<Flushes>,
    /// The connection's flushes when the last byte was given.
    seen: Option<u64>,
}

impl Cut {
    fn new(body: Body, left: u64, flushes: Option<Flushes>) -> Self {
        Self { body, left, flushes, seen: None }
    }
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left == 0 {
            if let Some(flushes) = self.flushes.clone() {
                let seen = *self.seen.get_or_insert_with(|| flushes.count());
                std::task::ready!(flushes.poll_another(seen, poller));
            }
            return Poll::Ready(Some(Err(axum::Error::new("the connection is cut by the local cloud's switchboard"))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(poller));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(mut data) => {
                    data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= data.len() as u64;
                    Frame::data(data)
                }
                Err(other) => other,
            })
        }))
    }

    /// As long as it would have been: the other side finds out by the cut.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_shape() {
        for (method, uri, copies, expected) in [
            ("GET", "/", false, "ListBuckets"),
            ("GET", "/b?list-type=2&prefix=x", false, "ListObjectsV2"),
            ("PUT", "/b/", false, "CreateBucket"),
            ("PUT", "/b/k", false, "PutObject"),
            ("PUT", "/b/k", true, "CopyObject"),
            ("PUT", "/b/k/l?partNumber=1&uploadId=u", false, "UploadPart"),
            ("POST", "/b/k?uploads", false, "CreateMultipartUpload"),
            ("POST", "/b/k?uploadId=u", false, "CompleteMultipartUpload"),
            ("DELETE", "/b/k?uploadId=u", false, "AbortMultipartUpload"),
            ("DELETE", "/b/k", false, "DeleteObject"),
            ("POST", "/b?delete", false, "DeleteObjects"),
            ("HEAD", "/b", false, "HeadBucket"),
            ("PUT", "/b?policy", false, "PutBucketPolicy"),
            ("PUT", "/b/k?retention&versionId=v", false, "PutObjectRetention"),
            ("GET", "/b?versions&prefix=x", false, "ListObjectVersions"),
            ("PUT", "/b?object-lock", false, "PutObjectLockConfiguration"),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(operation(&method, &uri.parse().unwrap(), copies), expected, "{method} {uri}");
        }
    }

    #[tokio::test]
    async fn a_cut_body_gives_so_many_bytes_and_breaks() {
        let mut body = Cut::new(Body::from("0123456789"), 4, None);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "0123");
        assert!(body.frame().await.unwrap().is_err());
    }
}
