//! Request bodies that an operation may leave unread.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Most bytes that are read for nothing after a refusal.
const DRAINED: usize = 256 * 1024 * 1024;

/// What an operation did not read of its request, if it stopped before the end.
#[derive(Clone, Default)]
pub(super) struct Leftover(Arc<Mutex<Option<Body>>>);

impl Leftover {
    /// Reads the rest away: a client that still sends would otherwise see a reset connection instead of the refusal.
    pub(super) async fn drain(&self) {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut rest) = rest else { return };
        let mut read = 0;
        while read < DRAINED
            && let Some(Ok(frame)) = rest.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }
}

/// A request's body, put aside if it is dropped before its end.
pub(super) struct RequestBody {
    inner: Option<Body>,
    leftover: Leftover,
}

impl RequestBody {
    pub(super) fn new(inner: Body, leftover: Leftover) -> Self {
        Self { inner: Some(inner), leftover }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) {
            *self.leftover.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(inner);
        }
    }
}
