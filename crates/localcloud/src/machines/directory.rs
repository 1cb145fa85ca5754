//! The directory that PostgreSQL asks whether an IAM token is good.
//!
//! On RDS a PAM module judges tokens. PAM's messages end at 512 characters and a token has over a thousand, so here the
//! server asks by an LDAP simple bind: its name is `<resource id>|<host>:<port>|<user>`, its
//! password the token. The directory knows
//! that one operation and nothing else of LDAP.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{TokenJudge, TokenLogin};

const LARGEST: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
const SUCCESS: u8 = 0;
const PROTOCOL_ERROR: u8 = 2;
const INVALID_CREDENTIALS: u8 = 49;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const SIMPLE: u8 = 0x80;

/// Starts the directory on the gateway; returns its port. It ends with `shutdown`.
pub(crate) async fn serve(
    gateway: Ipv4Addr,
    judge: Arc<dyn TokenJudge>,
    shutdown: CancellationToken,
) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((gateway, 0)).await.context("binding the directory")?;
    let port = listener.local_addr().context("binding the directory")?.port();
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            let Ok((stream, _)) = stream else { continue };
            let judge = Arc::clone(&judge);
            tokio::spawn(async move {
                if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, converse(stream, &*judge)).await {
                    tracing::debug!(%error, "a directory client left");
                }
            });
        }
    });
    Ok(port)
}

/// Answers requests until the client leaves or asks for something else than a bind.
async fn converse(mut stream: TcpStream, judge: &dyn TokenJudge) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let Some(length) = message_length(&buffer) else {
            if buffer.len() > LARGEST || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let message: Vec<u8> = buffer.drain(..length).collect();
        let Some(bind) = Bind::parse(&message) else { return Ok(()) };
        let result = match bind.subject() {
            Some((login, token)) if judge.admits(login, token) => SUCCESS,
            Some(_) => INVALID_CREDENTIALS,
            None => PROTOCOL_ERROR,
        };
        stream.write_all(&response(&bind.id, result)).await?;
    }
}

/// A bind request, undecoded as far as nobody asks.
#[derive(Debug, PartialEq, Eq)]
struct Bind {
    id: Vec<u8>,
    name: Vec<u8>,
    password: Vec<u8>,
}

impl Bind {
    fn parse(message: &[u8]) -> Option<Self> {
        let (content, _) = element(message, SEQUENCE)?;
        let (id, rest) = element(content, INTEGER)?;
        let (request, _) = element(rest, BIND_REQUEST)?;
        let (_version, rest) = element(request, INTEGER)?;
        let (name, rest) = element(rest, OCTETS)?;
        let (password, _) = element(rest, SIMPLE)?;
        (!id.is_empty() && id.len() <= 4).then(|| Self { id: id.into(), name: name.into(), password: password.into() })
    }

    /// Who wants in where, and the token.
    fn subject(&self) -> Option<(TokenLogin<'_>, &str)> {
        // Only the user's name, which comes last, can hold anything.
        let mut parts = std::str::from_utf8(&self.name).ok()?.splitn(3, '|');
        let login = TokenLogin { resource_id: parts.next()?, endpoint: parts.next()?, user: parts.next()? };
        Some((login, std::str::from_utf8(&self.password).ok()?))
    }
}

fn response(id: &[u8], result: u8) -> Vec<u8> {
    // Result code, matched name (empty), message (empty).
    let answer = [0x0a, 1, result, OCTETS, 0, OCTETS, 0];
    let mut content = vec![INTEGER, id.len() as u8];
    content.extend_from_slice(id);
    content.extend([BIND_RESPONSE, answer.len() as u8]);
    content.extend(answer);
    let mut message = vec![SEQUENCE, content.len() as u8];
    message.extend(content);
    message
}

/// Length of the first message in `bytes`, once all of it is there.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let (start, length) = header(bytes)?;
    let end = start.checked_add(length)?;
    (end <= bytes.len()).then_some(end)
}

/// Splits off one element of the wanted tag: its content and what follows.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (start, length) = header(bytes).filter(|_| bytes.first() == Some(&tag))?;
    let end = start.checked_add(length)?;
    Some((bytes.get(start..end)?, bytes.get(end..)?))
}

/// Where an element's content starts and how long it is.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.get(1)?;
    if first < 0x80 {
        return Some((2, usize::from(first)));
    }
    let octets = usize::from(first & 0x7f);
    if !(1..=4).contains(&octets) {
        return None;
    }
    let length = bytes.get(2..2 + octets)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    Some((2 + octets, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        match content.len() {
            short @ 0..0x80 => bytes.push(short as u8),
            long => bytes.extend([0x82, (long >> 8) as u8, long as u8]),
        }
        bytes.extend_from_slice(content);
        bytes
    }

    fn bind(name: &str, password: &str) -> Vec<u8> {
        let fields = [wrap(INTEGER, &[3]), wrap(OCTETS, name.as_bytes()), wrap(SIMPLE, password.as_bytes())].concat();
        wrap(SEQUENCE, &[wrap(INTEGER, &[7]), wrap(BIND_REQUEST, &fields)].concat())
    }

    #[test]
    fn a_bind_names_endpoint_user_and_token() {
        let token = "t".repeat(1500);
        let message = bind("db-A|orders.example:5432|odd|user", &token);
        assert_eq!(message_length(&message), Some(message.len()));
        for cut in 0..message.len() {
            assert_eq!(message_length(&message[..cut]), None);
        }
        let bind = Bind::parse(&message).unwrap();
        let login = TokenLogin { resource_id: "db-A", endpoint: "orders.example:5432", user: "odd|user" };
        assert_eq!(bind.subject(), Some((login, token.as_str())));
        assert_eq!(response(&bind.id, SUCCESS), [0x30, 12, 2, 1, 7, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0]);
    }

    #[test]
    fn what_is_no_bind_is_not_answered() {
        let unbind = wrap(SEQUENCE, &[wrap(INTEGER, &[8]), wrap(0x42, &[])].concat());
        assert_eq!(Bind::parse(&unbind), None);
        assert_eq!(Bind::parse(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(Bind::parse(b"GET / HTTP/1.1\r\n"), None);
    }
}
