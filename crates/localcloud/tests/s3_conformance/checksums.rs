//! Checksums: what is declared is verified, what is kept is returned, and the SDK verifies it once more on the way back.

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, ObjectAttributes,
};
use aws_sdk_s3::{Client, error::SdkError, operation::complete_multipart_upload::CompleteMultipartUploadError};

use crate::target::{Target, bytes, refusal, refused};

/// Least size of a part that is not the last.
const PART: usize = 5 << 20;

pub(crate) async fn every_algorithm_is_returned(target: Target) {
    let (client, bucket) = target.bucket().await;
    // Of "123456789": published check values and digests.
    for (algorithm, expected) in [
        (ChecksumAlgorithm::Crc32, "y/Q5Jg=="),
        (ChecksumAlgorithm::Crc32C, "4waSgw=="),
        (ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg="),
        (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
        (ChecksumAlgorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ] {
        let put = client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"123456789"));
        let put = put.checksum_algorithm(algorithm.clone()).send().await.unwrap();
        let get =
            client.get_object().bucket(&bucket).key("k").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        let (of_put, of_get) = match algorithm {
            ChecksumAlgorithm::Crc32 => (put.checksum_crc32(), get.checksum_crc32()),
            ChecksumAlgorithm::Crc32C => (put.checksum_crc32_c(), get.checksum_crc32_c()),
            ChecksumAlgorithm::Crc64Nvme => (put.checksum_crc64_nvme(), get.checksum_crc64_nvme()),
            ChecksumAlgorithm::Sha1 => (put.checksum_sha1(), get.checksum_sha1()),
            _ => (put.checksum_sha256(), get.checksum_sha256()),
        };
        assert_eq!((of_put, of_get), (Some(expected), Some(expected)), "{algorithm}");
        assert_eq!(get.body.collect().await.unwrap().to_vec(), b"123456789");
    }
}

pub(crate) async fn a_wrong_checksum_is_refused(target: Target) {
    let (client, bucket) = target.bucket().await;
    let put = || client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"123456789"));
    let wrong = [
        put().checksum_crc32("AAAAAA=="),
        put().checksum_crc32_c("AAAAAA=="),
        put().checksum_crc64_nvme("AAAAAAAAAAA="),
        put().checksum_sha1("AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        put().checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    for put in wrong {
        assert_eq!(refusal(put.send().await), refused(400, "BadDigest"));
    }
    let head = client.head_object().bucket(&bucket).key("k").send().await;
    assert_eq!(refusal(head).0, 404, "a refused upload leaves nothing");
}

pub(crate) async fn a_wrong_md5_is_refused(target: Target) {
    let (client, bucket) = target.bucket().await;
    let put = |md5: &str| {
        client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"123456789")).content_md5(md5)
    };
    assert_eq!(refusal(put("AAAAAAAAAAAAAAAAAAAAAA==").send().await), refused(400, "BadDigest"));
    put("JfnnlDI7RTiF9RgfG2JNCw==").send().await.unwrap();
}

pub(crate) async fn s3_chooses_an_algorithm_if_the_client_does_not(target: Target) {
    let (_, bucket) = target.bucket().await;
    let config = target.client().config().to_builder();
    let config =
        config.request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired).build();
    let client = Client::from_conf(config);
    let put = client.put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"123456789"));
    put.send().await.unwrap();
    let head = client.head_object().bucket(&bucket).key("k").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(head.checksum_crc64_nvme(), Some("rosUhgp5mIg="));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
}

/// Three parts, the last short, of an upload that was created as told.
async fn parts_of(
    client: &Client,
    bucket: &str,
    create: CreateMultipartUploadFluentBuilder,
    algorithm: &ChecksumAlgorithm,
) -> (String, CompletedMultipartUpload) {
    let created = create.bucket(bucket).key("k").checksum_algorithm(algorithm.clone()).send().await.unwrap();
    let id = created.upload_id().unwrap().to_owned();
    let whole = bytes(2 * PART + 7);
    let mut parts = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(whole.chunks(PART)) {
        let upload = client.upload_part().bucket(bucket).key("k").upload_id(&id).part_number(number);
        let upload = upload.checksum_algorithm(algorithm.clone()).body(ByteStream::from(part.to_vec()));
        let part = upload.send().await.unwrap();
        parts = parts.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .set_checksum_crc32(part.checksum_crc32)
                .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
                .set_checksum_sha256(part.checksum_sha256)
                .build(),
        );
    }
    (id, parts.build())
}

