//! What is done without the product: objects made, copied, digested, removed.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use aws_config::BehaviorVersion;
use aws_lc_rs::digest::{self, SHA256};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use haulier_pages::{PAGE, PageMaker};
use tokio::task::JoinHandle;

use super::{Object, size_of, store};
use crate::pages;

/// Bytes of a part.
const PART: u64 = 16 << 20;
/// Parts that are on their way at once.
const AT_ONCE: usize = 6;

/// Makes an object of database pages.
#[derive(Debug, Args)]
pub(crate) struct Make {
    #[command(flatten)]
    object: Object,
    #[command(flatten)]
    pages: pages::Pages,
}

/// Copies an object.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    #[command(flatten)]
    object: Object,
    /// The bucket it goes to, under the same key.
    #[arg(long)]
    to: String,
    /// Sign no bodies.
    #[arg(long)]
    unsigned: bool,
}

/// Makes it, part by part.
pub(super) async fn make(make: &Make) -> Result<()> {
    let (store, key) = (store(&make.object.bucket).await?, &make.object.key);
    let upload = store.begin_upload(key).await.context("beginning an upload")?;
    let (maker, mut page) = (PageMaker::new(), [0; PAGE]);
    let (mut body, mut parts) = (make.pages.header(), Vec::new());
    let count = make.pages.count();
    for number in 0..count {
        make.pages.page(&maker, number, &mut page);
        body.extend_from_slice(&page);
        if body.len() as u64 >= PART || number + 1 == count {
            let part = Bytes::from(std::mem::take(&mut body));
            let number = parts.len() as u32 + 1;
            parts.push(store.put_part(&upload, number, part).await.context("uploading a part")?);
        }
    }
    store.complete_upload(&upload, &parts).await.context("ending an upload")
}

/// Copies it, by the SDK alone and as it comes, but for signatures where they are to be left out.
pub(super) async fn copy(copy: &Copy) -> Result<()> {
    let Copy { object: Object { bucket, key }, to, unsigned } = copy;
    let client = aws_sdk_s3::Client::new(&aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await);
    let size = size_of(&*store(bucket).await?, key).await?;
    let begun = client.create_multipart_upload().bucket(to).key(key).checksum_algorithm(ChecksumAlgorithm::Crc32);
    let begun = begun.send().await.context("beginning an upload")?;
    let upload = begun.upload_id().context("the upload has no id")?;
    let carry = |(number, range): (i32, Range<u64>)| {
        let get = client.get_object().bucket(bucket).key(key).range(format!("bytes={}-{}", range.start, range.end - 1));
        let put = client.upload_part().bucket(to).key(key).upload_id(upload).part_number(number);
        let (put, unsigned) = (put.checksum_algorithm(ChecksumAlgorithm::Crc32), *unsigned);
        // A task of its own, so that several processors take part.
        let task: JoinHandle<Result<CompletedPart>> = tokio::spawn(async move {
            let body = get.send().await.context("reading a range")?.body.collect().await.context("reading a range")?;
            let put = put.body(body.into_bytes().into()).customize();
            let put = if unsigned { put.disable_payload_signing() } else { put };
            let put = put.send().await.context("uploading a part")?;
            let part = CompletedPart::builder().part_number(number).set_e_tag(put.e_tag);
            Ok(part.set_checksum_crc32(put.checksum_crc32).build())
        });
        async move { task.await.context("copying a part")? }
    };
    let mut parts: Vec<_> =
        stream::iter((1..).zip(ranges(size))).map(carry).buffer_unordered(AT_ONCE).try_collect().await?;
    parts.sort_by_key(|part| part.part_number);
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let ended = client.complete_multipart_upload().bucket(to).key(key).upload_id(upload).multipart_upload(parts);
    ended.send().await.context("ending an upload").map(drop)
}

/// SHA-256 of an object, in hex.
pub(super) async fn digest(object: &Object) -> Result<String> {
    let (store, key) = (store(&object.bucket).await?, &object.key);
    let size = size_of(&*store, key).await?;
    let (mut digest, mut bytes) = (digest::Context::new(&SHA256), 0);
    let mut bodies = stream::iter(ranges(size)).map(|range| store.get_range(key, range)).buffered(AT_ONCE);
    while let Some(body) = bodies.try_next().await.context("reading a range")? {
        bytes += body.len() as u64;
        digest.update(&body);
    }
    ensure!(bytes == size, "{bytes} of {size} bytes of {key} came");
    Ok(digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes every object.
pub(super) async fn empty(bucket: &str) -> Result<()> {
    let store = store(bucket).await?;
    loop {
        let there = store.list("", None).await.with_context(|| format!("listing {bucket}"))?.objects;
        if there.is_empty() {
            return Ok(());
        }
        for object in there {
            store.delete(&object.key).await.with_context(|| format!("removing {}", object.key))?;
        }
    }
}

fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(PART)).map(move |number| number * PART..(number * PART + PART).min(size))
}
