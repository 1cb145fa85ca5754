//! Lifecycle rules: kept as S3's own XML; of what they ask for, the end of forgotten multipart uploads is acted on, when
//! somebody says what time it is.

use jiff::{SignedDuration, Timestamp};
use s3s::dto::{BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule};
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};
use s3s::{S3Error, S3Result};

use super::store::UploadRecord;

pub(super) fn to_text(configuration: &BucketLifecycleConfiguration) -> S3Result<String> {
    let mut bytes = Vec::new();
    configuration.serialize(&mut Serializer::new(&mut bytes)).map_err(S3Error::internal_error)?;
    String::from_utf8(bytes).map_err(S3Error::internal_error)
}

pub(super) fn from_text(text: &str) -> S3Result<BucketLifecycleConfiguration> {
    BucketLifecycleConfiguration::deserialize(&mut Deserializer::new(text.as_bytes())).map_err(S3Error::internal_error)
}

/// Whether a rule wants this upload aborted by now. Pure.
pub(super) fn is_stale(configuration: &BucketLifecycleConfiguration, upload: &UploadRecord, now: Timestamp) -> bool {
    configuration.rules.iter().any(|rule| {
        let days = rule.abort_incomplete_multipart_upload.as_ref().and_then(|abort| abort.days_after_initiation);
        let Some(days) = days.filter(|_| rule.status.as_str() == ExpirationStatus::ENABLED) else { return false };
        let age = now.duration_since(upload.initiated);
        upload.key.starts_with(prefix(rule)) && age >= SignedDuration::from_hours(24 * i64::from(days))
    })
}

fn prefix(rule: &LifecycleRule) -> &str {
    let filter = rule.filter.as_ref();
    let filtered = filter.and_then(|filter| {
        let within = filter.and.as_ref().and_then(|and| and.prefix.as_deref());
        filter.prefix.as_deref().or(within)
    });
    filtered.or(rule.prefix.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use s3s::dto::{AbortIncompleteMultipartUpload, LifecycleRuleFilter};

    use super::*;
    use crate::s3::checksum::Coverage;

    fn configuration(status: &'static str, prefix: &str) -> BucketLifecycleConfiguration {
        let rule = LifecycleRule {
            abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload { days_after_initiation: Some(2) }),
            expiration: None,
            filter: Some(LifecycleRuleFilter { prefix: Some(prefix.to_owned()), ..Default::default() }),
            id: Some("forgotten".to_owned()),
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: None,
            status: ExpirationStatus::from_static(status),
            transitions: None,
        };
        BucketLifecycleConfiguration { rules: vec![rule] }
    }

    #[test]
    fn uploads_end_when_a_rule_says_so() {
        let upload = UploadRecord {
            id: "u".into(),
            key: "packs/1".into(),
            initiated: "2026-11-20T12:00:00Z".parse().unwrap(),
            attributes: Default::default(),
            tags: Default::default(),
            algorithm: None,
            coverage: Coverage::FullObject,
            lock: Default::default(),
        };
        let later = |hours| upload.initiated + SignedDuration::from_hours(hours);
        assert!(!is_stale(&configuration("Enabled", ""), &upload, later(47)));
        assert!(is_stale(&configuration("Enabled", ""), &upload, later(48)));
        assert!(is_stale(&configuration("Enabled", "packs/"), &upload, later(48)));
        assert!(!is_stale(&configuration("Enabled", "other/"), &upload, later(48)));
        assert!(!is_stale(&configuration("Disabled", ""), &upload, later(48)));
    }

    #[test]
    fn the_text_reads_back() {
        let given = configuration("Enabled", "packs/");
        assert_eq!(from_text(&to_text(&given).unwrap()).unwrap(), given);
    }
}
