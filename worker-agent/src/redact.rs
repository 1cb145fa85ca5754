//! The second line against secrets in texts. The first is that nobody puts them there ([`SecretString`] cannot be
//! printed); but a text that comes from elsewhere, a server's message or a child's stderr, may quote one. Every secret
//! this process is given is made known here, and every line that leaves it, to the log or to the coordinator, is cleaned.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use haulier_domain::failure::Failure;
use haulier_domain::secret::SecretString;
use tracing_subscriber::fmt::MakeWriter;

/// What stands in a text where a secret stood.
const MARK: &str = "[redacted]";
/// Shorter texts are not looked for: they would be found in ordinary words.
const SHORTEST: usize = 6;

/// Knows this process's secrets and removes them from texts. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Vec<SecretString>>>);

impl Redactor {
    /// Knows no secret.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a secret known.
    pub fn learn(&self, secret: &SecretString) {
        if secret.expose().len() < SHORTEST {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|one| one.expose() == secret.expose()) {
            known.push(secret.clone());
        }
    }

    /// The text without the secrets it held.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().fold(Cow::Borrowed(text), |text, secret| {
            if text.contains(secret.expose()) { Cow::Owned(text.replace(secret.expose(), MARK)) } else { text }
        })
    }

    /// The failure without the secrets it held.
    pub fn clean_failure(&self, failure: Failure) -> Failure {
        let clean = |text: String| self.clean(&text).into_owned();
        Failure { what: clean(failure.what), cause: clean(failure.cause), remedy: clean(failure.remedy), ..failure }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// Writes log lines to stderr, cleaned.
#[derive(Debug, Clone)]
pub struct CleanStderr(pub Redactor);

impl<'a> MakeWriter<'a> for CleanStderr {
    type Writer = CleanWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        CleanWriter { redactor: self.0.clone(), inner: io::stderr() }
    }
}

/// Cleans what passes through it. Each `write` is looked at by itself: the log's formatter hands over whole lines.
#[derive(Debug)]
pub struct CleanWriter<W> {
    redactor: Redactor,
    inner: W,
}

impl<W: Write> Write for CleanWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.inner.write_all(self.redactor.clean(text).as_bytes())?,
            Err(_) => self.inner.write_all(self.redactor.clean(&String::from_utf8_lossy(bytes)).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let redactor = Redactor::new();
        redactor.learn(&SecretString::new("s3cr3t/+="));
        redactor.learn(&SecretString::new("the"));
        redactor
    }

    #[test]
    fn known_secrets_leave_texts_and_short_ones_are_not_looked_for() {
        assert_eq!(redactor().clean("at the end: s3cr3t/+=!"), "at the end: [redacted]!");
        assert!(matches!(redactor().clean("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn failures_and_log_lines_are_cleaned() {
        let failure = redactor().clean_failure(Failure::new("code", "what s3cr3t/+=", "cause s3cr3t/+=", "remedy"));
        assert!(!failure.to_string().contains("s3cr3t"));
        let mut writer = CleanWriter { redactor: redactor(), inner: Vec::new() };
        writer.write_all(b"{\"message\":\"s3cr3t/+=\"}\n").unwrap();
        assert_eq!(writer.inner, b"{\"message\":\"[redacted]\"}\n");
    }
}
