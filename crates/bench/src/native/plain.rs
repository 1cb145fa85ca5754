//! What is done without the product: objects made, copied, digested, removed.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use haulier_cloud::object_store::UploadedPart;
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

/// Copies it.
pub(super) async fn copy(copy: &Copy) -> Result<()> {
    let (source, target, key) = (store(&copy.object.bucket).await?, store(&copy.to).await?, &copy.object.key);
    let size = size_of(&*source, key).await?;
    let upload = target.begin_upload(key).await.context("beginning an upload")?;
    let carry = |(number, range): (u32, Range<u64>)| {
        let (source, target, upload) = (Arc::clone(&source), Arc::clone(&target), upload.clone());
        // A task of its own, so that several processors take part.
        let task: JoinHandle<Result<UploadedPart>> = tokio::spawn(async move {
            let body = source.get_range(&upload.key, range).await.context("reading a range")?;
            target.put_part(&upload, number, body).await.context("uploading a part")
        });
        async move { task.await.context("copying a part")? }
    };
    let mut parts: Vec<_> =
        stream::iter((1..).zip(ranges(size))).map(carry).buffer_unordered(AT_ONCE).try_collect().await?;
    parts.sort_by_key(|part| part.number);
    target.complete_upload(&upload, &parts).await.context("ending an upload")
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
