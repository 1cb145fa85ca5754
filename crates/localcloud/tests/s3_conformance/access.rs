//! Permissions of our own S3: who signs, with what, and what bucket, role and session policies say.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use haulier_localcloud::credentials::{Role, Session};
use haulier_localcloud::iam::Policy;
use jiff::{SignedDuration, Timestamp};

use crate::locks;
use crate::target::{ACCOUNT, Ours, REGION, create_bucket, get, put, refusal, refused, sdk_credentials};

/// A session of a role that may do everything in S3, narrowed by a session policy, with a life in seconds.
fn session(ours: &Ours, policy: Option<&str>, seconds: i64) -> Credentials {
    let trust = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
    let all = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    ours.store.put_role(
        "worker",
        Role {
            arn: format!("arn:aws:iam::{ACCOUNT}:role/worker"),
            role_id: "AROA1".into(),
            trust: Policy::parse(trust).unwrap(),
            policies: [("all".to_owned(), Policy::parse(all).unwrap())].into(),
        },
    );
    let session = Session {
        role: "worker".into(),
        name: "ses-1".into(),
        policy: policy.map(|policy| Policy::parse(policy).unwrap()),
        expires: Timestamp::now() + SignedDuration::from_secs(seconds),
    };
    sdk_credentials(&ours.store.issue_session(session).unwrap())
}

async fn start() -> (Ours, Client) {
    let ours = Ours::start();
    let client = ours.target().client();
    create_bucket(&client, "repository").await;
    (ours, client)
}

