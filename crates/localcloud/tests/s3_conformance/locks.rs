//! Object Lock: retention, legal hold, the bucket's own retention.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, DefaultRetention, ObjectLockConfiguration,
    ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention,
    ObjectLockRetentionMode, ObjectLockRule, VersioningConfiguration,
};

use crate::target::{Target, get, here, put, refusal, refused};
use crate::versions::{put_version, set_versioning};

/// So many days from now, in whole seconds.
pub(crate) fn in_days(days: u64) -> DateTime {
    let at = SystemTime::now() + Duration::from_secs(days * 86_400);
    DateTime::from_secs(DateTime::from(at).secs())
}

/// A bucket with Object Lock.
async fn locked(target: &Target) -> (Client, String) {
    let client = target.client();
    let bucket = format!("conformance-{}", uuid::Uuid::new_v4().simple());
    make(&client, &bucket).await;
    (client, bucket)
}

pub(crate) async fn make(client: &Client, bucket: &str) {
    let make = client.create_bucket().bucket(bucket).create_bucket_configuration(here());
    make.object_lock_enabled_for_bucket(true).send().await.unwrap();
}

pub(crate) fn writing(client: &Client, bucket: &str, mode: ObjectLockMode, until: DateTime) -> PutObjectFluentBuilder {
    let body = ByteStream::from_static(b"kept");
    let put = client.put_object().bucket(bucket).key("k").body(body);
    put.object_lock_mode(mode).object_lock_retain_until_date(until)
}

fn retention(mode: ObjectLockRetentionMode, until: DateTime) -> ObjectLockRetention {
    ObjectLockRetention::builder().mode(mode).retain_until_date(until).build()
}

async fn retain(client: &Client, bucket: &str, retention: ObjectLockRetention) -> Result<(), (u16, String)> {
    let put = client.put_object_retention().bucket(bucket).key("k").retention(retention).send().await;
    if put.is_ok() { Ok(()) } else { Err(refusal(put)) }
}

async fn until(client: &Client, bucket: &str) -> Option<DateTime> {
    let read = client.get_object_retention().bucket(bucket).key("k").send().await.unwrap();
    read.retention.unwrap().retain_until_date
}

pub(crate) async fn a_bucket_is_made_with_a_lock(target: Target) {
    let (client, bucket) = locked(&target).await;
    let versioning = client.get_bucket_versioning().bucket(&bucket).send().await.unwrap();
    assert_eq!(versioning.status(), Some(&BucketVersioningStatus::Enabled));
    let read = client.get_object_lock_configuration().bucket(&bucket).send().await.unwrap();
    let configuration = read.object_lock_configuration().unwrap();
    assert_eq!(configuration.object_lock_enabled(), Some(&ObjectLockEnabled::Enabled));
    assert!(configuration.rule().is_none());
    let suspended = VersioningConfiguration::builder().status(BucketVersioningStatus::Suspended).build();
    let suspend = client.put_bucket_versioning().bucket(&bucket).versioning_configuration(suspended).send().await;
    assert_eq!(refusal(suspend), refused(409, "InvalidBucketState"));

    let (client, bucket) = target.bucket().await;
    let none = client.get_object_lock_configuration().bucket(&bucket).send().await;
    assert_eq!(refusal(none), refused(404, "ObjectLockConfigurationNotFoundError"));
}

pub(crate) async fn compliance_holds_against_everybody(target: Target) {
    let (client, bucket) = locked(&target).await;
    let put = writing(&client, &bucket, ObjectLockMode::Compliance, in_days(3)).send().await.unwrap();
    let version = put.version_id().unwrap();
    let delete = || client.delete_object().bucket(&bucket).key("k").version_id(version);
    assert_eq!(refusal(delete().send().await), refused(403, "AccessDenied"));
    let bypassing = delete().bypass_governance_retention(true).send().await;
    assert_eq!(refusal(bypassing), refused(403, "AccessDenied"));

    // A delete that names no version hides and takes nothing away.
    let hidden = client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(hidden.delete_marker(), Some(true));
    let marker = hidden.version_id().unwrap();
    client.delete_object().bucket(&bucket).key("k").version_id(marker).send().await.unwrap();
    assert_eq!(get(&client, &bucket, "k").await, b"kept");

    let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(head.object_lock_mode(), Some(&ObjectLockMode::Compliance));
    assert!(head.object_lock_retain_until_date().is_some());
}

