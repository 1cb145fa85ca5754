//! Condition keys of a request. Pure.

use http::{HeaderMap, Uri};
use jiff::Timestamp;

use crate::credentials::Credential;
use crate::iam::Context;

/// Condition keys that carry a header of the request.
const FROM_HEADERS: [(&str, &str); 7] = [
    ("s3:object-lock-legal-hold", "x-amz-object-lock-legal-hold"),
    ("s3:x-amz-acl", "x-amz-acl"),
    ("s3:x-amz-content-sha256", "x-amz-content-sha256"),
    ("s3:x-amz-metadata-directive", "x-amz-metadata-directive"),
    ("s3:x-amz-server-side-encryption", "x-amz-server-side-encryption"),
    ("s3:x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id"),
    ("s3:x-amz-storage-class", "x-amz-storage-class"),
];

/// The condition keys of a request.
///
/// `aws:SecureTransport` is true: the plain loopback port stands for S3's HTTPS endpoint, and a bucket policy that
/// refuses anything else must be usable here.
pub(super) fn of_request(
    operation: &str,
    headers: &HeaderMap,
    uri: &Uri,
    caller: &Credential,
    account: &str,
) -> Context {
    let mut context = of_caller(caller, account)
        .with("aws:SecureTransport", "true")
        .with("s3:ResourceAccount", account)
        .with("s3:signatureversion", "AWS4-HMAC-SHA256");
    if let Some(header) = user_agent(headers) {
        context.add("aws:UserAgent", header);
    }
    for (key, name) in FROM_HEADERS {
        if let Some(value) = header(headers, name) {
            context.add(key, value);
        }
    }
    if let Some(version) = parameter(uri, "versionId") {
        context.add("s3:VersionId", version);
    }
    let until = header(headers, "x-amz-object-lock-retain-until-date").and_then(|until| until.parse().ok());
    if let (Some(mode), Some(until)) = (header(headers, "x-amz-object-lock-mode"), until) {
        add_retention(&mut context, &mode, until, Timestamp::now());
    }
    match operation {
        "ListObjects" | "ListObjectsV2" | "ListObjectVersions" | "ListMultipartUploads" => {
            for (key, name) in [("s3:prefix", "prefix"), ("s3:delimiter", "delimiter"), ("s3:max-keys", "max-keys")] {
                if let Some(value) = parameter(uri, name) {
                    context.add(key, value);
                }
            }
        }
        "PutObject" | "CopyObject" | "CompleteMultipartUpload" => {
            context.add("s3:ObjectCreationOperation", "true");
            add_conditions(&mut context, headers);
        }
        "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" => {
            context.add("s3:ObjectCreationOperation", "false");
        }
        "DeleteObject" => add_conditions(&mut context, headers),
        _ => {}
    }
    context
}

/// What is known of the caller: a service is no principal of the account, and says for which resource it acts.
fn of_caller(caller: &Credential, account: &str) -> Context {
    match &caller.source_arn {
        Some(source) => Context::new()
            .with("aws:PrincipalIsAWSService", "true")
            .with("aws:PrincipalServiceName", &caller.principal)
            .with("aws:SourceAccount", account)
            .with("aws:SourceArn", source),
        None => Context::new()
            .with("aws:PrincipalIsAWSService", "false")
            .with("aws:PrincipalArn", role_arn(&caller.principal))
            .with("aws:PrincipalAccount", account)
            .with("aws:userid", &caller.user_id),
    }
}

/// The keys that carry a retention; a day that has begun counts as one that remains.
pub(super) fn add_retention(context: &mut Context, mode: &str, until: Timestamp, now: Timestamp) {
    let seconds = until.as_second().saturating_sub(now.as_second());
    context.add("s3:object-lock-mode", mode.to_owned());
    context.add("s3:object-lock-retain-until-date", until.to_string());
    context.add("s3:object-lock-remaining-retention-days", seconds.max(0).unsigned_abs().div_ceil(86_400).to_string());
}

fn add_conditions(context: &mut Context, headers: &HeaderMap) {
    for (key, name) in [("s3:if-none-match", "if-none-match"), ("s3:if-match", "if-match")] {
        if let Some(value) = header(headers, name) {
            context.add(key, value);
        }
    }
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    header(headers, "user-agent")
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `aws:PrincipalArn` of a session is the ARN of its role.
fn role_arn(principal: &str) -> String {
    let Some((account, session)) =
        principal.strip_prefix("arn:aws:sts::").and_then(|rest| rest.split_once(":assumed-role/"))
    else {
        return principal.to_owned();
    };
    let role = session.split('/').next().unwrap_or(session);
    format!("arn:aws:iam::{account}:role/{role}")
}

/// The value of a query parameter, decoded.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(decode(value))
}

/// Undoes percent encoding; `+` is a blank, as in every query string.
pub(in crate::s3) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::Permissions;

    fn caller(principal: &str) -> Credential {
        Credential {
            access_key_id: "ASIA1".into(),
            secret_access_key: "secret".into(),
            session_token: None,
            principal: principal.into(),
            user_id: "AROA1:x".into(),
            permissions: Permissions::None,
            source_arn: None,
            expires: None,
        }
    }

    #[test]
    fn keys_of_listings_and_writes() {
        let uri: Uri = "/b?list-type=2&prefix=a%2Fb+c%25&delimiter=%2F".parse().unwrap();
        let listing = of_request("ListObjectsV2", &HeaderMap::new(), &uri, &caller("arn:aws:iam::1:root"), "1");
        assert_eq!(listing.get("s3:prefix"), Some(&["a/b c%".to_owned()][..]));
        assert_eq!(listing.get("aws:SecureTransport"), Some(&["true".to_owned()][..]));
        assert_eq!(listing.get("s3:ObjectCreationOperation"), None);

        let headers = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, "*".parse().unwrap())]);
        let session = caller("arn:aws:sts::1:assumed-role/worker/ses-1");
        let write = of_request("PutObject", &headers, &"/b/k".parse().unwrap(), &session, "1");
        assert_eq!(write.get("s3:if-none-match"), Some(&["*".to_owned()][..]));
        assert_eq!(write.get("aws:PrincipalArn"), Some(&["arn:aws:iam::1:role/worker".to_owned()][..]));
        let service = Credential { source_arn: Some("arn:aws:rds:db".into()), ..caller("backups.rds.amazonaws.com") };
        let by_service = of_request("PutObject", &headers, &"/b/k".parse().unwrap(), &service, "1");
        assert_eq!(by_service.get("aws:SourceArn"), Some(&["arn:aws:rds:db".to_owned()][..]));
        assert_eq!(by_service.get("aws:PrincipalArn"), None);
        let part = of_request("UploadPart", &headers, &"/b/k".parse().unwrap(), &session, "1");
        assert_eq!(part.get("s3:ObjectCreationOperation"), Some(&["false".to_owned()][..]));
    }
}
