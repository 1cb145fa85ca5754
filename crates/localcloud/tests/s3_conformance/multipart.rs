//! Multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};

use crate::target::{Target, bytes, get, refusal, refused};

/// Least size of a part that is not the last.
const PART: usize = 5 << 20;

async fn begin(client: &Client, bucket: &str, key: &str) -> String {
    let create = client.create_multipart_upload().bucket(bucket).key(key).checksum_algorithm(ChecksumAlgorithm::Crc32);
    create.send().await.unwrap().upload_id.unwrap()
}

async fn part(client: &Client, bucket: &str, id: &str, number: i32, bytes: Vec<u8>) -> CompletedPart {
    let upload = client.upload_part().bucket(bucket).key("k").upload_id(id).part_number(number);
    let output = upload.body(ByteStream::from(bytes)).send().await.unwrap();
    let part = CompletedPart::builder().part_number(number).set_e_tag(output.e_tag);
    part.set_checksum_crc32(output.checksum_crc32).build()
}

fn list(parts: &[CompletedPart]) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build()
}

pub(crate) async fn parts_make_one_object(target: Target) {
    let (client, bucket) = target.bucket().await;
    let whole = bytes(2 * PART + 11);
    let create = client.create_multipart_upload().bucket(&bucket).key("k").checksum_algorithm(ChecksumAlgorithm::Crc32);
    let created = create.metadata("kind", "pack").content_type("text/x").send().await.unwrap();
    let id = created.upload_id().unwrap();
    let mut parts = Vec::new();
    // In any order.
    for number in [3_i32, 1, 2] {
        let from = (number as usize - 1) * PART;
        let bytes = whole[from..whole.len().min(from + PART)].to_vec();
        parts.push(part(&client, &bucket, id, number, bytes).await);
    }
    parts.sort_by_key(CompletedPart::part_number);
    assert_eq!(refusal(client.get_object().bucket(&bucket).key("k").send().await), refused(404, "NoSuchKey"));
    let complete =
        client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id).multipart_upload(list(&parts));
    let completed = complete.send().await.unwrap();
    assert!(completed.e_tag().unwrap().trim_matches('"').ends_with("-3"));

    assert!(get(&client, &bucket, "k").await == whole);
    let range = format!("bytes={}-{}", PART - 2, 2 * PART + 1);
    let ranged = client.get_object().bucket(&bucket).key("k").range(range).send().await.unwrap();
    assert!(ranged.body.collect().await.unwrap().to_vec() == whole[PART - 2..2 * PART + 2]);
    let head = client.head_object().bucket(&bucket).key("k").send().await.unwrap();
    assert_eq!(head.content_length(), Some(whole.len() as i64));
    assert_eq!((head.content_type(), head.metadata().unwrap()["kind"].as_str()), (Some("text/x"), "pack"));
}

pub(crate) async fn the_sdks_defaults_make_an_object(target: Target) {
    let (client, bucket) = target.bucket().await;
    let id = client.create_multipart_upload().bucket(&bucket).key("k").send().await.unwrap().upload_id.unwrap();
    let parts =
        [part(&client, &bucket, &id, 1, bytes(PART)).await, part(&client, &bucket, &id, 2, b"end".to_vec()).await];
    let parts =
        parts.map(|part| CompletedPart::builder().set_part_number(part.part_number).set_e_tag(part.e_tag).build());
    let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id);
    complete.multipart_upload(list(&parts)).send().await.unwrap();
    assert!(get(&client, &bucket, "k").await == [&bytes(PART)[..], b"end"].concat());
}

pub(crate) async fn a_part_can_be_sent_again(target: Target) {
    let (client, bucket) = target.bucket().await;
    let id = begin(&client, &bucket, "k").await;
    part(&client, &bucket, &id, 1, b"first".to_vec()).await;
    let again = part(&client, &bucket, &id, 1, b"second".to_vec()).await;
    let listed = client.list_parts().bucket(&bucket).key("k").upload_id(&id).send().await.unwrap();
    assert_eq!(listed.parts().iter().map(|part| part.size().unwrap()).collect::<Vec<_>>(), [6]);
    assert_eq!(listed.parts()[0].e_tag(), again.e_tag());
    let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id);
    complete.multipart_upload(list(&[again])).send().await.unwrap();
    assert_eq!(get(&client, &bucket, "k").await, b"second");
}

pub(crate) async fn an_aborted_upload_is_gone(target: Target) {
    let (client, bucket) = target.bucket().await;
    let id = begin(&client, &bucket, "k").await;
    let sent = part(&client, &bucket, &id, 1, b"x".to_vec()).await;
    let abort = || client.abort_multipart_upload().bucket(&bucket).key("k").upload_id(&id).send();
    abort().await.unwrap();
    assert_eq!(refusal(abort().await), refused(404, "NoSuchUpload"));
    let late = client.upload_part().bucket(&bucket).key("k").upload_id(&id).part_number(2);
    assert_eq!(refusal(late.body(ByteStream::from_static(b"y")).send().await), refused(404, "NoSuchUpload"));
    let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(&id);
    assert_eq!(refusal(complete.multipart_upload(list(&[sent])).send().await), refused(404, "NoSuchUpload"));
    let uploads = client.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert!(uploads.uploads().is_empty());
}

pub(crate) async fn uploads_under_way_are_listed(target: Target) {
    let (client, bucket) = target.bucket().await;
    for key in ["a/1", "a/2", "b/1"] {
        begin(&client, &bucket, key).await;
    }
    let listed = client.list_multipart_uploads().bucket(&bucket).prefix("a/").send().await.unwrap();
    let keys: Vec<_> = listed.uploads().iter().map(|upload| upload.key().unwrap()).collect();
    assert_eq!(keys, ["a/1", "a/2"]);
    assert!(listed.uploads().iter().all(|upload| upload.initiated().is_some()));
}

pub(crate) async fn a_wrong_list_of_parts_is_refused(target: Target) {
    let (client, bucket) = target.bucket().await;
    let id = begin(&client, &bucket, "k").await;
    let small = part(&client, &bucket, &id, 1, b"small".to_vec()).await;
    let last = part(&client, &bucket, &id, 2, b"last".to_vec()).await;
    let stranger = CompletedPart::builder().part_number(1).e_tag("\"00000000000000000000000000000000\"").build();
    let missing = CompletedPart::builder().part_number(3).set_e_tag(last.e_tag.clone()).build();
    let complete = |parts: &[CompletedPart]| {
        let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(&id);
        complete.multipart_upload(list(parts)).send()
    };
    assert_eq!(refusal(complete(&[stranger]).await), refused(400, "InvalidPart"));
    assert_eq!(refusal(complete(&[missing]).await), refused(400, "InvalidPart"));
    assert_eq!(refusal(complete(&[last.clone(), small.clone()]).await).0, 400);
    assert_eq!(refusal(complete(&[small.clone(), last]).await), refused(400, "EntityTooSmall"));
    complete(&[small]).await.unwrap();
    assert_eq!(get(&client, &bucket, "k").await, b"small");
}

pub(crate) async fn a_part_is_read_by_its_number(target: Target) {
    let (client, bucket) = target.bucket().await;
    let id = begin(&client, &bucket, "k").await;
    let parts =
        [part(&client, &bucket, &id, 1, bytes(PART)).await, part(&client, &bucket, &id, 2, b"end".to_vec()).await];
    let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id);
    complete.multipart_upload(list(&parts)).send().await.unwrap();
    let get = client.get_object().bucket(&bucket).key("k").part_number(2).send().await.unwrap();
    assert_eq!(get.parts_count(), Some(2));
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"end");
}
