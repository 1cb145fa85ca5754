//! The login message (LOGIN7).

use std::fmt;

use super::{Cursor, Malformed, utf16};

/// Bit of the second flags: Windows' own login.
const INTEGRATED: u8 = 0x80;
/// Oldest version that is spoken: 7.2, SQL Server 2005.
const OLDEST: u32 = 0x7209_0002;
/// Newest: 7.4.
const NEWEST: u32 = 0x7400_0004;

/// Who wants in, and how.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The version that both sides speak.
    pub(crate) version: u32,
    /// Bytes of the packets from here on.
    pub(crate) packet_size: u32,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    pub(crate) program: String,
    /// Windows' login instead of a password.
    pub(crate) integrated: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// Reads it: numbers, then places and lengths of the texts, then the texts.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let fault = Malformed { what: "login" };
        let mut numbers = Cursor::new(payload, "login");
        let _length = numbers.u32()?;
        let asked = numbers.u32()?;
        let packet_size = numbers.u32()?;
        let second_flags = *payload.get(25).ok_or(fault.clone())?;
        let bytes = |index: usize| -> Result<&[u8], Malformed> {
            let mut place = Cursor::new(payload.get(36 + index * 4..).ok_or(fault.clone())?, "login");
            let (offset, units) = (usize::from(place.u16()?), usize::from(place.u16()?));
            payload.get(offset..offset + units * 2).ok_or(fault.clone())
        };
        let text = |index: usize| utf16(bytes(index)?).ok_or(fault.clone());
        let password: Vec<u8> = bytes(2)?.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
        if asked < OLDEST {
            return Err(Malformed { what: "version of TDS (7.2 at least is needed)" });
        }
        Ok(Self {
            version: asked.min(NEWEST),
            packet_size: if packet_size == 0 { 4096 } else { packet_size.clamp(512, 32_767) },
            user: text(1)?,
            password: utf16(&password).ok_or(fault.clone())?,
            program: text(3)?,
            database: text(8)?,
            integrated: second_flags & INTEGRATED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::to_utf16;
    use super::*;

    fn message(version: u32, texts: &[(usize, Vec<u8>)]) -> Vec<u8> {
        let mut payload = vec![0; 94];
        payload[4..8].copy_from_slice(&version.to_le_bytes());
        payload[8..12].copy_from_slice(&8000_u32.to_le_bytes());
        for (index, bytes) in texts {
            let (at, offset) = (36 + index * 4, payload.len() as u16);
            payload[at..at + 2].copy_from_slice(&offset.to_le_bytes());
            payload[at + 2..at + 4].copy_from_slice(&(bytes.len() as u16 / 2).to_le_bytes());
            payload.extend_from_slice(bytes);
        }
        payload
    }

    #[test]
    fn user_and_password_are_read_and_the_password_is_never_shown() {
        let hidden: Vec<u8> = to_utf16("pässword").iter().map(|byte| byte.rotate_left(4) ^ 0xA5).collect();
        let payload = message(0x7400_0004, &[(1, to_utf16("master")), (2, hidden), (8, to_utf16("shop"))]);
        let login = Login::parse(&payload).unwrap();
        assert_eq!((&*login.user, &*login.password, &*login.database), ("master", "pässword", "shop"));
        assert_eq!((login.packet_size, login.integrated), (8000, false));
        assert!(!format!("{login:?}").contains("pässword"));
    }

    #[test]
    fn what_is_cut_short_or_too_old_is_refused() {
        let payload = message(0x7400_0004, &[(1, to_utf16("master"))]);
        assert!(Login::parse(&payload[..payload.len() - 1]).is_err());
        assert!(Login::parse(&payload[..20]).is_err());
        assert!(Login::parse(&message(0x7100_0001, &[])).is_err());
    }
}
