//! The user-data a worker boots with: a TOML document, no script, under 16 KiB, no secret of value.

use haulier_domain::failure::Failure;
use jiff::Timestamp;
use serde::Serialize;

/// What EC2 takes.
const LIMIT: usize = 16 * 1024;

/// The document.
#[derive(Debug, Serialize)]
pub struct UserData<'a> {
    /// Version of the document; its presence tells the boot script that this is a worker.
    pub haulier_worker: u32,
    /// `https://host:port` of the coordinator.
    pub coordinator: &'a str,
    /// SHA-256 of the authority that closes the coordinator's certificate chain, hex.
    pub ca_sha256: &'a str,
    /// The worker.
    pub worker_id: &'a str,
    /// Its session.
    pub session_id: &'a str,
    /// Its epoch.
    pub epoch: u64,
    /// Single-use enrolment token.
    pub token: &'a str,
    /// Region it runs in.
    pub region: &'a str,
    /// It powers off after this, whatever happens.
    pub deadline: Timestamp,
}

/// The document as text.
///
/// # Errors
/// Where EC2 would not take it.
pub fn render(user_data: &UserData<'_>) -> Result<String, Failure> {
    let refused = |cause: String| {
        Failure::new("worker-user-data", "writing the worker's user-data", cause, "shorten the advertised host name")
    };
    let text = toml::to_string(user_data).map_err(|error| refused(error.to_string()))?;
    if text.len() > LIMIT { Err(refused(format!("it has {} bytes, EC2 takes {LIMIT}", text.len()))) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_toml_and_deterministic() {
        let user_data = UserData {
            haulier_worker: 1,
            coordinator: "https://10.0.0.1:7443",
            ca_sha256: "00",
            worker_id: "wrk-1",
            session_id: "ses-1",
            epoch: 2,
            token: "secret",
            region: "eu-central-1",
            deadline: "2026-11-21T03:00:00Z".parse().unwrap(),
        };
        let text = render(&user_data).unwrap();
        assert!(text.starts_with("haulier_worker = 1\n"));
        assert!(text.contains("deadline = \"2026-11-21T03:00:00Z\"\n"), "{text}");
        assert_eq!(text, render(&user_data).unwrap());
    }
}
