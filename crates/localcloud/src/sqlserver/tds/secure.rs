//! TLS within TDS: while the handshake lasts, its records travel in pre-login packets; after it, packets travel in TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::packet::{HEADER, Kind, frame, parse_header};

/// Bytes of a packet before a login agrees on another size.
const PACKET: usize = 4096;

/// A connection's bytes, by TLS or without.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<Wrapped>>),
}

impl Wire {
    /// Goes on without TLS: what a client agreed to that wants its login alone hidden.
    pub(crate) fn without_tls(self) -> TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.into_inner().0.stream,
        }
    }
}

/// The server's part of the handshake.
pub(crate) async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Wire> {
    let wrapped = Wrapped { stream, handshake: Some(Handshake::default()) };
    let mut tls = TlsAcceptor::from(config).accept(wrapped).await?;
    tls.get_mut().0.handshake = None;
    Ok(Wire::Tls(Box::new(tls)))
}

/// A stream that wraps and unwraps while the handshake lasts.
#[derive(Debug)]
pub(crate) struct Wrapped {
    stream: TcpStream,
    handshake: Option<Handshake>,
}

#[derive(Debug, Default)]
struct Handshake {
    /// Header of the packet that is being read.
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    headed: usize,
    /// Bytes of the packet's body that are still to come.
    left: usize,
    /// Records on their way out: written, not yet wrapped.
    records: Vec<u8>,
    /// Wrapped and not yet sent.
    packets: Vec<u8>,
}

impl AsyncRead for Wrapped {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(handshake) = &mut this.handshake else {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        };
        while handshake.left == 0 {
            let mut header = ReadBuf::new(&mut handshake.header[handshake.headed..]);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut header))?;
            let read = header.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            handshake.headed += read;
            if handshake.headed == HEADER {
                handshake.headed = 0;
                let (kind, length) = parse_header(handshake.header)?;
                if kind != Kind::Prelogin {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the TLS handshake is not in pre-login packets",
                    )));
                }
                handshake.left = length;
            }
        }
        let room = handshake.left.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        handshake.left -= read;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.handshake {
            Some(handshake) => {
                handshake.records.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut this.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(handshake) = &mut this.handshake {
            if !handshake.records.is_empty() {
                let records = std::mem::take(&mut handshake.records);
                handshake.packets.extend_from_slice(&frame(Kind::Prelogin, &records, PACKET));
            }
            while !handshake.packets.is_empty() {
                let sent = ready!(Pin::new(&mut this.stream).poll_write(context, &handshake.packets))?;
                handshake.packets.drain(..sent);
            }
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
