//! The pre-login: who speaks which version, and whether by TLS.

use super::Malformed;

/// SQL Server 2022, as its pre-login says it: major, minor, build, revision.
const VERSION: [u8; 6] = [16, 0, 0x10, 0x22, 0, 0];

/// What a client offers, or a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// TLS for the login alone.
    Login = 0,
    /// TLS for everything.
    Everything = 1,
    /// No TLS at all.
    Nothing = 2,
    /// TLS for everything, or no connection.
    Demanded = 3,
}

/// A client's pre-login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prelogin {
    pub(crate) encryption: Encryption,
}

impl Prelogin {
    /// Reads it: a list of options (kind, offset, length) and what they point at.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let fault = Malformed { what: "pre-login" };
        let mut encryption = Encryption::Nothing;
        for option in payload.chunks(5) {
            let [kind, offset @ .., _, _] = option else { break };
            if *kind == 0xFF {
                break;
            }
            let offset = offset.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            if *kind == 1 {
                encryption = match payload.get(offset).ok_or(fault.clone())? & 0x0F {
                    0 => Encryption::Login,
                    1 => Encryption::Everything,
                    2 => Encryption::Nothing,
                    3 => Encryption::Demanded,
                    _ => return Err(fault),
                };
            }
        }
        Ok(Self { encryption })
    }

    /// What the server agrees to: an instance without `rds.force_ssl`, RDS's default, does what the client asks.
    pub(crate) fn agreed(self) -> Encryption {
        match self.encryption {
            Encryption::Demanded => Encryption::Everything,
            other => other,
        }
    }

    /// The server's answer.
    pub(crate) fn answer(self) -> Vec<u8> {
        let values: [(u8, &[u8]); 5] = [(0, &VERSION), (1, &[self.agreed() as u8]), (2, &[0]), (3, &[]), (4, &[0])];
        let mut offset = values.len() * 5 + 1;
        let (mut list, mut data) = (Vec::new(), Vec::new());
        for (kind, value) in values {
            list.push(kind);
            for number in [offset, value.len()] {
                list.extend_from_slice(&u16::try_from(number).unwrap_or_default().to_be_bytes());
            }
            data.extend_from_slice(value);
            offset += value.len();
        }
        list.push(0xFF);
        list.extend_from_slice(&data);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_what_was_agreed() {
        use Encryption::{Demanded, Everything, Login, Nothing};
        for (asked, agreed) in [(Login, Login), (Everything, Everything), (Nothing, Nothing), (Demanded, Everything)] {
            let answer = Prelogin { encryption: asked }.answer();
            assert_eq!(Prelogin::parse(&answer).unwrap().encryption, agreed, "{asked:?}");
        }
    }

    #[test]
    fn options_that_point_outside_are_refused() {
        assert!(Prelogin::parse(&[1, 0, 200, 0, 1, 0xFF]).is_err());
        assert!(Prelogin::parse(&[1, 0, 6, 0, 1, 0xFF, 9]).is_err());
    }
}
