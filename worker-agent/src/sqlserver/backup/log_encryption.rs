//! Whether RDS has encrypted the log backups that it was given a KMS key for, so that their restore needs it again. No document says
//! so. What says it is the metadata of their objects: there a file that RDS has encrypted has its wrapped data key, under names that
//! Amazon's encryption clients for S3 give it (`x-amz-key-v2`, `x-amz-matdesc`). Other metadata says nothing of it.

use haulier_cloud::object_store::UserMetadata;
use haulier_domain::failure::Failure;

/// What a restore of log backups gives RDS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestoredWith {
    /// ARN of the KMS key.
    pub(super) kms_key_arn: Option<String>,
    /// What an operator should know of that.
    pub(super) warning: Option<String>,
}

/// Decides about the log backups of one database by their objects, keys with metadata. `given` is the ARN of the key that RDS was given
/// for their copies.
///
/// # Errors
/// Some of them were encrypted, and of others nobody knows.
pub(super) fn restored_with(
    database: &str,
    given: Option<&str>,
    objects: &[(&str, &UserMetadata)],
) -> Result<RestoredWith, Failure> {
    let Some(arn) = given else { return Ok(RestoredWith { kms_key_arn: None, warning: None }) };
    let without: Vec<&str> =
        objects.iter().filter(|(_, metadata)| !is_envelope(metadata)).map(|(key, _)| *key).collect();
    match without.first() {
        None => Ok(RestoredWith { kms_key_arn: Some(arn.to_owned()), warning: None }),
        Some(_) if without.len() == objects.len() => {
            let warning = format!(
                "RDS was given KMS key {arn} for the log backups of database {database:?}, and has not said that it has encrypted \
                 them: their objects' metadata names no data key. They are stored as they are, and a restore gives RDS no key for them: restore \
                 this point once before you rely on it"
            );
            Ok(RestoredWith { kms_key_arn: None, warning: Some(warning) })
        }
        Some(first) => {
            let what = format!("storing the log backups of database {database:?}");
            let cause = format!(
                "RDS was told to copy them with {arn}, and the metadata of {} of their {} objects names no data key, {first:?} for \
                 one: nobody could decrypt those",
                without.len(),
                objects.len()
            );
            let remedy = "find out who writes to the session's prefix in the temporary bucket, then run again; if nobody does, report this";
            Err(Failure::new("sqlserver-data-key-missing", what, cause, remedy))
        }
    }
}

/// Whether an object's metadata has what decrypts it.
fn is_envelope(metadata: &UserMetadata) -> bool {
    metadata.keys().any(|name| name.to_ascii_lowercase().starts_with("x-amz-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_tells_whether_a_restore_needs_the_key() {
        let (with, without) = (UserMetadata::from([("x-amz-key-v2".into(), "AQID".into())]), UserMetadata::new());
        let other = UserMetadata::from([("copied-by".into(), "rds".into())]);
        let decide = |given, first, second| restored_with("shop", given, &[("a", first), ("b", second)]);
        let key = Some("arn:key");
        for (given, metadata, expected, warns) in [
            (None, &without, None, false),
            // Whatever that is, RDS was given no key.
            (None, &with, None, false),
            (key, &with, key, false),
            (key, &without, None, true),
            (key, &other, None, true),
        ] {
            let told = decide(given, metadata, metadata).unwrap();
            assert_eq!((told.kms_key_arn.as_deref(), told.warning.is_some()), (expected, warns), "{told:?}");
            assert!(told.warning.is_none_or(|text| text.contains("arn:key") && text.contains("shop")));
        }
        for (first, second, named) in [(&with, &without, "\"b\""), (&without, &with, "\"a\"")] {
            let failure = decide(key, first, second).unwrap_err();
            assert_eq!(failure.code, "sqlserver-data-key-missing");
            assert!(failure.cause.contains(named) && failure.cause.contains("1 of their 2"), "{failure}");
        }
    }
}
