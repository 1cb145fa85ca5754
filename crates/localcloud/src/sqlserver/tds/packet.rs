//! Packets: eight bytes of header before each, several of them to a message.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of a packet's header.
pub(super) const HEADER: usize = 8;
/// Bit of the header's status in the last packet of a message.
const LAST: u8 = 0x01;
/// Longest message that is read.
const LIMIT: usize = 16 << 20;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Statements as text.
    Batch = 0x01,
    /// A procedure's call with typed parameters.
    Rpc = 0x03,
    /// What a server answers.
    Result = 0x04,
    /// The client wants the running request to stop.
    Attention = 0x06,
    /// Begin, commit or roll back.
    Transaction = 0x0E,
    /// Login.
    Login = 0x10,
    /// Before the login: versions, encryption, the TLS handshake.
    Prelogin = 0x12,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let all =
            [Self::Batch, Self::Rpc, Self::Result, Self::Attention, Self::Transaction, Self::Login, Self::Prelogin];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
}

/// Reads one message; `None` where the client has hung up between two.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Message>> {
    let mut payload = Vec::new();
    loop {
        let mut header = [0; HEADER];
        match stream.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && payload.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
        let (kind, length) = parse_header(header)?;
        let start = payload.len();
        if start + length > LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is longer than 16 MiB"));
        }
        payload.resize(start + length, 0);
        stream.read_exact(&mut payload[start..]).await?;
        if header[1] & LAST != 0 {
            return Ok(Some(Message { kind, payload }));
        }
    }
}

/// Kind, and bytes that follow.
pub(super) fn parse_header(header: [u8; HEADER]) -> io::Result<(Kind, usize)> {
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let kind = Kind::of(header[0]);
    match (kind, length.checked_sub(HEADER)) {
        (Some(kind), Some(length)) => Ok((kind, length)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{header:02x?} is no header of a TDS packet"))),
    }
}

/// Cuts a message into packets of at most `size` bytes.
pub(crate) fn frame(kind: Kind, payload: &[u8], size: usize) -> Vec<u8> {
    let room = size.clamp(512, 32_767) - HEADER;
    let mut parts = payload.chunks(room).peekable();
    let mut framed = Vec::with_capacity(payload.len() + HEADER * (payload.len() / room + 1));
    let mut number = 1_u8;
    loop {
        let part = parts.next().unwrap_or_default();
        let last = parts.peek().is_none();
        let length = u16::try_from(part.len() + HEADER).unwrap_or(u16::MAX);
        framed.extend_from_slice(&[kind as u8, u8::from(last) * LAST]);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&[0, 0, number, 0]);
        framed.extend_from_slice(part);
        number = number.wrapping_add(1);
        if last {
            return framed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_of_any_length_come_back() {
        for length in [0_usize, 1, 504, 505, 100_000] {
            let payload: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let framed = frame(Kind::Batch, &payload, 512);
            assert_eq!(framed.len(), length + HEADER * length.div_ceil(504).max(1), "{length}");
            let mut stream = framed.as_slice();
            let read = read_message(&mut stream).await.unwrap();
            assert_eq!(read, Some(Message { kind: Kind::Batch, payload }));
            assert_eq!(read_message(&mut stream).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_no_packet_is_refused() {
        for bytes in [&[0x16, 3, 1, 0, 0, 0, 0, 0][..], &[1, 1, 0, 4, 0, 0, 0, 0], &[1, 1, 0, 9, 0, 0, 0, 0], &[1, 1]] {
            let mut stream = bytes;
            let outcome = read_message(&mut stream).await;
            assert!(outcome.is_err() || bytes.len() == 2, "{bytes:?}: {outcome:?}");
        }
    }
}
