//! Lets a response body find out that what it gave so far has left for the network.
//!
//! hyper drops a connection whose body fails together with all that it still holds for it, the answer's head included. A
//! fault that cuts a body after so many bytes must first see them go: hyper flushes its transport exactly when it has
//! nothing more to write to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How often a connection has been flushed. Travels with each of its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flushes(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicU64,
    waiting: AtomicWaker,
}

impl Flushes {
    /// Flushes until now.
    pub(crate) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// Ready when there has been another flush since there were `seen`.
    pub(crate) fn poll_another(&self, seen: u64, context: &Context<'_>) -> Poll<()> {
        self.0.waiting.register(context.waker());
        if self.count() > seen { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A connection that counts its flushes.
#[derive(Debug)]
pub(crate) struct Counted {
    stream: TcpStream,
    flushes: Flushes,
}

impl Counted {
    pub(crate) fn new(stream: TcpStream, flushes: Flushes) -> Self {
        Self { stream, flushes }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.flushes.0.count.fetch_add(1, Ordering::AcqRel);
        self.flushes.0.waiting.wake();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
