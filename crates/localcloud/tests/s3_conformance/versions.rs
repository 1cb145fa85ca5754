//! Versions of objects and delete markers.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{BucketVersioningStatus, Delete, ObjectIdentifier, Tag, Tagging, VersioningConfiguration};

use crate::target::{Target, get, put, refusal, refused};

pub(crate) async fn set_versioning(client: &Client, bucket: &str, status: BucketVersioningStatus) {
    let configuration = VersioningConfiguration::builder().status(status).build();
    client.put_bucket_versioning().bucket(bucket).versioning_configuration(configuration).send().await.unwrap();
}

async fn versioned(target: &Target) -> (Client, String) {
    let (client, bucket) = target.bucket().await;
    set_versioning(&client, &bucket, BucketVersioningStatus::Enabled).await;
    (client, bucket)
}

/// Puts an object and gives its version.
pub(crate) async fn put_version(client: &Client, bucket: &str, key: &str, text: &'static str) -> String {
    let put = client.put_object().bucket(bucket).key(key).body(text.as_bytes().to_vec().into());
    put.send().await.unwrap().version_id.unwrap()
}

async fn get_version(client: &Client, bucket: &str, key: &str, version: &str) -> Vec<u8> {
    let output = client.get_object().bucket(bucket).key(key).version_id(version).send().await.unwrap();
    assert_eq!(output.version_id(), Some(version));
    output.body.collect().await.unwrap().to_vec()
}

/// Versions and delete markers as `key@id`, markers with `!`, the newest with `*`.
async fn listed(client: &Client, bucket: &str) -> (Vec<String>, Vec<String>) {
    let list = client.list_object_versions().bucket(bucket).send().await.unwrap();
    assert_eq!(list.is_truncated(), Some(false));
    let mark = |latest: Option<bool>| if latest == Some(true) { "*" } else { "" };
    let versions = list.versions().iter().map(|version| {
        format!("{}@{}{}", version.key().unwrap(), version.version_id().unwrap(), mark(version.is_latest()))
    });
    let markers = list.delete_markers().iter().map(|marker| {
        format!("{}@{}{}", marker.key().unwrap(), marker.version_id().unwrap(), mark(marker.is_latest()))
    });
    (versions.collect(), markers.collect())
}

/// A header of a refusal.
fn header<T: std::fmt::Debug, E: std::fmt::Debug>(result: &Result<T, SdkError<E>>, name: &str) -> Option<String> {
    let error = result.as_ref().expect_err("it was to be refused");
    error.raw_response()?.headers().get(name).map(str::to_owned)
}

pub(crate) async fn a_bucket_tells_its_versioning(target: Target) {
    let (client, bucket) = target.bucket().await;
    let status = async || client.get_bucket_versioning().bucket(&bucket).send().await.unwrap().status;
    assert_eq!(status().await, None);
    for wanted in [BucketVersioningStatus::Enabled, BucketVersioningStatus::Suspended] {
        set_versioning(&client, &bucket, wanted.clone()).await;
        assert_eq!(status().await, Some(wanted));
    }
}

pub(crate) async fn every_write_adds_a_version(target: Target) {
    let (client, bucket) = target.bucket().await;
    let unversioned = client.put_object().bucket(&bucket).key("plain").send().await.unwrap();
    assert_eq!(unversioned.version_id(), None);
    set_versioning(&client, &bucket, BucketVersioningStatus::Enabled).await;

    let first = put_version(&client, &bucket, "k", "one").await;
    let second = put_version(&client, &bucket, "k", "two").await;
    assert_ne!(first, second);
    assert_eq!(get(&client, &bucket, "k").await, b"two");
    assert_eq!(get_version(&client, &bucket, "k", &first).await, b"one");
    assert_eq!(get_version(&client, &bucket, "k", &second).await, b"two");
    let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(head.version_id(), Some(second.as_str()));
    let head = client.head_object().bucket(&bucket).key("k").version_id(&first).send().await.unwrap();
    assert_eq!(head.content_length(), Some(3));
    let objects = client.list_objects_v2().bucket(&bucket).prefix("k").send().await.unwrap();
    assert_eq!(objects.contents().len(), 1, "a plain listing shows the newest alone");
    let (versions, markers) = listed(&client, &bucket).await;
    assert_eq!(versions, [format!("k@{second}*"), format!("k@{first}"), "plain@null*".to_owned()]);
    assert!(markers.is_empty());

    let unknown = "3HL4kqtJvjVBH40Nrjfkd";
    let missing = client.get_object().bucket(&bucket).key("k").version_id(unknown).send().await;
    assert!([400, 404].contains(&refusal(missing).0), "no such version, or no id of one");
}

