//! Bodies with the switchboard's hand on them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};

use super::faults::Decided;

/// Cuts a connection in the middle of a body.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut by the fault switchboard after {0} bytes")]
pub(super) struct Cut(u64);

/// Most bytes that are read for nothing after a refusal, so that the client gets to read why.
const DRAINED: usize = 256 * 1024 * 1024;

/// What an operation did not read of its request, if it stopped before the end.
#[derive(Clone, Default)]
pub(super) struct Leftover(Arc<Mutex<Option<axum::body::Body>>>);

impl Leftover {
    /// Reads the rest away: a client that still sends would otherwise see a reset connection instead of the answer.
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

/// A request's body: counted, cut where the switchboard says, put aside if it is dropped before its end.
pub(super) struct RequestBody {
    inner: Option<axum::body::Body>,
    decided: Arc<Decided>,
    leftover: Leftover,
    read: u64,
}

impl RequestBody {
    pub(super) fn new(inner: axum::body::Body, decided: Arc<Decided>, leftover: Leftover) -> Self {
        Self { inner: Some(inner), decided, leftover, read: 0 }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        let Some(Ok(frame)) = frame else {
            self.inner = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        };
        self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
        let limit = self.decided.request_limit();
        if self.read > limit {
            self.inner = None;
            return Poll::Ready(Some(Err(Cut(limit).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) {
            *self.leftover.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(inner);
        }
    }
}

/// An answer's body that ends the connection after so many bytes.
pub(super) struct CutBody<B> {
    inner: B,
    limit: u64,
    left: u64,
    flushed: bool,
}

impl<B> CutBody<B> {
    pub(super) fn new(inner: B, limit: u64) -> Self {
        Self { inner, limit, left: limit, flushed: limit == 0 }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for CutBody<B>
where
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            if self.flushed {
                return Poll::Ready(Some(Err(Cut(self.limit).into())));
            }
            // A pause lets the server flush what it has; an error straight away would take that with it.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => {
                // The answer is shorter than the place of the cut: its end is cut off all the same.
                self.left = 0;
                self.poll_frame(cx)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(mut data) => {
                    data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= data.len() as u64;
                    Frame::data(data)
                }
                Err(other) => other,
            }))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
