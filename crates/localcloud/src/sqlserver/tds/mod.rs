//! TDS 7.2 to 7.4, the server's side: framing, TLS within the pre-login, login, requests, and the tokens of answers.
//!
//! After Microsoft's [MS-TDS]. No ready server was of use: `mssql-mock-tds` answers fixed texts, and brings a second TLS
//! stack. What clients of the product and FreeTDS speak is here, and no more: no MARS, no bulk load, no federated login,
//! no TDS 8 (`Encrypt=Strict`).

mod login;
mod packet;
mod prelogin;
mod request;
mod secure;
mod token;

pub(crate) use login::Login;
pub(crate) use packet::{Kind, Message, frame, read_message};
pub(crate) use prelogin::{Encryption, Prelogin};
pub(crate) use request::{Parameter, Request};
pub(crate) use secure::{Wire, accept};
pub(crate) use token::{Answer, More};

/// What a client sent that is no TDS, or none that is known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the client's {what} is not understood")]
pub(crate) struct Malformed {
    /// `login`, `request`, …
    pub(crate) what: &'static str,
}

/// Reads little-endian numbers and UTF-16 out of a message.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn fault(&self) -> Malformed {
        Malformed { what: self.what }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| self.fault())?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(|| self.fault())?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// So many UTF-16 units.
    pub(crate) fn text(&mut self, units: usize) -> Result<String, Malformed> {
        let bytes = self.take(units * 2)?;
        utf16(bytes).ok_or_else(|| self.fault())
    }
}

/// Text from UTF-16, little-endian.
pub(crate) fn utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    String::from_utf16(&pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect::<Vec<_>>()).ok()
}

/// Text as UTF-16, little-endian.
pub(crate) fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
