//! What this S3 does not have, told from a request's headers. A request that asks for it must not succeed as
//! if it had been given. Pure.

use http::HeaderMap;

const HEADERS: [(&str, &str); 6] = [
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
pub(super) fn feature(headers: &HeaderMap) -> Option<&'static str> {
    if let Some((_, feature)) = HEADERS.iter().find(|(name, _)| headers.contains_key(*name)) {
        return Some(feature);
    }
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if says("x-amz-acl").is_some_and(|list| !OWNER_LISTS.contains(&list)) {
        return Some("access control lists");
    }
    let archived = says("x-amz-storage-class").is_some_and(|class| matches!(class, "GLACIER" | "DEEP_ARCHIVE"));
    archived.then_some("archive storage classes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_and_let_through() {
        for (name, value, expected) in [
            ("x-amz-website-redirect-location", "/elsewhere", Some("websites")),
            ("x-amz-object-lock-mode", "GOVERNANCE", None),
            ("x-amz-storage-class", "DEEP_ARCHIVE", Some("archive storage classes")),
            ("x-amz-storage-class", "STANDARD_IA", None),
            ("x-amz-acl", "public-read", Some("access control lists")),
            ("x-amz-acl", "private", None),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            let name: &http::HeaderName = headers.keys().next().unwrap();
            assert_eq!(feature(&headers), expected, "{name}: {value}");
        }
    }
}
