//! What this product relies on in S3, checked through the AWS SDK.
//!
//! One suite, run against our own S3 and against a second implementation: where both agree, a check is unlikely to
//! merely repeat our own mistake. Checks that the second one gets wrong say why. Checks of permissions,
//! of services and of the folder concern our own alone: the second verifies none of it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a check that fails panics")]

mod access;
mod buckets;
mod checksums;
mod conditions;
mod defaults;
mod folder;
mod listing;
mod locks;
mod moto;
mod multipart;
mod objects;
mod target;
mod versions;

/// Makes a test of each check against our S3, and the list that is run against moto's.
macro_rules! checks {
    ($($module:ident :: $check:ident $(, not moto: $reason:literal)?;)*) => {
        /// The checks against our own S3, each with an empty one of its own.
        mod ours {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $check() {
                    let ours = crate::target::Ours::start();
                    crate::$module::$check(ours.target()).await;
                }
            )*
        }

        /// The checks by name, with the reason why moto cannot be asked, if there is one.
        fn all() -> Vec<(&'static str, Option<&'static str>, moto::Check)> {
            vec![$((
                stringify!($check),
                None::<&'static str>$(.or(Some($reason)))?,
                Box::new(|target| Box::pin($module::$check(target))),
            )),*]
        }
    };
}

checks! {
    objects::bytes_come_back_whole;
    objects::keys_may_be_any_text;
    objects::what_is_said_of_an_object_comes_back_with_it;
    objects::a_missing_object_is_not_found;
    objects::ranges_give_their_bytes;
    objects::reads_take_conditions;
    objects::an_object_is_replaced_and_deleted;
    objects::many_are_deleted_at_once;
    objects::copies_keep_or_replace_what_is_said;
    objects::tags_are_put_read_and_removed;
    objects::attributes_tell_size_and_checksum;
    objects::what_is_not_there_says_so, not moto: "it has archive classes";
    conditions::an_object_is_created_once;
    conditions::of_many_writers_exactly_one_creates;
    conditions::of_many_writers_exactly_one_replaces;
    conditions::if_match_needs_the_object;
    conditions::a_multipart_upload_is_completed_once;
    conditions::a_delete_takes_a_condition;
    conditions::a_copy_takes_a_condition, not moto: "it ignores If-None-Match on CopyObject";
    checksums::every_algorithm_is_returned;
    checksums::a_wrong_checksum_is_refused, not moto: "it accepts a wrong checksum";
    checksums::a_wrong_md5_is_refused, not moto: "it accepts a wrong Content-MD5";
    checksums::s3_chooses_an_algorithm_if_the_client_does_not, not moto: "it stores no checksum of its own choice";
    checksums::parts_have_a_composite_checksum, not moto: "it returns no checksum of the parts";
    checksums::parts_have_a_checksum_of_the_whole, not moto: "its CRC64NVME of several parts is not that of the object";
    checksums::a_wrong_checksum_of_the_whole_is_refused, not moto: "it accepts a wrong checksum";
    checksums::algorithms_are_not_mixed_in_one_upload, not moto: "it accepts any";
    multipart::parts_make_one_object;
    multipart::the_sdks_defaults_make_an_object;
    multipart::a_part_can_be_sent_again, not moto: "its ListParts answer has another root element";
    multipart::an_aborted_upload_is_gone, not moto: "abort of a multipart upload answers 500";
    multipart::uploads_under_way_are_listed;
    multipart::a_wrong_list_of_parts_is_refused;
    multipart::a_part_is_read_by_its_number, not moto: "it answers the whole object";
    listing::pages_give_every_key_in_order;
    listing::prefix_and_delimiter_roll_up;
    listing::a_listing_starts_after_a_key;
    listing::the_older_listing_agrees, not moto: "it does not count rolled-up prefixes in a page";
    buckets::a_bucket_is_created_once_and_deleted_empty;
    buckets::a_missing_bucket_is_not_found;
    buckets::buckets_are_listed_with_their_region, not moto: "it leaves the Region out";
    buckets::settings_come_back;
    buckets::settings_can_be_removed;
    buckets::a_bucket_is_made_where_the_endpoint_is;
    versions::a_bucket_tells_its_versioning, not moto: "its GetBucketVersioning answer has another root element";
    versions::every_write_adds_a_version;
    versions::a_delete_hides_and_a_marker_can_be_taken_away, not moto: "it does not say that a marker hides the object";
    versions::one_version_goes_for_good;
    versions::what_was_there_before_is_the_version_null, not moto: "it does not tell the version null";
    versions::suspended_writes_take_the_place_of_null, not moto: "it does not tell the version null";
    versions::pages_give_every_version_in_order;
    versions::several_versions_go_at_once;
    versions::copies_and_tags_know_versions;
    locks::a_bucket_is_made_with_a_lock, not moto: "its GetBucketVersioning answer has another root element";
    locks::compliance_holds_against_everybody;
    locks::governance_is_bypassed_by_who_says_so;
    locks::a_retention_grows_and_does_not_shrink, not moto: "it answers an empty retention where there is none";
    locks::a_legal_hold_has_no_end;
    locks::a_bucket_has_a_retention_of_its_own, not moto: "its InvalidBucketState is no conflict";
    locks::a_multipart_upload_brings_its_lock, not moto: "it forgets the lock of a multipart upload";
    locks::what_cannot_be_locked_is_refused, not moto: "it takes a date in the past";
    locks::bytes_under_a_lock_are_verified, not moto: "it has an error code of its own for that";
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_implementation_agrees() {
    moto::run(all()).await;
}
