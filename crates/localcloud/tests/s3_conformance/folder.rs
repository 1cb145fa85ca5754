//! What our own S3 keeps in its folder, and what its owner can ask it to do.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    ObjectLockMode,
};
use jiff::{SignedDuration, Timestamp};

use crate::locks;
use crate::target::{Ours, bytes, create_bucket, get, put, refusal, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_everything() {
    let ours = Ours::start();
    let client = ours.target().client();
    create_bucket(&client, "bucket").await;
    let etag = put(&client, "bucket", "k", bytes(100_000)).await;
    client.create_multipart_upload().bucket("bucket").key("unfinished").send().await.unwrap();
    let ours = ours.restart();
    let client = ours.target().client();
    assert!(get(&client, "bucket", "k").await == bytes(100_000));
    let head = client.head_object().bucket("bucket").key("k").send().await.unwrap();
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    assert_eq!(ours.s3.bucket_names(), ["bucket"]);
    assert_eq!(ours.s3.uploads_under_way(), [("bucket".to_owned(), "unfinished".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lifecycle_rules_end_forgotten_uploads() {
    let ours = Ours::start();
    let client = ours.target().client();
    create_bucket(&client, "bucket").await;
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(1).build();
    let rule = LifecycleRule::builder().status(ExpirationStatus::Enabled).abort_incomplete_multipart_upload(abort);
    let rule = rule.filter(LifecycleRuleFilter::builder().prefix("").build()).build().unwrap();
    let rules = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
    client.put_bucket_lifecycle_configuration().bucket("bucket").lifecycle_configuration(rules).send().await.unwrap();
    client.create_multipart_upload().bucket("bucket").key("forgotten").send().await.unwrap();
    let at = |hours| ours.s3.abort_stale_uploads(Timestamp::now() + SignedDuration::from_hours(hours)).unwrap();
    assert_eq!((at(23), ours.s3.uploads_under_way().len()), (0, 1));
    assert_eq!((at(25), ours.s3.uploads_under_way().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_versions_and_locks_and_a_retention_ends() {
    let ours = Ours::start();
    let client = ours.target().client();
    locks::make(&client, "kept").await;
    let write = locks::writing(&client, "kept", ObjectLockMode::Compliance, locks::in_days(3));
    let first = write.send().await.unwrap().version_id.unwrap();
    put(&client, "kept", "k", "second").await;
    client.delete_object().bucket("kept").key("k").send().await.unwrap();
    let ours = ours.restart();
    let client = ours.target().client();
    let list = client.list_object_versions().bucket("kept").send().await.unwrap();
    assert_eq!((list.versions().len(), list.delete_markers().len()), (2, 1));
    assert_eq!(list.versions()[1].version_id(), Some(first.as_str()), "the older one comes last");
    assert_eq!(list.delete_markers()[0].is_latest(), Some(true));

    let delete = || client.delete_object().bucket("kept").key("k").version_id(&first).send();
    assert_eq!(refusal(delete().await), refused(403, "AccessDenied"));
    let day = 86_400;
    ours.s3.set_clock_ahead(2 * day);
    assert_eq!(refusal(delete().await), refused(403, "AccessDenied"));
    ours.s3.set_clock_ahead(3 * day + 1);
    delete().await.unwrap();
    let list = client.list_object_versions().bucket("kept").send().await.unwrap();
    assert_eq!(list.versions().len(), 1);
}
