//! Which permissions an operation needs, after the service authorisation reference. Pure.

use http::HeaderMap;

/// The ARN of a bucket or of a key in it.
pub(super) fn arn(bucket: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

/// Actions that the caller must be allowed on the resource that the request's path names. `DeleteObjects` names its
/// keys in the body and `CopyObject` its source in a header: those are asked for by the operations.
pub(super) fn needed(operation: &str, headers: &HeaderMap) -> Vec<String> {
    let action = match operation {
        "DeleteObjects" => return Vec::new(),
        "ListBuckets" => "s3:ListAllMyBuckets",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        "ListParts" => "s3:ListMultipartUploadParts",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "s3:PutBucketPublicAccessBlock",
        "GetBucketLifecycleConfiguration" => "s3:GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "s3:PutLifecycleConfiguration",
        "DeleteBucketTagging" => "s3:PutBucketTagging",
        "HeadObject" => "s3:GetObject",
        "GetObjectAttributes" => return ["s3:GetObject", "s3:GetObjectAttributes"].map(str::to_owned).into(),
        "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" | "CompleteMultipartUpload" => {
            "s3:PutObject"
        }
        same => return with_tags(format!("s3:{same}"), headers),
    };
    with_tags(action.to_owned(), headers)
}

fn with_tags(action: String, headers: &HeaderMap) -> Vec<String> {
    let tags = action == "s3:PutObject" && headers.contains_key("x-amz-tagging");
    let mut needed = vec![action];
    if tags {
        needed.push("s3:PutObjectTagging".to_owned());
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_need_what_the_reference_says() {
        let plain = HeaderMap::new();
        let tagged = HeaderMap::from_iter([(http::HeaderName::from_static("x-amz-tagging"), "a=b".parse().unwrap())]);
        for (operation, headers, expected) in [
            ("PutObject", &plain, vec!["s3:PutObject"]),
            ("PutObject", &tagged, vec!["s3:PutObject", "s3:PutObjectTagging"]),
            ("CreateMultipartUpload", &tagged, vec!["s3:PutObject", "s3:PutObjectTagging"]),
            ("UploadPart", &plain, vec!["s3:PutObject"]),
            ("AbortMultipartUpload", &plain, vec!["s3:AbortMultipartUpload"]),
            ("HeadObject", &plain, vec!["s3:GetObject"]),
            ("ListObjectsV2", &plain, vec!["s3:ListBucket"]),
            ("DeleteObject", &plain, vec!["s3:DeleteObject"]),
            ("DeleteObjects", &plain, vec![]),
            ("PutBucketPolicy", &plain, vec!["s3:PutBucketPolicy"]),
        ] {
            assert_eq!(needed(operation, headers), expected, "{operation}");
        }
    }
}