pub(crate) async fn parts_have_a_composite_checksum(target: Target) {
    let (client, bucket) = target.bucket().await;
    let (id, parts) = parts_of(&client, &bucket, client.create_multipart_upload(), &ChecksumAlgorithm::Sha256).await;
    let complete = client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id).multipart_upload(parts);
    let completed = complete.send().await.unwrap();
    let checksum = completed.checksum_sha256().unwrap();
    assert!(checksum.ends_with("-3"), "{checksum}");
    assert_eq!(completed.checksum_type(), Some(&ChecksumType::Composite));
    let get = client.get_object().bucket(&bucket).key("k").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    assert_eq!(get.checksum_sha256(), Some(checksum));
    assert!(get.body.collect().await.unwrap().to_vec() == bytes(2 * PART + 7));
    let attributes = client.get_object_attributes().bucket(&bucket).key("k");
    let attributes = attributes.object_attributes(ObjectAttributes::ObjectParts).send().await.unwrap();
    assert_eq!(attributes.object_parts().unwrap().total_parts_count(), Some(3));
}

pub(crate) async fn parts_have_a_checksum_of_the_whole(target: Target) {
    let (client, bucket) = target.bucket().await;
    for algorithm in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Crc32] {
        let create = client.create_multipart_upload().checksum_type(ChecksumType::FullObject);
        let (id, parts) = parts_of(&client, &bucket, create, &algorithm).await;
        let complete =
            client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(id).multipart_upload(parts);
        let completed = complete.checksum_type(ChecksumType::FullObject).send().await.unwrap();
        assert_eq!(completed.checksum_type(), Some(&ChecksumType::FullObject));
        // The SDK computes the checksum of what it reads and compares: a wrong one fails in `collect`.
        let get =
            client.get_object().bucket(&bucket).key("k").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        let told = get.checksum_crc64_nvme().or(get.checksum_crc32()).map(str::to_owned);
        assert!(told.is_some(), "{algorithm}");
        assert!(get.body.collect().await.unwrap().to_vec() == bytes(2 * PART + 7), "{algorithm}");
    }
}

pub(crate) async fn a_wrong_checksum_of_the_whole_is_refused(target: Target) {
    let (client, bucket) = target.bucket().await;
    let create = client.create_multipart_upload().checksum_type(ChecksumType::FullObject);
    let (id, parts) = parts_of(&client, &bucket, create, &ChecksumAlgorithm::Crc64Nvme).await;
    let complete = async |checksum: Option<&str>, size: i64, parts: CompletedMultipartUpload| {
        let complete =
            client.complete_multipart_upload().bucket(&bucket).key("k").upload_id(&id).multipart_upload(parts);
        complete.set_checksum_crc64_nvme(checksum.map(str::to_owned)).mpu_object_size(size).send().await
    };
    let size = (2 * PART + 7) as i64;
    assert_eq!(refusal(complete(Some("AAAAAAAAAAA="), size, parts.clone()).await), refused(400, "BadDigest"));
    assert_eq!(refusal(complete(None, size + 1, parts.clone()).await).0, 400);
    let mut wrong = parts.parts().to_vec();
    wrong[1].checksum_crc64_nvme = wrong[0].checksum_crc64_nvme.clone();
    let wrong = CompletedMultipartUpload::builder().set_parts(Some(wrong)).build();
    assert_eq!(refusal(complete(None, size, wrong).await), refused(400, "InvalidPart"));
    let completed: Result<_, SdkError<CompleteMultipartUploadError>> = complete(None, size, parts).await;
    completed.unwrap();
}

pub(crate) async fn algorithms_are_not_mixed_in_one_upload(target: Target) {
    let (client, bucket) = target.bucket().await;
    let create =
        client.create_multipart_upload().bucket(&bucket).key("k").checksum_algorithm(ChecksumAlgorithm::Sha256);
    let id = create.send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket(&bucket).key("k").upload_id(id).part_number(1);
    let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32).body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(refusal(part), refused(400, "InvalidRequest"));
}
