//! What this S3 does not have, told from a request's headers and query. A request that asks for it must not succeed as
//! if it had been given. Pure.

use http::{HeaderMap, Uri};

use super::context::parameter;

const HEADERS: [(&str, &str); 9] = [
    ("x-amz-object-lock-mode", "object lock"),
    ("x-amz-object-lock-retain-until-date", "object lock"),
    ("x-amz-object-lock-legal-hold", "object lock"),
    ("x-amz-server-side-encryption-customer-algorithm", "keys provided by the customer"),
    ("x-amz-copy-source-server-side-encryption-customer-algorithm", "keys provided by the customer"),
    ("x-amz-website-redirect-location", "websites"),
    ("x-amz-write-offset-bytes", "appending to objects"),
    ("x-amz-grant-read", "access control lists"),
    ("x-amz-grant-full-control", "access control lists"),
];

/// Lists that say no more than that the owner owns the object.
const OWNER_LISTS: [&str; 3] = ["private", "bucket-owner-full-control", "bucket-owner-read"];

/// The feature that a request asks for and that is not there.
pub(super) fn feature(headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    if let Some((_, feature)) = HEADERS.iter().find(|(name, _)| headers.contains_key(*name)) {
        return Some(feature);
    }
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if says("x-amz-bucket-object-lock-enabled").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Some("object lock");
    }
    if says("x-amz-acl").is_some_and(|list| !OWNER_LISTS.contains(&list)) {
        return Some("access control lists");
    }
    if says("x-amz-storage-class").is_some_and(|class| matches!(class, "GLACIER" | "DEEP_ARCHIVE")) {
        return Some("archive storage classes");
    }
    // Without versioning an object has one version, whose id is "null".
    let version = parameter(uri, "versionId").filter(|version| version != "null");
    version.map(|_| "versioning")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_and_let_through() {
        for (name, value, uri, expected) in [
            ("x-amz-object-lock-mode", "GOVERNANCE", "/b/k", Some("object lock")),
            ("x-amz-bucket-object-lock-enabled", "true", "/b", Some("object lock")),
            ("x-amz-bucket-object-lock-enabled", "false", "/b", None),
            ("x-amz-storage-class", "DEEP_ARCHIVE", "/b/k", Some("archive storage classes")),
            ("x-amz-storage-class", "STANDARD_IA", "/b/k", None),
            ("x-amz-acl", "public-read", "/b/k", Some("access control lists")),
            ("x-amz-acl", "private", "/b/k", None),
            ("host", "h", "/b/k?versionId=abc", Some("versioning")),
            ("host", "h", "/b/k?versionId=null", None),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            let name: &http::HeaderName = headers.keys().next().unwrap();
            assert_eq!(feature(&headers, &uri.parse().unwrap()), expected, "{name}: {value} {uri}");
        }
    }
}
