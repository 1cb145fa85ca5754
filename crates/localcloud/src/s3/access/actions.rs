//! Which permissions an operation needs, after the service authorisation reference. Pure.

use http::{HeaderMap, Uri};

use super::context::parameter;

/// The ARN of a bucket or of a key in it.
pub(super) fn arn(bucket: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

/// Actions that the caller must be allowed on the resource that the request's path names. `DeleteObjects` names its
/// keys in the body, `PutObjectRetention` what a policy's conditions look at, and `CopyObject` its source in a header:
/// those are asked for by the operations.
pub(super) fn needed(operation: &str, headers: &HeaderMap, uri: &Uri) -> Vec<String> {
    if parameter(uri, "versionId").is_some()
        && let Some(actions) = on_a_version(operation)
    {
        return actions.iter().map(|action| format!("s3:{action}")).collect();
    }
    let action = match operation {
        "DeleteObjects" | "PutObjectRetention" => return Vec::new(),
        "CreateBucket" if headers.contains_key("x-amz-bucket-object-lock-enabled") => {
            return ["s3:CreateBucket", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"]
                .map(str::to_owned)
                .into();
        }
        "ListObjectVersions" => "s3:ListBucketVersions",
        "GetObjectLockConfiguration" => "s3:GetBucketObjectLockConfiguration",
        "PutObjectLockConfiguration" => "s3:PutBucketObjectLockConfiguration",
        "ListBuckets" => "s3:ListAllMyBuckets",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        "ListParts" => "s3:ListMultipartUploadParts",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "s3:PutBucketPublicAccessBlock",
        "GetBucketLifecycleConfiguration" => "s3:GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "s3:PutLifecycleConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "s3:PutEncryptionConfiguration",
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "DeleteBucketOwnershipControls" => "s3:PutBucketOwnershipControls",
        "DeleteBucketTagging" => "s3:PutBucketTagging",
        "HeadObject" => "s3:GetObject",
        "GetObjectAttributes" => return ["s3:GetObject", "s3:GetObjectAttributes"].map(str::to_owned).into(),
        "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" | "CompleteMultipartUpload" => {
            "s3:PutObject"
        }
        same => return vec![format!("s3:{same}")].into_iter().chain(with_object(same, headers)).collect(),
    };
    let created = if action == "s3:PutObject" { "PutObject" } else { "" };
    vec![action.to_owned()].into_iter().chain(with_object(created, headers)).collect()
}

/// Actions on one version in the place of those on the object.
fn on_a_version(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        "GetObject" | "HeadObject" => &["GetObjectVersion"],
        "DeleteObject" => &["DeleteObjectVersion"],
        "GetObjectAttributes" => &["GetObjectVersion", "GetObjectVersionAttributes"],
        "GetObjectTagging" => &["GetObjectVersionTagging"],
        "PutObjectTagging" => &["PutObjectVersionTagging"],
        "DeleteObjectTagging" => &["DeleteObjectVersionTagging"],
        _ => return None,
    })
}

/// What a write that brings more than bytes needs besides.
fn with_object(operation: &str, headers: &HeaderMap) -> Vec<String> {
    let parts = [
        ("x-amz-tagging", "s3:PutObjectTagging"),
        ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
        ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
    ];
    let brings = |header: &str| operation == "PutObject" && headers.contains_key(header);
    parts.into_iter().filter(|(header, _)| brings(header)).map(|(_, action)| action.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_need_what_the_reference_says() {
        let plain = HeaderMap::new();
        let with =
            |name: &'static str| HeaderMap::from_iter([(http::HeaderName::from_static(name), "a=b".parse().unwrap())]);
        let tagged = with("x-amz-tagging");
        for (operation, headers, expected) in [
            ("PutObject", &plain, vec!["s3:PutObject"]),
            ("PutObject", &tagged, vec!["s3:PutObject", "s3:PutObjectTagging"]),
            ("CreateMultipartUpload", &tagged, vec!["s3:PutObject", "s3:PutObjectTagging"]),
            ("PutObject", &with("x-amz-object-lock-mode"), vec!["s3:PutObject", "s3:PutObjectRetention"]),
            ("CopyObject", &with("x-amz-object-lock-legal-hold"), vec!["s3:PutObject", "s3:PutObjectLegalHold"]),
            ("ListObjectVersions", &plain, vec!["s3:ListBucketVersions"]),
            ("UploadPart", &plain, vec!["s3:PutObject"]),
            ("AbortMultipartUpload", &plain, vec!["s3:AbortMultipartUpload"]),
            ("HeadObject", &plain, vec!["s3:GetObject"]),
            ("ListObjectsV2", &plain, vec!["s3:ListBucket"]),
            ("DeleteObject", &plain, vec!["s3:DeleteObject"]),
            ("DeleteObjects", &plain, vec![]),
            ("PutBucketPolicy", &plain, vec!["s3:PutBucketPolicy"]),
        ] {
            assert_eq!(needed(operation, headers, &"/b/k".parse().unwrap()), expected, "{operation}");
        }
        let of_version = |operation| needed(operation, &plain, &"/b/k?versionId=v".parse().unwrap());
        assert_eq!(of_version("GetObject"), ["s3:GetObjectVersion"]);
        assert_eq!(of_version("DeleteObject"), ["s3:DeleteObjectVersion"]);
        assert_eq!(of_version("GetObjectRetention"), ["s3:GetObjectRetention"]);
    }
}