pub(crate) async fn governance_is_bypassed_by_who_says_so(target: Target) {
    let (client, bucket) = locked(&target).await;
    let put = writing(&client, &bucket, ObjectLockMode::Governance, in_days(3)).send().await.unwrap();
    let version = put.version_id().unwrap();
    let delete = || client.delete_object().bucket(&bucket).key("k").version_id(version);
    assert_eq!(refusal(delete().send().await), refused(403, "AccessDenied"));
    delete().bypass_governance_retention(true).send().await.unwrap();
    assert_eq!(refusal(client.get_object().bucket(&bucket).key("k").send().await), refused(404, "NoSuchKey"));
}

pub(crate) async fn a_retention_grows_and_does_not_shrink(target: Target) {
    use ObjectLockRetentionMode::{Compliance, Governance};
    let (client, bucket) = locked(&target).await;
    put_version(&client, &bucket, "k", "kept").await;
    let none = client.get_object_retention().bucket(&bucket).key("k").send().await;
    assert_eq!(refusal(none), refused(404, "NoSuchObjectLockConfiguration"));
    let denied = Err(refused(403, "AccessDenied"));

    let (three, five, four) = (in_days(3), in_days(5), in_days(4));
    assert_eq!(retain(&client, &bucket, retention(Governance, three)).await, Ok(()));
    assert_eq!(retain(&client, &bucket, retention(Governance, five)).await, Ok(()));
    assert_eq!(until(&client, &bucket).await, Some(five));
    assert_eq!(retain(&client, &bucket, retention(Governance, four)).await, denied);
    assert_eq!(retain(&client, &bucket, ObjectLockRetention::builder().build()).await, denied);
    let shorten = client.put_object_retention().bucket(&bucket).key("k").retention(retention(Compliance, four));
    shorten.bypass_governance_retention(true).send().await.unwrap();
    assert_eq!(until(&client, &bucket).await, Some(four));

    assert_eq!(retain(&client, &bucket, retention(Compliance, three)).await, denied);
    assert_eq!(retain(&client, &bucket, retention(Governance, five)).await, denied);
    let bypassing = client.put_object_retention().bucket(&bucket).key("k").retention(retention(Compliance, three));
    assert_eq!(refusal(bypassing.bypass_governance_retention(true).send().await), refused(403, "AccessDenied"));
    assert_eq!(retain(&client, &bucket, retention(Compliance, five)).await, Ok(()));
    assert_eq!(until(&client, &bucket).await, Some(five));
    let past = DateTime::from_secs(1_000_000_000);
    assert_eq!(retain(&client, &bucket, retention(Compliance, past)).await, Err(refused(400, "InvalidArgument")));
}

pub(crate) async fn a_legal_hold_has_no_end(target: Target) {
    let (client, bucket) = locked(&target).await;
    let version = put_version(&client, &bucket, "k", "kept").await;
    let hold = async |status: ObjectLockLegalHoldStatus| {
        let hold = ObjectLockLegalHold::builder().status(status).build();
        client.put_object_legal_hold().bucket(&bucket).key("k").legal_hold(hold).send().await.unwrap();
        client.get_object_legal_hold().bucket(&bucket).key("k").send().await.unwrap().legal_hold.unwrap().status
    };
    assert_eq!(hold(ObjectLockLegalHoldStatus::On).await, Some(ObjectLockLegalHoldStatus::On));
    let delete = || client.delete_object().bucket(&bucket).key("k").version_id(&version);
    let bypassing = delete().bypass_governance_retention(true).send().await;
    assert_eq!(refusal(bypassing), refused(403, "AccessDenied"));
    assert_eq!(hold(ObjectLockLegalHoldStatus::Off).await, Some(ObjectLockLegalHoldStatus::Off));
    delete().send().await.unwrap();

    let put = client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"held"));
    put.object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On).send().await.unwrap();
    let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(head.object_lock_legal_hold_status(), Some(&ObjectLockLegalHoldStatus::On));
}

