//! Buckets and their settings.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    PublicAccessBlockConfiguration, Tag, Tagging,
};

use crate::target::{REGION, Target, create_bucket, here, put, refusal, refused};

pub(crate) async fn a_bucket_is_created_once_and_deleted_empty(target: Target) {
    let (client, bucket) = target.bucket().await;
    let again = client.create_bucket().bucket(&bucket).create_bucket_configuration(here()).send().await;
    assert_eq!(refusal(again), refused(409, "BucketAlreadyOwnedByYou"));
    client.head_bucket().bucket(&bucket).send().await.unwrap();
    put(&client, &bucket, "k", "x").await;
    let full = client.delete_bucket().bucket(&bucket).send().await;
    assert_eq!(refusal(full), refused(409, "BucketNotEmpty"));
    client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
    client.delete_bucket().bucket(&bucket).send().await.unwrap();
    assert_eq!(refusal(client.head_bucket().bucket(&bucket).send().await).0, 404);
    create_bucket(&client, &bucket).await;
}

pub(crate) async fn a_missing_bucket_is_not_found(target: Target) {
    let client = target.client();
    let bucket = "conformance-that-was-never-made";
    assert_eq!(refusal(client.head_bucket().bucket(bucket).send().await).0, 404);
    assert_eq!(refusal(client.list_objects_v2().bucket(bucket).send().await), refused(404, "NoSuchBucket"));
    assert_eq!(refusal(client.get_object().bucket(bucket).key("k").send().await), refused(404, "NoSuchBucket"));
    assert_eq!(refusal(client.put_object().bucket(bucket).key("k").send().await), refused(404, "NoSuchBucket"));
    assert_eq!(refusal(client.delete_bucket().bucket(bucket).send().await), refused(404, "NoSuchBucket"));
}

pub(crate) async fn buckets_are_listed_with_their_region(target: Target) {
    let (client, bucket) = target.bucket().await;
    let listed = client.list_buckets().send().await.unwrap();
    let found = listed.buckets().iter().find(|listed| listed.name() == Some(&bucket)).unwrap();
    assert_eq!(found.bucket_region(), Some(REGION));
    assert!(found.creation_date().is_some());
    let head = client.head_bucket().bucket(&bucket).send().await.unwrap();
    assert_eq!(head.bucket_region(), Some(REGION));
}

fn forgotten_uploads() -> BucketLifecycleConfiguration {
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(3).build();
    let rule = LifecycleRule::builder().id("forgotten").status(ExpirationStatus::Enabled);
    let rule = rule.filter(LifecycleRuleFilter::builder().prefix("packs/").build());
    let rule = rule.abort_incomplete_multipart_upload(abort).build().unwrap();
    BucketLifecycleConfiguration::builder().rules(rule).build().unwrap()
}

fn policy(bucket: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::{bucket}/*","Condition":{{"Bool":{{"aws:SecureTransport":"false"}}}}}}]}}"#
    )
}

pub(crate) async fn settings_come_back(target: Target) {
    let (client, bucket) = target.bucket().await;
    let location = client.get_bucket_location().bucket(&bucket).send().await.unwrap();
    assert_eq!(location.location_constraint().unwrap().as_str(), REGION);

    client.put_bucket_policy().bucket(&bucket).policy(policy(&bucket)).send().await.unwrap();
    let read = client.get_bucket_policy().bucket(&bucket).send().await.unwrap();
    let read: serde_json::Value = serde_json::from_str(read.policy().unwrap()).unwrap();
    assert_eq!(read, serde_json::from_str::<serde_json::Value>(&policy(&bucket)).unwrap());

    let block = PublicAccessBlockConfiguration::builder().block_public_acls(true).block_public_policy(true);
    let block = block.ignore_public_acls(true).restrict_public_buckets(true).build();
    let put = client.put_public_access_block().bucket(&bucket).public_access_block_configuration(block.clone());
    put.send().await.unwrap();
    let read = client.get_public_access_block().bucket(&bucket).send().await.unwrap();
    assert_eq!(read.public_access_block_configuration(), Some(&block));

    let lifecycle = forgotten_uploads();
    let put = client.put_bucket_lifecycle_configuration().bucket(&bucket).lifecycle_configuration(lifecycle.clone());
    put.send().await.unwrap();
    let read = client.get_bucket_lifecycle_configuration().bucket(&bucket).send().await.unwrap();
    assert_eq!(read.rules(), lifecycle.rules());

    let tag = Tag::builder().key("haulier:repository").value("r").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag.clone()).build().unwrap();
    client.put_bucket_tagging().bucket(&bucket).tagging(tagging).send().await.unwrap();
    let read = client.get_bucket_tagging().bucket(&bucket).send().await.unwrap();
    assert_eq!(read.tag_set(), [tag]);
}

pub(crate) async fn settings_can_be_removed(target: Target) {
    let (client, bucket) = target.bucket().await;
    let policy_of = async || refusal(client.get_bucket_policy().bucket(&bucket).send().await);
    let lifecycle_of = async || refusal(client.get_bucket_lifecycle_configuration().bucket(&bucket).send().await);
    let tags_of = async || refusal(client.get_bucket_tagging().bucket(&bucket).send().await);
    assert_eq!(policy_of().await, refused(404, "NoSuchBucketPolicy"));
    client.put_bucket_policy().bucket(&bucket).policy(policy(&bucket)).send().await.unwrap();
    client.delete_bucket_policy().bucket(&bucket).send().await.unwrap();
    assert_eq!(policy_of().await, refused(404, "NoSuchBucketPolicy"));

    let put = client.put_bucket_lifecycle_configuration().bucket(&bucket).lifecycle_configuration(forgotten_uploads());
    put.send().await.unwrap();
    client.delete_bucket_lifecycle().bucket(&bucket).send().await.unwrap();
    assert_eq!(lifecycle_of().await, refused(404, "NoSuchLifecycleConfiguration"));

    let tag = Tag::builder().key("a").value("1").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    client.put_bucket_tagging().bucket(&bucket).tagging(tagging).send().await.unwrap();
    client.delete_bucket_tagging().bucket(&bucket).send().await.unwrap();
    assert_eq!(tags_of().await, refused(404, "NoSuchTagSet"));

    let block = PublicAccessBlockConfiguration::builder().block_public_acls(true).build();
    client.put_public_access_block().bucket(&bucket).public_access_block_configuration(block).send().await.unwrap();
    client.delete_public_access_block().bucket(&bucket).send().await.unwrap();
    let removed = refusal(client.get_public_access_block().bucket(&bucket).send().await);
    assert_eq!(removed, refused(404, "NoSuchPublicAccessBlockConfiguration"));
}

pub(crate) async fn a_bucket_is_made_where_the_endpoint_is(target: Target) {
    let elsewhere = target.client_of(target.credentials.clone(), "eu-west-1");
    let make = elsewhere.create_bucket().bucket("conformance-elsewhere").create_bucket_configuration(here());
    assert_eq!(refusal(make.send().await), refused(400, "IllegalLocationConstraintException"));
    let nowhere = elsewhere.create_bucket().bucket("conformance-elsewhere").send().await;
    assert_eq!(refusal(nowhere), refused(400, "IllegalLocationConstraintException"));
    let oldest = target.client_of(target.credentials.clone(), "us-east-1");
    let bucket = format!("conformance-{}", uuid::Uuid::new_v4().simple());
    oldest.create_bucket().bucket(&bucket).send().await.unwrap();
    let location = oldest.get_bucket_location().bucket(&bucket).send().await.unwrap();
    assert_eq!(location.location_constraint().map_or("", |constraint| constraint.as_str()), "");
}