pub(crate) async fn a_delete_hides_and_a_marker_can_be_taken_away(target: Target) {
    let (client, bucket) = versioned(&target).await;
    let first = put_version(&client, &bucket, "k", "one").await;
    let deleted = client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id().unwrap().to_owned();

    let hidden = client.get_object().bucket(&bucket).key("k").send().await;
    assert_eq!(header(&hidden, "x-amz-delete-marker").as_deref(), Some("true"));
    assert_eq!(refusal(hidden), refused(404, "NoSuchKey"));
    assert_eq!(refusal(client.head_object().bucket(&bucket).key("k").send().await).0, 404);
    let of_marker = client.get_object().bucket(&bucket).key("k").version_id(&marker).send().await;
    assert_eq!(refusal(of_marker), refused(405, "MethodNotAllowed"));
    assert_eq!(get_version(&client, &bucket, "k", &first).await, b"one");
    let objects = client.list_objects_v2().bucket(&bucket).send().await.unwrap();
    assert!(objects.contents().is_empty());
    assert_eq!(listed(&client, &bucket).await, (vec![format!("k@{first}")], vec![format!("k@{marker}*")]));
    assert_eq!(refusal(client.delete_bucket().bucket(&bucket).send().await), refused(409, "BucketNotEmpty"));

    // What is hidden counts as absent.
    let anew = client.put_object().bucket(&bucket).key("k").if_none_match("*").send().await.unwrap();
    client.delete_object().bucket(&bucket).key("k").version_id(anew.version_id().unwrap()).send().await.unwrap();

    let gone = client.delete_object().bucket(&bucket).key("k").version_id(&marker).send().await.unwrap();
    assert_eq!((gone.delete_marker(), gone.version_id()), (Some(true), Some(marker.as_str())));
    assert_eq!(get(&client, &bucket, "k").await, b"one");
}

pub(crate) async fn one_version_goes_for_good(target: Target) {
    let (client, bucket) = versioned(&target).await;
    let first = put_version(&client, &bucket, "k", "one").await;
    let second = put_version(&client, &bucket, "k", "two").await;
    let delete = |version: &str| client.delete_object().bucket(&bucket).key("k").version_id(version).send();
    let gone = delete(&second).await.unwrap();
    assert_eq!((gone.delete_marker(), gone.version_id()), (None, Some(second.as_str())));
    assert_eq!(get(&client, &bucket, "k").await, b"one");
    delete(&second).await.unwrap();
    let missing = client.get_object().bucket(&bucket).key("k").version_id(&second).send().await;
    assert_eq!(refusal(missing), refused(404, "NoSuchVersion"));
    delete(&first).await.unwrap();
    assert_eq!(listed(&client, &bucket).await, (vec![], vec![]));
    client.delete_bucket().bucket(&bucket).send().await.unwrap();
}

pub(crate) async fn what_was_there_before_is_the_version_null(target: Target) {
    let (client, bucket) = target.bucket().await;
    put(&client, &bucket, "k", "before").await;
    set_versioning(&client, &bucket, BucketVersioningStatus::Enabled).await;
    let after = put_version(&client, &bucket, "k", "after").await;
    assert_eq!(get(&client, &bucket, "k").await, b"after");
    assert_eq!(get_version(&client, &bucket, "k", "null").await, b"before");
    let (versions, _) = listed(&client, &bucket).await;
    assert_eq!(versions, [format!("k@{after}*"), "k@null".to_owned()]);
}

pub(crate) async fn suspended_writes_take_the_place_of_null(target: Target) {
    let (client, bucket) = target.bucket().await;
    put(&client, &bucket, "k", "before").await;
    set_versioning(&client, &bucket, BucketVersioningStatus::Enabled).await;
    let kept = put_version(&client, &bucket, "k", "kept").await;
    set_versioning(&client, &bucket, BucketVersioningStatus::Suspended).await;
    assert_eq!(put_version(&client, &bucket, "k", "paused").await, "null");
    let (versions, _) = listed(&client, &bucket).await;
    assert_eq!(versions, ["k@null*".to_owned(), format!("k@{kept}")]);
    assert_eq!(get(&client, &bucket, "k").await, b"paused");
    let deleted = client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!((deleted.delete_marker(), deleted.version_id()), (Some(true), Some("null")));
    assert_eq!(listed(&client, &bucket).await, (vec![format!("k@{kept}")], vec!["k@null*".to_owned()]));
    assert_eq!(get_version(&client, &bucket, "k", &kept).await, b"kept");
}

