//! Calls to AWS APIs as the account's administrator, signed by curl: set-up that is not the product's to do.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::cloud::Facts;

/// One signed call.
pub(crate) struct Call<'a> {
    /// Service name in the signature: `s3`.
    pub(crate) service: &'a str,
    /// HTTP method.
    pub(crate) method: &'a str,
    /// Path below the endpoint, with its slash.
    pub(crate) path: &'a str,
    /// Headers besides those of the signature.
    pub(crate) headers: &'a [&'a str],
    /// Body.
    pub(crate) body: &'a str,
}

impl Call<'_> {
    /// Sends it and gives the body of the answer. Keys and body go through standard input, not through arguments.
    ///
    /// # Errors
    /// Where AWS refuses it, in AWS's words.
    pub(crate) fn send(&self, facts: &Facts) -> Result<String> {
        let mut configuration = format!(
            "silent\nshow-error\nfail-with-body\nmax-time = 60\nrequest = \"{}\"\nurl = \"{}{}\"\nuser = \"{}:{}\"\naws-sigv4 = \"aws:amz:{}:{}\"\n",
            self.method,
            facts.endpoint,
            self.path,
            facts.access_key_id,
            facts.secret_access_key,
            facts.region,
            self.service,
        );
        for header in self.headers {
            configuration.push_str(&format!("header = \"{header}\"\n"));
        }
        if !self.body.is_empty() {
            let quoted = self.body.replace('\\', "\\\\").replace('"', "\\\"");
            configuration.push_str(&format!("data = \"{quoted}\"\n"));
        }
        let output = fed(Command::new("curl").args(["--config", "-"]), &configuration)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "{} {} {}: {} {}",
                self.service,
                self.method,
                self.path,
                text.trim(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(text)
    }
}

/// RFC 3986: everything but unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The hex SHA-256 of a text, which S3 wants of every body.
pub(crate) fn sha256(text: &str) -> Result<String> {
    let output = fed(&mut Command::new("sha256sum"), text)?;
    let hex = String::from_utf8_lossy(&output.stdout);
    hex.split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
}

/// Runs a command with a text on its standard input.
fn fed(command: &mut Command, text: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    child.stdin.take().context("a standard input")?.write_all(text.as_bytes()).context("feeding a command")?;
    child.wait_with_output().with_context(|| format!("waiting for {command:?}"))
}
