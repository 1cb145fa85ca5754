//! Objects: bytes, keys, what is said of them.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, Delete, MetadataDirective, ObjectAttributes, ObjectIdentifier, StorageClass, Tag, Tagging,
};

use crate::target::{Target, bytes, get, put, refusal, refused};

pub(crate) async fn bytes_come_back_whole(target: Target) {
    let (client, bucket) = target.bucket().await;
    // Around the chunks of the SDK's uploads (64 KiB) and the batches of the storage (1 MiB).
    for length in [0, 1, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, (8 << 20) + 3] {
        let sent = bytes(length);
        let etag = put(&client, &bucket, "k", sent.clone()).await;
        assert!(get(&client, &bucket, "k").await == sent, "{length} bytes");
        let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
        assert_eq!(head.content_length(), Some(length as i64));
        assert_eq!(head.e_tag(), Some(etag.as_str()));
    }
}

pub(crate) async fn keys_may_be_any_text(target: Target) {
    let (client, bucket) = target.bucket().await;
    let mut keys =
        vec!["plain", "a b+c%2Fd", "é/ü/日本", "a//b", "a/./b", "semi;colon&am=p?q#f", "\u{10ffff}", "quote\"'<>"];
    for key in &keys {
        put(&client, &bucket, key, *key).await;
    }
    for key in &keys {
        assert_eq!(get(&client, &bucket, key).await, key.as_bytes(), "{key}");
    }
    let listed = client.list_objects_v2().bucket(&bucket).send().await.unwrap();
    let listed: Vec<_> = listed.contents().iter().map(|object| object.key().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(listed, keys);
}

pub(crate) async fn what_is_said_of_an_object_comes_back_with_it(target: Target) {
    let (client, bucket) = target.bucket().await;
    let put = client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"x"));
    let put = put.content_type("application/x-haulier").content_encoding("zstd").cache_control("no-store");
    put.metadata("Kind", "pack").metadata("epoch", "7").send().await.unwrap();
    let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(head.content_type(), Some("application/x-haulier"));
    assert_eq!(head.content_encoding(), Some("zstd"));
    assert_eq!(head.cache_control(), Some("no-store"));
    let metadata = head.metadata().unwrap();
    assert_eq!((metadata["kind"].as_str(), metadata["epoch"].as_str(), metadata.len()), ("pack", "7", 2));
    assert!(head.last_modified().is_some());
}

pub(crate) async fn a_missing_object_is_not_found(target: Target) {
    let (client, bucket) = target.bucket().await;
    assert_eq!(refusal(client.get_object().bucket(&bucket).key("k").send().await), refused(404, "NoSuchKey"));
    let head = client.head_object().bucket(&bucket).key("k").send().await;
    assert_eq!(refusal(head).0, 404);
    client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
}

pub(crate) async fn ranges_give_their_bytes(target: Target) {
    let (client, bucket) = target.bucket().await;
    let sent = bytes(3 << 20);
    put(&client, &bucket, "k", sent.clone()).await;
    let end = sent.len();
    for (range, expected) in [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1048575-1048577".to_owned(), 1_048_575..1_048_578),
        ("bytes=3000000-".to_owned(), 3_000_000..end),
        ("bytes=-10".to_owned(), end - 10..end),
        (format!("bytes=5-{}", end + 100), 5..end),
    ] {
        let output = client.get_object().bucket(&bucket).key("k").range(&range).send().await.unwrap();
        let content_range = format!("bytes {}-{}/{end}", expected.start, expected.end - 1);
        assert_eq!(output.content_range(), Some(content_range.as_str()), "{range}");
        assert_eq!(output.content_length(), Some(expected.len() as i64), "{range}");
        let body = output.body.collect().await.unwrap().to_vec();
        assert!(body == sent[expected], "{range}");
    }
    let beyond = client.get_object().bucket(&bucket).key("k").range(format!("bytes={end}-")).send().await;
    assert_eq!(refusal(beyond), refused(416, "InvalidRange"));
}

pub(crate) async fn reads_take_conditions(target: Target) {
    let (client, bucket) = target.bucket().await;
    let etag = put(&client, &bucket, "k", "x").await;
    let get = || client.get_object().bucket(&bucket).key("k");
    get().if_match(&etag).send().await.unwrap();
    get().if_none_match("\"other\"").send().await.unwrap();
    assert_eq!(refusal(get().if_match("\"other\"").send().await), refused(412, "PreconditionFailed"));
    assert_eq!(refusal(get().if_none_match(&etag).send().await).0, 304);
}