pub(crate) async fn pages_give_every_version_in_order(target: Target) {
    let (client, bucket) = versioned(&target).await;
    let mut expected = Vec::new();
    for key in ["a/1", "a/2", "b"] {
        let ids = [put_version(&client, &bucket, key, "1").await, put_version(&client, &bucket, key, "2").await];
        expected.extend(ids.iter().rev().map(|id| format!("{key}@{id}")));
    }
    for size in [1, 2, 4, 6] {
        let (mut seen, mut key, mut id) = (Vec::new(), None, None);
        loop {
            let list = client.list_object_versions().bucket(&bucket).max_keys(size);
            let page = list.set_key_marker(key).set_version_id_marker(id).send().await.unwrap();
            assert!(page.versions().len() <= usize::try_from(size).unwrap());
            seen.extend(
                page.versions().iter().map(|found| format!("{}@{}", found.key().unwrap(), found.version_id().unwrap())),
            );
            if page.is_truncated() != Some(true) {
                break;
            }
            (key, id) = (page.next_key_marker, page.next_version_id_marker);
        }
        assert_eq!(seen, expected, "pages of {size}");
    }
    let rolled = client.list_object_versions().bucket(&bucket).delimiter("/").send().await.unwrap();
    assert_eq!(rolled.common_prefixes()[0].prefix(), Some("a/"));
    assert_eq!(rolled.versions().len(), 2);
    let under = client.list_object_versions().bucket(&bucket).prefix("a/2").send().await.unwrap();
    assert_eq!(under.versions().len(), 2);
}

pub(crate) async fn several_versions_go_at_once(target: Target) {
    let (client, bucket) = versioned(&target).await;
    let first = put_version(&client, &bucket, "a", "1").await;
    let second = put_version(&client, &bucket, "a", "2").await;
    put_version(&client, &bucket, "b", "3").await;
    let one = |key: &str, version: Option<&str>| {
        ObjectIdentifier::builder().key(key).set_version_id(version.map(str::to_owned)).build().unwrap()
    };
    let objects = [one("a", Some(&first)), one("b", None)];
    let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
    let deleted = client.delete_objects().bucket(&bucket).delete(delete).send().await.unwrap();
    assert!(deleted.errors().is_empty());
    let of = |key: &str| deleted.deleted().iter().find(|deleted| deleted.key() == Some(key)).unwrap();
    assert_eq!((of("a").version_id(), of("a").delete_marker().unwrap_or(false)), (Some(first.as_str()), false));
    assert_eq!(of("b").delete_marker(), Some(true));
    assert!(of("b").delete_marker_version_id().is_some());
    let (versions, markers) = listed(&client, &bucket).await;
    assert_eq!((versions.len(), markers.len()), (2, 1));
    assert_eq!(versions[0], format!("a@{second}*"));
}

pub(crate) async fn copies_and_tags_know_versions(target: Target) {
    let (client, bucket) = versioned(&target).await;
    let first = put_version(&client, &bucket, "k", "one").await;
    put_version(&client, &bucket, "k", "two").await;
    let source = format!("{bucket}/k?versionId={first}");
    let copy = client.copy_object().bucket(&bucket).key("copy").copy_source(source).send().await.unwrap();
    assert_eq!(copy.copy_source_version_id(), Some(first.as_str()));
    assert!(copy.version_id().is_some());
    assert_eq!(get(&client, &bucket, "copy").await, b"one");

    let tagging = Tagging::builder().tag_set(Tag::builder().key("a").value("1").build().unwrap()).build().unwrap();
    let put = client.put_object_tagging().bucket(&bucket).key("k").version_id(&first).tagging(tagging);
    put.send().await.unwrap();
    let tags = async |version: Option<&str>| {
        let read = client.get_object_tagging().bucket(&bucket).key("k").set_version_id(version.map(str::to_owned));
        read.send().await.unwrap().tag_set().len()
    };
    assert_eq!((tags(Some(&first)).await, tags(None).await), (1, 0));
}
