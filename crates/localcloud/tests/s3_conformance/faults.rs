//! Our S3 when it is told to go wrong, and what it has done by then; and its restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use haulier_localcloud::s3::faults::{Fault, Faults, Operation, Refusal};
use jiff::{SignedDuration, Timestamp};

use crate::target::{Ours, bytes, create_bucket, get, put, refusal, refused};

/// One fault for one operation, once.
struct Once {
    operation: &'static str,
    fault: Fault,
    fired: AtomicU32,
}

impl Faults for Once {
    fn decide(&self, operation: Operation<'_>) -> Fault {
        let first = operation.name == self.operation && self.fired.fetch_add(1, Ordering::Relaxed) == 0;
        if first { self.fault.clone() } else { Fault::default() }
    }
}

/// An S3 with that fault, a client, and a bucket named `bucket` with `old` under `k`.
async fn with(operation: &'static str, fault: Fault) -> (Ours, Client, Arc<Once>) {
    let once = Arc::new(Once { operation, fault, fired: AtomicU32::new(u32::MAX) });
    let ours = Ours::with_faults(once.clone());
    let client = ours.target().client();
    once.fired.store(1, Ordering::Relaxed);
    create_bucket(&client, "bucket").await;
    put(&client, "bucket", "k", "old").await;
    once.fired.store(0, Ordering::Relaxed);
    (ours, client, once)
}

fn slow_down() -> Refusal {
    Refusal { status: 503, code: "SlowDown".into(), message: "Please reduce your request rate.".into() }
}

async fn put_new(client: &Client) -> Result<(), (u16, String)> {
    let put = client.put_object().bucket("bucket").key("k").body(ByteStream::from(bytes(3 << 20))).send().await;
    match put {
        Ok(_) => Ok(()),
        Err(error) if error.raw_response().is_some() => Err(refusal(Err::<(), _>(error))),
        Err(_) => Err((0, String::new())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_before_changes_nothing() {
    let (_ours, client, once) = with("PutObject", Fault { refuse_before: Some(slow_down()), ..Fault::default() }).await;
    assert_eq!(put_new(&client).await, Err(refused(503, "SlowDown")));
    assert_eq!(once.fired.load(Ordering::Relaxed), 1);
    assert_eq!(get(&client, "bucket", "k").await, b"old");
    put_new(&client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_has_happened() {
    let (_ours, client, _) = with("PutObject", Fault { refuse_after: Some(slow_down()), ..Fault::default() }).await;
    assert_eq!(put_new(&client).await, Err(refused(503, "SlowDown")));
    assert!(get(&client, "bucket", "k").await == bytes(3 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_lost() {
    let (_ours, client, _) = with("PutObject", Fault { cut_response_after: Some(0), ..Fault::default() }).await;
    assert_eq!(put_new(&client).await, Err((0, String::new())), "no answer at all");
    assert!(get(&client, "bucket", "k").await == bytes(3 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_run_out_of_patience_after_the_effect() {
    let (_ours, client, _) =
        with("PutObject", Fault { delay_after: Duration::from_secs(3600), ..Fault::default() }).await;
    let patience = TimeoutConfig::builder().operation_timeout(Duration::from_secs(3)).build();
    let hasty = Client::from_conf(client.config().to_builder().timeout_config(patience).build());
    assert_eq!(put_new(&hasty).await, Err((0, String::new())));
    assert!(get(&client, "bucket", "k").await == bytes(3 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_cut() {
    let (_ours, client, _) = with("PutObject", Fault { cut_request_after: Some(1_000_000), ..Fault::default() }).await;
    assert_eq!(put_new(&client).await, Err((0, String::new())));
    assert_eq!(get(&client, "bucket", "k").await, b"old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_may_be_cut() {
    let (_ours, client, once) =
        with("GetObject", Fault { cut_response_after: Some(2_000_000), ..Fault::default() }).await;
    put_new(&client).await.unwrap();
    let mut body = client.get_object().bucket("bucket").key("k").send().await.unwrap().body;
    let mut read = Vec::new();
    let error = loop {
        match body.next().await {
            Some(Ok(data)) => read.extend_from_slice(&data),
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(error.is_some(), "the cut must not look like the end");
    assert_eq!(once.fired.load(Ordering::Relaxed), 1);
    assert!(
        !read.is_empty() && read.len() <= 2_000_000 && read == bytes(3 << 20)[..read.len()],
        "{} bytes",
        read.len()
    );
    assert!(get(&client, "bucket", "k").await == bytes(3 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_passes() {
    let (_ours, client, _) =
        with("GetObject", Fault { delay_before: Duration::from_millis(300), ..Fault::default() }).await;
    let begun = Instant::now();
    assert_eq!(get(&client, "bucket", "k").await, b"old");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

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
    use aws_sdk_s3::types::{
        AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule,
        LifecycleRuleFilter,
    };
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
