//! What our own S3 keeps in its folder, and what its owner can ask it to do.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
};
use jiff::{SignedDuration, Timestamp};

use crate::target::{Ours, bytes, create_bucket, get, put};

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