pub(crate) async fn a_bucket_has_a_retention_of_its_own(target: Target) {
    let (client, bucket) = target.bucket().await;
    let default = DefaultRetention::builder().mode(ObjectLockRetentionMode::Compliance).days(2).build();
    let rule = ObjectLockRule::builder().default_retention(default.clone()).build();
    let configuration =
        ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled).rule(rule).build();
    let configure = || {
        client.put_object_lock_configuration().bucket(&bucket).object_lock_configuration(configuration.clone()).send()
    };
    assert_eq!(refusal(configure().await), refused(409, "InvalidBucketState"));
    set_versioning(&client, &bucket, BucketVersioningStatus::Enabled).await;
    configure().await.unwrap();
    let read = client.get_object_lock_configuration().bucket(&bucket).send().await.unwrap();
    let rule = read.object_lock_configuration.unwrap().rule.unwrap();
    assert_eq!(rule.default_retention(), Some(&default));

    let version = put_version(&client, &bucket, "k", "kept").await;
    let found = until(&client, &bucket).await.unwrap().secs();
    let expected = in_days(2).secs();
    assert!((expected - 60..=expected + 1).contains(&found), "{found} is about two days from now, {expected}");
    let delete = client.delete_object().bucket(&bucket).key("k").version_id(&version).send().await;
    assert_eq!(refusal(delete), refused(403, "AccessDenied"));
    let later = in_days(9);
    writing(&client, &bucket, ObjectLockMode::Governance, later).send().await.unwrap();
    assert_eq!(until(&client, &bucket).await, Some(later), "a write's own wins");
}

pub(crate) async fn a_multipart_upload_brings_its_lock(target: Target) {
    let (client, bucket) = locked(&target).await;
    let until = in_days(3);
    let begin = client.create_multipart_upload().bucket(&bucket).key("k");
    let begin = begin.object_lock_mode(ObjectLockMode::Compliance).object_lock_retain_until_date(until);
    let id = begin.send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket(&bucket).key("k").upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from_static(b"part")).send().await.unwrap();
    let parts = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(part.e_tag)
        .set_checksum_crc32(part.checksum_crc32)
        .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
        .build();
    let parts = CompletedMultipartUpload::builder().parts(parts).build();
    let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(&id).multipart_upload(parts);
    let version = complete.send().await.unwrap().version_id.unwrap();
    let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(head.object_lock_retain_until_date(), Some(&until));
    let delete = client.delete_object().bucket(&bucket).key("k").version_id(version).send().await;
    assert_eq!(refusal(delete), refused(403, "AccessDenied"));
}

pub(crate) async fn what_cannot_be_locked_is_refused(target: Target) {
    let (client, bucket) = target.bucket().await;
    let write = writing(&client, &bucket, ObjectLockMode::Governance, in_days(1)).send().await;
    assert_eq!(refusal(write), refused(400, "InvalidRequest"));
    put(&client, &bucket, "k", "x").await;
    let kept = retain(&client, &bucket, retention(ObjectLockRetentionMode::Governance, in_days(1))).await;
    assert_eq!(kept, Err(refused(400, "InvalidRequest")));

    let (client, bucket) = locked(&target).await;
    let past = writing(&client, &bucket, ObjectLockMode::Governance, DateTime::from_secs(1_000_000_000)).send().await;
    assert_eq!(refusal(past), refused(400, "InvalidArgument"));
    let half = client.put_object().bucket(&bucket).key("k").object_lock_mode(ObjectLockMode::Governance).send().await;
    assert_eq!(refusal(half), refused(400, "InvalidArgument"));
}

pub(crate) async fn bytes_under_a_lock_are_verified(target: Target) {
    let (client, bucket) = locked(&target).await;
    let config = client.config().to_builder();
    let careless =
        Client::from_conf(config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired).build());
    let write = writing(&careless, &bucket, ObjectLockMode::Governance, in_days(1)).send().await;
    assert_eq!(refusal(write), refused(400, "InvalidRequest"));
    careless.put_object().bucket(&bucket).key("k").send().await.unwrap();
}
