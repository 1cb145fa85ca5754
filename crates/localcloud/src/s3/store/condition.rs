//! Conditions on writes: decided here, purely; taken under the bucket's commit lock, so that exactly one writer wins.

use super::error::{Error, Result};

/// An entity tag to match, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matches {
    /// `*`: whatever is there.
    Any,
    /// This tag, without quotes.
    ETag(String),
}

/// What must hold of the object under a key for a write or a delete to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match`.
    Present(Matches),
}

impl Condition {
    /// Refuses when the condition does not hold for the object with this entity tag, or for none.
    pub fn check(&self, key: &str, present: Option<&str>) -> Result<()> {
        match (self, present) {
            (Self::None, _) | (Self::Absent, None) | (Self::Present(Matches::Any), Some(_)) => Ok(()),
            (Self::Present(_), None) => Err(Error::NoSuchKey(key.to_owned())),
            (Self::Absent, Some(_)) => Err(Error::PreconditionFailed("If-None-Match")),
            (Self::Present(Matches::ETag(wanted)), Some(etag)) if wanted == etag => Ok(()),
            (Self::Present(Matches::ETag(_)), Some(_)) => Err(Error::PreconditionFailed("If-Match")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_follow_the_table_of_the_user_guide() {
        let tag = |tag: &str| Condition::Present(Matches::ETag(tag.to_owned()));
        let cases = [
            (Condition::None, None, "ok"),
            (Condition::None, Some("a"), "ok"),
            (Condition::Absent, None, "ok"),
            (Condition::Absent, Some("a"), "412"),
            (Condition::Present(Matches::Any), None, "404"),
            (Condition::Present(Matches::Any), Some("a"), "ok"),
            (tag("a"), None, "404"),
            (tag("a"), Some("a"), "ok"),
            (tag("a"), Some("b"), "412"),
        ];
        for (condition, present, expected) in cases {
            let answer = match condition.check("k", present) {
                Ok(()) => "ok",
                Err(Error::PreconditionFailed(_)) => "412",
                Err(Error::NoSuchKey(_)) => "404",
                Err(other) => panic!("{other}"),
            };
            assert_eq!(answer, expected, "{condition:?} on {present:?}");
        }
    }
}
