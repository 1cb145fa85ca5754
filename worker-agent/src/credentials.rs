//! The secrets of a session, from the wire into types that cannot be printed.

use haulier_cloud::identity::SessionCredentials;
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_proto::worker::v1 as wire;
use haulier_proto::{InvalidMessage, from_timestamp, required};

const MESSAGE: &str = "Credentials";
const KEY_BYTES: usize = 32;

/// What one message carried.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) credentials: SessionCredentials,
    pub(crate) domain_key: SecretBytes,
    pub(crate) target_domain_key: Option<SecretBytes>,
}

/// Checks and converts. The error never quotes a value.
pub(crate) fn convert(message: &wire::Credentials) -> Result<Received, InvalidMessage> {
    let expires_at = required(message.expires_at.as_ref().and_then(from_timestamp), MESSAGE, "expires_at")?;
    for (field, text) in [
        ("access_key_id", &message.access_key_id),
        ("secret_access_key", &message.secret_access_key),
        ("session_token", &message.session_token),
    ] {
        if text.is_empty() {
            return Err(InvalidMessage { message: MESSAGE, field, problem: "is empty".to_owned() });
        }
    }
    key_sized(&message.domain_key, "domain_key")?;
    if !message.target_domain_key.is_empty() {
        key_sized(&message.target_domain_key, "target_domain_key")?;
    }
    Ok(Received {
        credentials: SessionCredentials {
            access_key_id: message.access_key_id.clone(),
            secret_access_key: SecretString::new(message.secret_access_key.clone()),
            session_token: SecretString::new(message.session_token.clone()),
            expires_at,
        },
        domain_key: SecretBytes::new(message.domain_key.clone()),
        target_domain_key: match message.target_domain_key.as_slice() {
            [] => None,
            key => Some(SecretBytes::new(key.to_vec())),
        },
    })
}

fn key_sized(key: &[u8], field: &'static str) -> Result<(), InvalidMessage> {
    if key.len() == KEY_BYTES {
        return Ok(());
    }
    let problem = format!("has {} bytes instead of {KEY_BYTES}", key.len());
    Err(InvalidMessage { message: MESSAGE, field, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> wire::Credentials {
        wire::Credentials {
            access_key_id: "ASIA1".into(),
            secret_access_key: "hunter2".into(),
            session_token: "token".into(),
            expires_at: Some(haulier_proto::to_timestamp(jiff::Timestamp::UNIX_EPOCH)),
            domain_key: vec![7; 32],
            target_domain_key: Vec::new(),
        }
    }

    #[test]
    fn secrets_arrive_and_are_not_printed() {
        let received = convert(&message()).unwrap();
        assert_eq!(received.credentials.secret_access_key.expose(), "hunter2");
        assert_eq!(received.domain_key.expose(), [7; 32]);
        assert!(received.target_domain_key.is_none());
        let copies = convert(&wire::Credentials { target_domain_key: vec![8; 32], ..message() }).unwrap();
        assert_eq!(copies.target_domain_key.unwrap().expose(), [8; 32]);
        assert!(!format!("{received:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_is_named() {
        type Break = fn(&mut wire::Credentials);
        let cases: [(&str, Break); 6] = [
            ("access_key_id", |message| message.access_key_id.clear()),
            ("secret_access_key", |message| message.secret_access_key.clear()),
            ("session_token", |message| message.session_token.clear()),
            ("expires_at", |message| message.expires_at = None),
            ("domain_key", |message| message.domain_key.truncate(31)),
            ("target_domain_key", |message| message.target_domain_key = vec![7; 31]),
        ];
        for (field, breaks) in cases {
            let mut message = message();
            breaks(&mut message);
            assert_eq!(convert(&message).unwrap_err().field, field);
        }
    }
}
