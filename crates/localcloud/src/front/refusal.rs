//! Who may call what: authentication and authorisation, and how each protocol says no.

use jiff::Timestamp;

use super::authorise;
use super::context::Context;
use super::services::passthrough::Original;
use super::signature::{Fault, Signature};
use super::wire::{AwsError, Call, Protocol};
use crate::credentials::{Credential, KeyError};

/// Why a caller is turned away before the call is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Unsigned,
    UnknownKey,
    ExpiredKey,
    SignatureExpired,
    SignatureMismatch,
}

/// The caller behind a request, its signature verified.
pub(crate) fn authenticate(
    context: &Context,
    signature: Option<&Signature>,
    original: &Original,
    protocol: Protocol,
    now: Timestamp,
) -> Result<Credential, AwsError> {
    let refused = |refusal| error(refusal, protocol);
    let signature = signature.ok_or_else(|| refused(Refusal::Unsigned))?;
    let credential = context
        .credentials
        .authenticate(&signature.access_key_id, signature.session_token.as_deref(), now)
        .map_err(|error| match error {
            KeyError::Expired => refused(Refusal::ExpiredKey),
            KeyError::Unknown | KeyError::Token => refused(Refusal::UnknownKey),
        })?;
    signature.verify(&original.parts, &original.body, &credential.secret_access_key, now).map_err(
        |fault| match fault {
            Fault::Missing => refused(Refusal::Unsigned),
            Fault::Expired => refused(Refusal::SignatureExpired),
            Fault::Mismatch => refused(Refusal::SignatureMismatch),
        },
    )?;
    let regional = matches!(signature.service.as_str(), "ec2" | "rds" | "kms" | "secretsmanager");
    if regional && signature.region != context.config.region {
        let text = format!("The local cloud is the Region {}, not {}", context.config.region, signature.region);
        return Err(AwsError::new("OptInRequired", text).with_status(403));
    }
    Ok(credential)
}

/// Whether the caller may make the call.
pub(crate) async fn authorise(context: &Context, call: &Call, caller: &Credential) -> Result<(), AwsError> {
    let Some(demand) = authorise::refused(context, call, caller).await? else { return Ok(()) };
    let text = format!(
        "User: {} is not authorized to perform: {} on resource: {}",
        caller.principal, demand.action, demand.resource
    );
    Err(match call.protocol() {
        Protocol::Ec2 => {
            AwsError::new("UnauthorizedOperation", format!("You are not authorized to perform this operation. {text}"))
                .with_status(403)
        }
        Protocol::Query | Protocol::S3 => AwsError::new("AccessDenied", text).with_status(403),
        Protocol::Json => AwsError::new("AccessDeniedException", text),
    })
}

/// Each protocol has its own words, from the "Common errors" pages of EC2, RDS, STS and KMS.
fn error(refusal: Refusal, protocol: Protocol) -> AwsError {
    const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
    const INVALID: &str = "The security token included in the request is invalid.";
    const EXPIRED: &str = "The security token included in the request is expired";
    let (code, text, status) = match (protocol, refusal) {
        (Protocol::Ec2, Refusal::ExpiredKey | Refusal::SignatureExpired) => {
            ("RequestExpired", "Request has expired.", 400)
        }
        (Protocol::Ec2, _) => ("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
        (Protocol::Json, Refusal::Unsigned) => {
            ("MissingAuthenticationTokenException", "Missing Authentication Token", 400)
        }
        (Protocol::Json, Refusal::UnknownKey) => ("UnrecognizedClientException", INVALID, 400),
        (Protocol::Json, Refusal::ExpiredKey) => ("ExpiredTokenException", EXPIRED, 400),
        (Protocol::Json, Refusal::SignatureExpired) => ("InvalidSignatureException", "Signature expired", 400),
        (Protocol::Json, Refusal::SignatureMismatch) => ("InvalidSignatureException", MISMATCH, 400),
        (_, Refusal::Unsigned) => ("MissingAuthenticationToken", "Request is missing Authentication Token", 403),
        (_, Refusal::UnknownKey) => ("InvalidClientTokenId", INVALID, 403),
        (_, Refusal::ExpiredKey) => ("ExpiredToken", EXPIRED, 403),
        (_, Refusal::SignatureExpired) => ("SignatureDoesNotMatch", "Signature expired", 403),
        (_, Refusal::SignatureMismatch) => ("SignatureDoesNotMatch", MISMATCH, 403),
    };
    AwsError::new(code, text).with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_says_no_in_its_own_words() {
        for (protocol, refusal, code, status) in [
            (Protocol::Ec2, Refusal::UnknownKey, "AuthFailure", 401),
            (Protocol::Ec2, Refusal::ExpiredKey, "RequestExpired", 400),
            (Protocol::Query, Refusal::ExpiredKey, "ExpiredToken", 403),
            (Protocol::Query, Refusal::UnknownKey, "InvalidClientTokenId", 403),
            (Protocol::Query, Refusal::SignatureMismatch, "SignatureDoesNotMatch", 403),
            (Protocol::Json, Refusal::ExpiredKey, "ExpiredTokenException", 400),
            (Protocol::Json, Refusal::SignatureMismatch, "InvalidSignatureException", 400),
        ] {
            let error = error(refusal, protocol);
            assert_eq!((error.code.as_str(), error.status), (code, status), "{protocol:?} {refusal:?}");
        }
    }
}