/// What a worker gets: put and get in its domain, nothing else.
const WORKER: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:AbortMultipartUpload"],"Resource":"arn:aws:s3:::repository/domains/mine/*"},
    {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::repository","Condition":{"StringLike":{"s3:prefix":"domains/mine/*"}}},
    {"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}}
]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_policy_bounds_a_worker() {
    let (ours, root) = start().await;
    put(&root, "repository", "domains/other/k", "theirs").await;
    let worker = ours.target().client_of(session(&ours, Some(WORKER), 900), REGION);
    let denied = refused(403, "AccessDenied");
    let create = |key: &str| {
        worker.put_object().bucket("repository").key(key).if_none_match("*").body(ByteStream::from_static(b"mine"))
    };
    create("domains/mine/k").send().await.unwrap();
    assert_eq!(get(&worker, "repository", "domains/mine/k").await, b"mine");
    assert_eq!(refusal(create("domains/other/new").send().await), denied);
    assert_eq!(refusal(create("points/p").send().await), denied);
    let overwrite = worker.put_object().bucket("repository").key("domains/mine/k").send().await;
    assert_eq!(refusal(overwrite), denied);
    assert_eq!(refusal(worker.get_object().bucket("repository").key("domains/other/k").send().await), denied);
    assert_eq!(refusal(worker.delete_object().bucket("repository").key("domains/mine/k").send().await), denied);

    let list = |prefix: &str| worker.list_objects_v2().bucket("repository").prefix(prefix).send();
    assert_eq!(list("domains/mine/").await.unwrap().contents().len(), 1);
    assert_eq!(refusal(list("domains/").await), denied);
    assert_eq!(refusal(worker.list_objects_v2().bucket("repository").send().await), denied);
    assert_eq!(refusal(worker.list_buckets().send().await), denied);
    assert_eq!(refusal(worker.delete_bucket().bucket("repository").send().await), denied);

    let copy = worker.copy_object().bucket("repository").key("domains/mine/stolen").if_none_match("*");
    assert_eq!(refusal(copy.copy_source("repository/domains/other/k").send().await), denied);
    let delete = Delete::builder().objects(ObjectIdentifier::builder().key("domains/mine/k").build().unwrap());
    let deleted = worker.delete_objects().bucket("repository").delete(delete.build().unwrap()).send().await.unwrap();
    assert_eq!(deleted.errors()[0].code(), Some("AccessDenied"));
    assert_eq!(get(&root, "repository", "domains/mine/k").await, b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_uploads_in_parts_under_the_same_policy() {
    let (ours, root) = start().await;
    let worker = ours.target().client_of(session(&ours, Some(WORKER), 900), REGION);
    let key = "domains/mine/big";
    let id = worker.create_multipart_upload().bucket("repository").key(key).send().await.unwrap().upload_id.unwrap();
    let part = worker.upload_part().bucket("repository").key(key).upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from_static(b"part")).send().await.unwrap();
    let part = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = || {
        worker.complete_multipart_upload().bucket("repository").key(key).upload_id(&id).multipart_upload(parts.clone())
    };
    assert_eq!(refusal(complete().send().await), refused(403, "AccessDenied"));
    complete().if_none_match("*").send().await.unwrap();
    assert_eq!(get(&root, "repository", key).await, b"part");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_told_only_to_those_who_may_list() {
    let (ours, root) = start().await;
    let get_only = r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    let blind = ours.target().client_of(session(&ours, Some(get_only), 900), REGION);
    let seeing = ours.target().client_of(session(&ours, None, 900), REGION);
    let get = |client: &Client| client.get_object().bucket("repository").key("missing").send();
    assert_eq!(refusal(get(&blind).await), refused(403, "AccessDenied"));
    assert_eq!(refusal(get(&seeing).await), refused(404, "NoSuchKey"));
    assert_eq!(refusal(get(&root).await), refused(404, "NoSuchKey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_policy_binds_its_owner() {
    let (_ours, root) = start().await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::repository/*",
         "Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}},
        {"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::repository","arn:aws:s3:::repository/*"],
         "Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
    root.put_bucket_policy().bucket("repository").policy(policy).send().await.unwrap();
    let put = || root.put_object().bucket("repository").key("k").body(ByteStream::from_static(b"x"));
    assert_eq!(refusal(put().send().await), refused(403, "AccessDenied"));
    put().if_none_match("*").send().await.unwrap();
    assert_eq!(get(&root, "repository", "k").await, b"x");
    let malformed = root.put_bucket_policy().bucket("repository").policy("{\"Statement\":[{}]}").send().await;
    assert_eq!(refusal(malformed), refused(400, "MalformedPolicy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_role_holds_at_once() {
    let (ours, _root) = start().await;
    let client = ours.target().client_of(session(&ours, None, 900), REGION);
    client.list_objects_v2().bucket("repository").send().await.unwrap();
    ours.store.update_role("worker", |role| role.policies.clear());
    let listed = client.list_objects_v2().bucket("repository").send().await;
    assert_eq!(refusal(listed), refused(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_open_nothing() {
    let (ours, root) = start().await;
    let target = ours.target();
    let list = async |credentials: Credentials| {
        refusal(target.client_of(credentials, REGION).list_objects_v2().bucket("repository").send().await)
    };
    let good = session(&ours, None, 900);
    let with = |secret: &str, token: Option<&str>| {
        Credentials::new(good.access_key_id(), secret, token.map(str::to_owned), None, "conformance")
    };
    let (secret, token) = (good.secret_access_key(), good.session_token());
    assert_eq!(list(with("wrong", token)).await, refused(403, "SignatureDoesNotMatch"));
    assert_eq!(list(with(secret, None)).await, refused(400, "InvalidToken"));
    assert_eq!(list(with(secret, Some("stolen"))).await, refused(400, "InvalidToken"));
    assert_eq!(list(session(&ours, None, 0)).await, refused(400, "ExpiredToken"));
    let stranger = Credentials::new("AKIAUNKNOWN", "secret", None, None, "conformance");
    assert_eq!(list(stranger).await, refused(403, "InvalidAccessKeyId"));
    ours.store.delete_role("worker");
    assert_eq!(list(good.clone()).await, refused(403, "AccessDenied"));
    root.list_objects_v2().bucket("repository").send().await.unwrap();
    let other = root.list_objects_v2().bucket("repository").expected_bucket_owner("999988887777").send().await;
    assert_eq!(refusal(other), refused(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_that_is_refused_gets_to_know_why() {
    let (ours, _root) = start().await;
    let worker = ours.target().client_of(session(&ours, Some(WORKER), 900), REGION);
    for _ in 0..10 {
        let put = worker.put_object().bucket("repository").key("points/p").body(ByteStream::from(vec![7; 16 << 20]));
        assert_eq!(refusal(put.send().await), refused(403, "AccessDenied"));
    }
}

/// What a worker gets in a repository that is immutable: it may keep things longer, and neither shorten nor destroy.
const KEEPER: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:PutObjectRetention","s3:DeleteObject"],"Resource":"arn:aws:s3:::kept/*"},
    {"Effect":"Deny","Action":"s3:PutObjectRetention","Resource":"*","Condition":{"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"10"}}}
]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_a_matter_of_permissions_too() {
    use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};
    let (ours, root) = start().await;
    locks::make(&root, "kept").await;
    let keeper = ours.target().client_of(session(&ours, Some(KEEPER), 900), REGION);
    let writer = r#"{"Statement":{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"*"}}"#;
    let writer = ours.target().client_of(session(&ours, Some(writer), 900), REGION);
    let denied = refused(403, "AccessDenied");
    let write = |client: &Client, days: u64| {
        locks::writing(client, "kept", ObjectLockMode::Governance, locks::in_days(days)).send()
    };
    assert_eq!(refusal(write(&writer, 3).await), denied, "a lock needs s3:PutObjectRetention");
    assert_eq!(refusal(write(&keeper, 11).await), denied, "the policy allows ten days");
    let version = write(&keeper, 3).await.unwrap().version_id.unwrap();

    let retain = |days: u64, bypass: bool| {
        let mode = ObjectLockRetentionMode::Governance;
        let retention = ObjectLockRetention::builder().mode(mode).retain_until_date(locks::in_days(days)).build();
        let put = keeper.put_object_retention().bucket("kept").key("k").retention(retention);
        put.bypass_governance_retention(bypass).send()
    };
    retain(10, false).await.unwrap();
    assert_eq!(refusal(retain(11, false).await), denied);
    assert_eq!(refusal(retain(5, true).await), denied, "a bypass needs s3:BypassGovernanceRetention");

    // Who may not ask is not told.
    let head = async |client: &Client| client.head_object().bucket("kept").key("k").send().await.unwrap();
    assert_eq!(head(&writer).await.object_lock_mode(), None);
    assert_eq!(head(&root).await.object_lock_mode(), Some(&ObjectLockMode::Governance));

    let delete = |client: &Client| client.delete_object().bucket("kept").key("k").version_id(&version);
    assert_eq!(refusal(delete(&keeper).send().await), denied, "a version needs s3:DeleteObjectVersion");
    let protected = delete(&root).send().await.unwrap_err();
    assert_eq!(protected.message(), Some("Access Denied because object protected by object lock."));
    keeper.delete_object().bucket("kept").key("k").send().await.unwrap();
    delete(&root).bypass_governance_retention(true).send().await.unwrap();
}
