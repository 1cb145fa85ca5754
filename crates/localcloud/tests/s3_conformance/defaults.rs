//! What our own S3 keeps of a bucket for services that look at it before they write, and what such a service may do.

use aws_sdk_s3::types::{
    ObjectCannedAcl, ObjectOwnership, OwnershipControls, OwnershipControlsRule, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use haulier_localcloud::credentials::Service;
use haulier_localcloud::front::{BucketSetup, S3Handler as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::target::{ACCOUNT, Ours, REGION, create_bucket, get, refusal, refused, sdk_credentials};

#[tokio::test(flavor = "multi_thread")]
async fn ownership_and_encryption_come_back_and_go() {
    let ours = Ours::start();
    let client = ours.target().client();
    create_bucket(&client, "logs-of-shop").await;
    let ownership = async || {
        let read = client.get_bucket_ownership_controls().bucket("logs-of-shop").send().await.unwrap();
        read.ownership_controls().unwrap().rules()[0].object_ownership().clone()
    };
    assert_eq!(ownership().await, ObjectOwnership::BucketOwnerEnforced);
    let rule =
        OwnershipControlsRule::builder().object_ownership(ObjectOwnership::BucketOwnerPreferred).build().unwrap();
    let controls = OwnershipControls::builder().rules(rule).build().unwrap();
    client.put_bucket_ownership_controls().bucket("logs-of-shop").ownership_controls(controls).send().await.unwrap();
    assert_eq!(ownership().await, ObjectOwnership::BucketOwnerPreferred);

    let algorithm = async || {
        let read = client.get_bucket_encryption().bucket("logs-of-shop").send().await.unwrap();
        let rules = read.server_side_encryption_configuration().unwrap().rules();
        rules[0].apply_server_side_encryption_by_default().unwrap().sse_algorithm().clone()
    };
    assert_eq!(algorithm().await, ServerSideEncryption::Aes256);
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms).build().unwrap();
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build();
    let configuration = ServerSideEncryptionConfiguration::builder().rules(rule).build().unwrap();
    let put = client.put_bucket_encryption().bucket("logs-of-shop").server_side_encryption_configuration(configuration);
    put.send().await.unwrap();
    assert_eq!(algorithm().await, ServerSideEncryption::AwsKms);

    let setup = BucketSetup { region: REGION.to_owned(), prefers_owner: true, is_encrypted_by_kms: true };
    assert_eq!(ours.s3.bucket("logs-of-shop"), Some(setup.clone()));
    assert_eq!(ours.s3.bucket("other"), None);
    client.delete_bucket_encryption().bucket("logs-of-shop").send().await.unwrap();
    client.delete_bucket_ownership_controls().bucket("logs-of-shop").send().await.unwrap();
    assert_eq!(
        ours.s3.bucket("logs-of-shop"),
        Some(BucketSetup { prefers_owner: false, is_encrypted_by_kms: false, ..setup })
    );
    let gone = client.get_bucket_ownership_controls().bucket("logs-of-shop").send().await;
    assert_eq!(refusal(gone), refused(404, "OwnershipControlsNotFoundError"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_do_what_a_bucket_policy_lets_it_do_for_that_resource() {
    let ours = Ours::start();
    let root = ours.target().client();
    create_bucket(&root, "logs-of-shop").await;
    let client = |source_arn: &str, name: &str| {
        let expires = Timestamp::now() + SignedDuration::from_mins(5);
        let service = Service { name: name.to_owned(), source_arn: source_arn.to_owned(), expires };
        ours.target().client_of(sdk_credentials(&ours.store.issue_service(service)), REGION)
    };
    let service = client("arn:aws:rds:db:shop", "backups.rds.amazonaws.com");
    let write = |client: &aws_sdk_s3::Client, key: &str, list: ObjectCannedAcl| {
        client.put_object().bucket("logs-of-shop").key(key).acl(list).body(b"x".to_vec().into()).send()
    };
    let (full, private) = (ObjectCannedAcl::BucketOwnerFullControl, ObjectCannedAcl::Private);
    let denied = refused(403, "AccessDenied");
    assert_eq!(refusal(write(&service, "logs/a", full.clone()).await), denied, "it has no permissions of its own");
    let policy = json!({"Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "backups.rds.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs-of-shop/logs/*",
        "Condition": {"StringEquals": {
            "s3:x-amz-acl": "bucket-owner-full-control",
            "aws:sourceAccount": ACCOUNT,
            "aws:SourceArn": "arn:aws:rds:db:shop",
        }},
    }]});
    root.put_bucket_policy().bucket("logs-of-shop").policy(policy.to_string()).send().await.unwrap();
    write(&service, "logs/a", full.clone()).await.unwrap();
    assert_eq!(get(&root, "logs-of-shop", "logs/a").await, b"x");
    assert_eq!(refusal(write(&service, "logs/a", private).await), denied);
    assert_eq!(refusal(write(&service, "other/a", full.clone()).await), denied);
    assert_eq!(refusal(service.get_object().bucket("logs-of-shop").key("logs/a").send().await), denied);
    let other = client("arn:aws:rds:db:other", "backups.rds.amazonaws.com");
    assert_eq!(refusal(write(&other, "logs/a", full.clone()).await), denied);
    let other = client("arn:aws:rds:db:shop", "rds.amazonaws.com");
    assert_eq!(refusal(write(&other, "logs/a", full).await), denied);
}
