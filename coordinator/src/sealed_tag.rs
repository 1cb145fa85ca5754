//! What the sealed tag of a snapshot says: enough to know the snapshot again when the coordinator's state is lost.
//!
//! A tag holds 256 characters; base64url of nonce, text and authentication tag leaves 164 bytes for the text. Instance and
//! policy names are cut to fit, which AWS's own limits make unnecessary for the one and unlikely for the other.

use jiff::Timestamp;

/// Version of the layout below.
const VERSION: u8 = 1;
/// Longest instance identifier that RDS takes.
const INSTANCE: usize = 63;
/// As much of a policy's name as fits besides.
const POLICY: usize = 80;

/// The text of a sealed tag, before it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTag<'a> {
    /// DB instance identifier.
    pub instance: &'a str,
    /// Policy; empty for sessions by hand.
    pub policy: &'a str,
    /// When the snapshot was asked for.
    pub created: Timestamp,
}

impl<'a> SealedTag<'a> {
    /// Version, flags (none yet), seconds since 1970, then each text behind its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, 0];
        bytes.extend(self.created.as_second().to_be_bytes());
        for (text, longest) in [(self.instance, INSTANCE), (self.policy, POLICY)] {
            let cut = text.floor_char_boundary(longest);
            bytes.push(u8::try_from(cut).unwrap_or(u8::MAX));
            bytes.extend(&text.as_bytes()[..cut]);
        }
        bytes
    }

    /// Reads what [`Self::encode`] gave.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&[version, _flags], rest) = bytes.split_first_chunk()?;
        let (seconds, rest) = rest.split_first_chunk::<8>()?;
        let (instance, rest) = text(rest)?;
        let (policy, _) = text(rest)?;
        let created = Timestamp::from_second(i64::from_be_bytes(*seconds)).ok()?;
        (version == VERSION).then_some(Self { instance, policy, created })
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_fits_into_a_tag() {
        let created = "2026-11-20T10:00:00Z".parse().unwrap();
        let tag = SealedTag { instance: "orders", policy: "nightly", created };
        assert_eq!(SealedTag::decode(&tag.encode()), Some(tag));
        let longest = SealedTag { instance: &"i".repeat(200), policy: &"ä".repeat(200), created };
        let sealed = 12 + longest.encode().len() + 16;
        assert!(sealed.div_ceil(3) * 4 <= 256);
    }

    #[test]
    fn nonsense_is_nothing() {
        assert_eq!(SealedTag::decode(&[]), None);
        assert_eq!(SealedTag::decode(&[9; 40]), None);
    }
}
