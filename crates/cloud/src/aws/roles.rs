//! IAM.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_iam::Client;

use super::error::{failed, incomplete};
use crate::error::Result;
use crate::roles::{Role, Roles};

/// IAM through the SDK.
#[derive(Debug)]
pub(super) struct Iam {
    client: Client,
}

impl Iam {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

#[async_trait]
impl Roles for Iam {
    async fn role(&self, name: &str) -> Result<Option<Role>> {
        let answer = self.client.get_role().role_name(name).send().await;
        let role = match answer.map_err(|error| failed("GetRole", name, error)) {
            Ok(answer) => answer.role.ok_or_else(|| incomplete("GetRole", name, "role"))?,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let trust = percent_decoded(role.assume_role_policy_document().unwrap_or_default());
        Ok(Some(Role { arn: role.arn, trust }))
    }
}

/// RFC 3986, as IAM encodes documents. What is no escape stands for itself.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_was_written() {
        assert_eq!(percent_decoded("%7B%22a%22%3A%20%22%C3%A4%22%7D"), "{\"a\": \"\u{e4}\"}");
        assert_eq!(percent_decoded(r#"{"a": "100%", "b": "%zz%4"}"#), r#"{"a": "100%", "b": "%zz%4"}"#);
    }
}