pub(crate) async fn an_object_is_replaced_and_deleted(target: Target) {
    let (client, bucket) = target.bucket().await;
    put(&client, &bucket, "k", "one").await;
    put(&client, &bucket, "k", "another").await;
    assert_eq!(get(&client, &bucket, "k").await, b"another");
    client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(refusal(client.get_object().bucket(&bucket).key("k").send().await), refused(404, "NoSuchKey"));
}

pub(crate) async fn many_are_deleted_at_once(target: Target) {
    let (client, bucket) = target.bucket().await;
    for key in ["a", "b", "c"] {
        put(&client, &bucket, key, key).await;
    }
    let objects = ["a", "c", "missing"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
    let output = client.delete_objects().bucket(&bucket).delete(delete).send().await.unwrap();
    let mut deleted: Vec<_> = output.deleted().iter().map(|object| object.key().unwrap()).collect();
    deleted.sort_unstable();
    assert_eq!(deleted, ["a", "c", "missing"]);
    assert!(output.errors().is_empty());
    let listed = client.list_objects_v2().bucket(&bucket).send().await.unwrap();
    assert_eq!(listed.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["b"]);
}

pub(crate) async fn copies_keep_or_replace_what_is_said(target: Target) {
    let (client, bucket) = target.bucket().await;
    let sent = bytes(100_000);
    let put = client.put_object().bucket(&bucket).key("from here").body(ByteStream::from(sent.clone()));
    put.metadata("a", "1").tagging("t=1").content_type("text/x").send().await.unwrap();
    let copy = |key: &str| client.copy_object().bucket(&bucket).key(key).copy_source(format!("{bucket}/from%20here"));
    copy("kept").send().await.unwrap();
    copy("replaced").metadata_directive(MetadataDirective::Replace).metadata("b", "2").send().await.unwrap();

    client.delete_object().bucket(&bucket).key("from here").send().await.unwrap();
    for (key, name, value) in [("kept", "a", "1"), ("replaced", "b", "2")] {
        assert!(get(&client, &bucket, key).await == sent, "{key}");
        let head = client.head_object().bucket(&bucket).key(key).send().await.unwrap();
        let metadata = head.metadata().unwrap();
        assert_eq!((metadata[name].as_str(), metadata.len()), (value, 1), "{key}");
    }
    let tags = client.get_object_tagging().bucket(&bucket).key("kept").send().await.unwrap();
    assert_eq!(tags.tag_set().iter().map(Tag::value).collect::<Vec<_>>(), ["1"]);
    let missing = client.copy_object().bucket(&bucket).key("x").copy_source(format!("{bucket}/missing")).send().await;
    assert_eq!(refusal(missing), refused(404, "NoSuchKey"));
}

pub(crate) async fn tags_are_put_read_and_removed(target: Target) {
    let (client, bucket) = target.bucket().await;
    client.put_object().bucket(&bucket).key("k").tagging("a=1&b=x%20y").send().await.unwrap();
    let tags = async || {
        let output = client.get_object_tagging().bucket(&bucket).key("k").send().await.unwrap();
        let mut tags: Vec<_> = output.tag_set().iter().map(|tag| format!("{}={}", tag.key(), tag.value())).collect();
        tags.sort();
        tags
    };
    assert_eq!(tags().await, ["a=1", "b=x y"]);
    let tag = Tag::builder().key("c").value("3").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    client.put_object_tagging().bucket(&bucket).key("k").tagging(tagging).send().await.unwrap();
    assert_eq!(tags().await, ["c=3"]);
    client.delete_object_tagging().bucket(&bucket).key("k").send().await.unwrap();
    assert!(tags().await.is_empty());
}

pub(crate) async fn attributes_tell_size_and_checksum(target: Target) {
    let (client, bucket) = target.bucket().await;
    let put = client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"hello"));
    put.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.unwrap();
    let get = client.get_object_attributes().bucket(&bucket).key("k");
    let get = get.object_attributes(ObjectAttributes::ObjectSize).object_attributes(ObjectAttributes::Checksum);
    let output = get.send().await.unwrap();
    assert_eq!(output.object_size(), Some(5));
    let checksum = output.checksum().unwrap().checksum_sha256();
    assert_eq!(checksum, Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="));
}

pub(crate) async fn what_is_not_there_says_so(target: Target) {
    let (client, bucket) = target.bucket().await;
    let archived = client.put_object().bucket(&bucket).key("k").storage_class(StorageClass::DeepArchive).send().await;
    assert_eq!(refusal(archived), refused(501, "NotImplemented"));
}
