//! Temporary buckets: what they are called, and what keeps others out of them.
//!
//! A bucket that Haulier makes is shared by the sessions of one account and Region. Its name follows from the installation,
//! so that it is known before it is made, is nobody else's, and can be named in an IAM policy: everything begins with
//! [`NAME_PREFIX`].

use std::collections::BTreeSet;

use serde_json::json;

use crate::id::InstallationId;

/// What the names of all temporary buckets of all installations begin with.
pub const NAME_PREFIX: &str = "haulier-temporary-";
/// The last part of the names of sessions' folders, in a bucket that is prepared or made: `haulier-0123-native`.
pub const FOLDER_ROLE: &str = "native";
/// Days after which S3 itself removes what nobody has: the last resort, far beyond any session.
pub const EXPIRE_DAYS: u32 = 7;
/// Bytes that S3 takes in a bucket's name.
const LONGEST_NAME: usize = 63;

/// What the names of the buckets of an installation begin with.
pub fn names_of(installation: &InstallationId) -> String {
    let id = installation.as_str();
    let short = id.get(id.len().saturating_sub(12)..).unwrap_or(id);
    format!("{NAME_PREFIX}{short}-")
}

/// The name of the bucket of an installation in an account and Region.
pub fn bucket_name(installation: &InstallationId, account: &str, region: &str) -> String {
    let mut name = format!("{}{account}-{region}", names_of(installation));
    name.truncate(LONGEST_NAME);
    name
}

/// The service of RDS that copies log backups, as bucket policies name it.
const LOG_SERVICE: &str = "backups.rds.amazonaws.com";

/// A session whose log backups RDS copies into the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogWriter {
    /// ARN of the instance.
    pub instance_arn: String,
    /// What stands before the session's keys, no slash at either end.
    pub prefix: String,
}

/// The bucket policy, JSON: nobody gets in without TLS, and RDS may put log backups of these instances under the prefixes of
/// their sessions. It names no VPC and no address: RDS comes from networks of its own.
pub fn policy(partition: &str, account: &str, bucket: &str, writers: &[LogWriter]) -> String {
    let arn = format!("arn:{partition}:s3:::{bucket}");
    let mut statements = vec![json!({
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })];
    if !writers.is_empty() {
        let under = writers.iter().map(|writer| format!("{arn}/{}/*", writer.prefix)).collect::<BTreeSet<_>>();
        let instances = writers.iter().map(|writer| writer.instance_arn.as_str()).collect::<BTreeSet<_>>();
        statements.push(json!({
            "Sid": "LogBackups",
            "Effect": "Allow",
            "Principal": {"Service": LOG_SERVICE},
            "Action": "s3:PutObject",
            "Resource": under,
            "Condition": {"StringEquals": {
                "s3:x-amz-acl": "bucket-owner-full-control",
                "aws:SourceAccount": account,
                "aws:SourceArn": instances,
            }},
        }));
    }
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// Whether a text may name a bucket that somebody has prepared.
pub fn is_bucket_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (3..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(inner)
        && ends(text.as_bytes().first())
        && ends(text.as_bytes().last())
        && !text.contains("..")
}

/// Whether a text may stand before the keys in a prepared bucket: no slash at either end, and no `*`, which RDS takes for a
/// number of files.
pub fn is_key_prefix(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.'()/".contains(&byte);
    (1..=200).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_name_is_known_before_the_bucket_and_fits() {
        let installation = InstallationId::from_uuid(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        let name = bucket_name(&installation, "111122223333", "ap-southeast-1");
        assert_eq!(name, "haulier-temporary-456789abcdef-111122223333-ap-southeast-1");
        assert!(name.starts_with(&names_of(&installation)) && is_bucket_name(&name));
        assert!(is_bucket_name(&bucket_name(&installation, "111122223333", "a-region-with-a-long-name-1")));
    }

    #[test]
    fn the_policy_is_json_that_names_bucket_and_objects() {
        let read = |writers: &[LogWriter]| -> serde_json::Value {
            serde_json::from_str(&policy("aws-cn", "111122223333", "b", writers)).unwrap()
        };
        let plain = read(&[]);
        assert_eq!(plain["Statement"].as_array().map(Vec::len), Some(1));
        let statement = &plain["Statement"][0];
        assert_eq!(statement["Resource"], serde_json::json!(["arn:aws-cn:s3:::b", "arn:aws-cn:s3:::b/*"]));
        assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], "false");
        let writer = |instance: &str, prefix: &str| LogWriter { instance_arn: instance.into(), prefix: prefix.into() };
        let opened = read(&[writer("arn:db:orders", "x/ses-1"), writer("arn:db:crm", "ses-2")]);
        assert_eq!(opened["Statement"][0], plain["Statement"][0]);
        let statement = &opened["Statement"][1];
        assert_eq!(statement["Resource"], json!(["arn:aws-cn:s3:::b/ses-2/*", "arn:aws-cn:s3:::b/x/ses-1/*"]));
        assert_eq!(statement["Principal"]["Service"], "backups.rds.amazonaws.com");
        let conditions = &statement["Condition"]["StringEquals"];
        assert_eq!(conditions["aws:SourceArn"], json!(["arn:db:crm", "arn:db:orders"]));
        assert_eq!(conditions["aws:SourceAccount"], "111122223333");
    }

    #[test]
    fn names_and_prefixes_of_prepared_buckets() {
        for (text, fits) in
            [("abc", true), ("my.bucket-1", true), ("ab", false), ("-abc", false), ("Abc", false), ("a..b", false)]
        {
            assert_eq!(is_bucket_name(text), fits, "{text}");
        }
        for (text, fits) in [
            ("a", true),
            ("native/x_1", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a*", false),
            ("a//b", false),
        ] {
            assert_eq!(is_key_prefix(text), fits, "{text}");
        }
    }
}
