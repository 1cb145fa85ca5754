//! Values that must not be printed, serialised or left in memory by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text: a password, a token, a passphrase. Prints as `[redacted]`, is wiped when dropped, and is neither
/// `Serialize` nor `Display`: whoever needs the value says so with [`SecretString::expose`].
#[derive(Clone)]
pub struct SecretString(Zeroizing<String>);

/// Secret bytes: a key. The same rules as for [`SecretString`].
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretString {
    /// Takes the text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The value, for the one place that must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretBytes {
    /// Takes the bytes into custody.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The value, for the one place that must have it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(
            format!("{:?} {:?}", SecretString::new("hunter2"), SecretBytes::new(*b"hunter2")),
            "[redacted] [redacted]"
        );
    }
}
