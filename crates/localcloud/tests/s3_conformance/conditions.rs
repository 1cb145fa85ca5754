//! Conditional writes: the ground that the repository and its points stand on.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::future::join_all;

use crate::target::{Target, get, put, refusal, refused};

pub(crate) async fn an_object_is_created_once(target: Target) {
    let (client, bucket) = target.bucket().await;
    let create = |text: &'static str| {
        client.put_object().bucket(&bucket).key("k").if_none_match("*").body(ByteStream::from_static(text.as_bytes()))
    };
    create("first").send().await.unwrap();
    assert_eq!(refusal(create("second").send().await), refused(412, "PreconditionFailed"));
    assert_eq!(get(&client, &bucket, "k").await, b"first");
    client.delete_object().bucket(&bucket).key("k").send().await.unwrap();
    create("third").send().await.unwrap();
}

/// Writes of 32 tasks at once; who won, by the text that is there afterwards and by the answers.
async fn race(client: &Client, bucket: &str, key: &str, if_match: Option<&str>) {
    let writers = (0..32).map(|writer| {
        let put =
            client.put_object().bucket(bucket).key(key).body(ByteStream::from(format!("writer {writer}").into_bytes()));
        let put = match if_match {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        tokio::spawn(put.send())
    });
    let answers = join_all(writers.collect::<Vec<_>>()).await;
    let mut winners = Vec::new();
    for (writer, answer) in answers.into_iter().enumerate() {
        match answer.unwrap() {
            Ok(_) => winners.push(writer),
            Err(error) => {
                let status = error.raw_response().unwrap_or_else(|| panic!("no answer: {error:?}")).status().as_u16();
                assert!(status == 412 || status == 409, "writer {writer} was refused with {status}");
            }
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?} won");
    assert_eq!(get(client, bucket, key).await, format!("writer {}", winners[0]).into_bytes());
}

pub(crate) async fn of_many_writers_exactly_one_creates(target: Target) {
    let (client, bucket) = target.bucket().await;
    for round in 0..8 {
        race(&client, &bucket, &format!("k{round}"), None).await;
    }
}

pub(crate) async fn of_many_writers_exactly_one_replaces(target: Target) {
    let (client, bucket) = target.bucket().await;
    for round in 0..8 {
        let etag = put(&client, &bucket, "k", format!("round {round}")).await;
        race(&client, &bucket, "k", Some(&etag)).await;
    }
}

pub(crate) async fn if_match_needs_the_object(target: Target) {
    let (client, bucket) = target.bucket().await;
    let replace =
        |etag: &str| client.put_object().bucket(&bucket).key("k").if_match(etag).body(ByteStream::from_static(b"new"));
    assert_eq!(refusal(replace("\"any\"").send().await).0, 404);
    let etag = put(&client, &bucket, "k", "old").await;
    assert_eq!(refusal(replace("\"any\"").send().await), refused(412, "PreconditionFailed"));
    replace(&etag).send().await.unwrap();
    assert_eq!(get(&client, &bucket, "k").await, b"new");
}

pub(crate) async fn a_multipart_upload_is_completed_once(target: Target) {
    let (client, bucket) = target.bucket().await;
    let upload = async |text: &'static str| {
        let created = client.create_multipart_upload().bucket(&bucket).key("k").send().await.unwrap();
        let id = created.upload_id().unwrap().to_owned();
        let part = client.upload_part().bucket(&bucket).key("k").upload_id(&id).part_number(1);
        let part = part.body(ByteStream::from_static(text.as_bytes())).send().await.unwrap();
        let part = CompletedPart::builder()
            .part_number(1)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build();
        (id, CompletedMultipartUpload::builder().parts(part).build())
    };
    let (first, first_parts) = upload("first").await;
    let (second, second_parts) = upload("second").await;
    let complete = |id: &str, parts: &CompletedMultipartUpload| {
        let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id);
        complete.multipart_upload(parts.clone()).if_none_match("*").send()
    };
    complete(&first, &first_parts).await.unwrap();
    assert_eq!(refusal(complete(&second, &second_parts).await), refused(412, "PreconditionFailed"));
    assert_eq!(get(&client, &bucket, "k").await, b"first");
}

pub(crate) async fn a_delete_takes_a_condition(target: Target) {
    let (client, bucket) = target.bucket().await;
    let etag = put(&client, &bucket, "k", "x").await;
    let delete = |etag: &str| client.delete_object().bucket(&bucket).key("k").if_match(etag).send();
    assert_eq!(refusal(delete("\"other\"").await), refused(412, "PreconditionFailed"));
    delete(&etag).await.unwrap();
    assert_eq!(refusal(delete(&etag).await).0, 404);
}

pub(crate) async fn a_copy_takes_a_condition(target: Target) {
    let (client, bucket) = target.bucket().await;
    put(&client, &bucket, "from", "x").await;
    let copy = || {
        let copy = client.copy_object().bucket(&bucket).key("to").copy_source(format!("{bucket}/from"));
        copy.if_none_match("*").send()
    };
    copy().await.unwrap();
    assert_eq!(refusal(copy().await), refused(412, "PreconditionFailed"));
}
