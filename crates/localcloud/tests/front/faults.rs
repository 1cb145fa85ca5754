//! The switchboard.

use http::Method;
use serde_json::{Value, json};

use super::cloud::Cloud;

async fn rule(cloud: &Cloud, rule: Value) {
    cloud.control(Method::PUT, "/faults", &json!([rule])).await;
}

async fn fired(cloud: &Cloud) -> u64 {
    cloud.control(Method::GET, "/faults", &Value::Null).await[0]["fired"].as_u64().unwrap()
}

#[tokio::test]
async fn faults_before_and_after_the_effect() {
    let cloud = Cloud::start().await;
    let instances = || cloud.room.booted.lock().unwrap().len();
    let launch = |token: &str| cloud.launch_form(&format!("&ClientToken={token}"));

    let error = json!({"error_before": {"code": "InsufficientInstanceCapacity", "status": 500}});
    rule(&cloud, json!({"service": "ec2", "operation": "RunInstances", "match": "SubnetId=", "effect": error})).await;
    assert_eq!(cloud.call("ec2", &launch("a")).await.code(), "InsufficientInstanceCapacity");
    assert_eq!((instances(), fired(&cloud).await), (0, 1));
    cloud.call("ec2", &launch("a")).await.ok();
    assert_eq!((instances(), fired(&cloud).await), (1, 1));

    let error = json!({"error_after": {"code": "InternalError"}});
    rule(&cloud, json!({"service": "ec2", "operation": "RunInstances", "effect": error})).await;
    assert_eq!(cloud.call("ec2", &launch("b")).await.code(), "InternalError");
    assert_eq!(instances(), 2);
    cloud.call("ec2", &launch("b")).await.ok();
    assert_eq!(instances(), 2, "the token finds what was launched");

    rule(&cloud, json!({"service": "ec2", "operation": "RunInstances", "effect": "timeout_after"})).await;
    assert_eq!(cloud.try_call_as(&cloud.root, "ec2", &launch("c")).await, None);
    assert_eq!((instances(), fired(&cloud).await), (3, 1));
    cloud.call("ec2", &launch("c")).await.ok();
    assert_eq!(instances(), 3);

    rule(&cloud, json!({"service": "*", "operation": "*", "times": 2, "effect": "throttle"})).await;
    assert_eq!(cloud.call("ec2", "Action=DescribeVpcs").await.code(), "RequestLimitExceeded");
    assert_eq!(cloud.call("rds", "Action=DescribeDBInstances").await.code(), "Throttling");
    cloud.control(Method::DELETE, "/faults", &Value::Null).await;
    assert_eq!(cloud.control(Method::GET, "/faults", &Value::Null).await, json!([]));
}

#[tokio::test]
async fn a_stale_read_repeats_the_last_answer() {
    let cloud = Cloud::start().await;
    let read = "Action=DescribeInstances";
    let empty = cloud.call("ec2", read).await.ok();
    let id = cloud.call("ec2", &cloud.launch_form("")).await.ok().text("instanceId");
    rule(&cloud, json!({"service": "ec2", "operation": "DescribeInstances", "effect": "stale_read"})).await;
    assert_eq!(cloud.call("ec2", read).await, empty);
    assert_eq!(cloud.call("ec2", read).await.ok().text("instanceId"), id);
    assert_eq!(fired(&cloud).await, 1);
}

#[tokio::test]
async fn s3_goes_by_unverified_and_can_be_cut() {
    let cloud = Cloud::start().await;
    let put = async || cloud.send(&cloud.root, "s3", Method::PUT, "/bucket/key", &[], vec![b'x'; 5000].into()).await;
    assert_eq!(put().await.unwrap().body.len(), 5000);
    rule(
        &cloud,
        json!({"service": "s3", "operation": "PutObject", "match": "/bucket/", "effect": {"cut_after_bytes": 100}}),
    )
    .await;
    assert_eq!(put().await, None);
    let received = cloud.s3.received.lock().unwrap().clone();
    assert_eq!(received[0], Ok(5000));
    assert!(received[1].is_err(), "the body breaks: {received:?}");
    assert_eq!(fired(&cloud).await, 1);
    rule(&cloud, json!({"service": "s3", "operation": "PutObject", "effect": "throttle"})).await;
    assert_eq!(put().await.unwrap().code(), "SlowDown");
}

/// More than the buffers of both ends hold.
const LARGE: usize = 32 << 20;

#[tokio::test]
async fn a_refusal_of_a_large_upload_arrives() {
    let cloud = Cloud::start().await;
    for (effect, code) in [
        (json!("throttle"), "SlowDown"),
        (json!({"error_before": {"code": "AccessDenied", "status": 403}}), "AccessDenied"),
    ] {
        rule(&cloud, json!({"service": "s3", "operation": "PutObject", "effect": effect})).await;
        let put = cloud.send(&cloud.root, "s3", Method::PUT, "/bucket/key", &[], vec![b'x'; LARGE].into()).await;
        assert_eq!(put.expect("an answer, not a lost connection").code(), code);
        assert_eq!(fired(&cloud).await, 1);
    }
    assert!(cloud.s3.received.lock().unwrap().is_empty(), "nothing may take effect");
}

#[tokio::test]
async fn a_download_is_cut_after_so_many_bytes_and_no_fewer() {
    let cloud = Cloud::start().await;
    for bytes in [0, 100, 1_000_003, LARGE - 1] {
        let cut = json!({"service": "s3", "operation": "GetObject", "effect": {"cut_after_bytes": bytes}});
        rule(&cloud, cut).await;
        assert_eq!(cloud.download("/bucket/key", vec![b'x'; LARGE].into()).await, (bytes, false));
    }
    assert_eq!(cloud.download("/bucket/key", vec![b'x'; LARGE].into()).await, (LARGE, true));
}
