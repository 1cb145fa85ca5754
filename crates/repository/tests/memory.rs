//! The agent's bound: half a gigabyte through four streams, out and back, and again as deltas, in well under 300 MiB.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use haulier_repository::{BasePoint, Domain, DomainConfig, NewKey, Repository, StreamKind, StreamRoot, Writer};

use support::folder::Folder;
use support::{PREFIX, cheap, noise, passphrase, point};

const STREAMS: u64 = 4;
const BOUND: u64 = 280 << 20;

/// What the streams are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Half of it compresses. A few bytes are others on another day.
    Mixed,
    /// Rows that shrink to a hundredth. Some are gone on another day.
    Dense,
}

impl Content {
    fn parts(self) -> u64 {
        match self {
            Self::Mixed => 256,
            Self::Dense => 128,
        }
    }

    /// About half a megabyte.
    fn part(self, day: u8, stream: u64, number: u64) -> Vec<u8> {
        match self {
            Self::Mixed => {
                let mut part = noise(256 << 10, stream * self.parts() + number);
                part.resize(512 << 10, b'x');
                part.iter_mut().step_by(50_000).for_each(|byte| *byte ^= day);
                part
            }
            Self::Dense => {
                let first = 1_000_000 * (stream + 1) + 5_000 * number;
                let rows = (first..first + 5_000).filter(|row| day == 0 || row % 67 != 5);
                rows.flat_map(|row| format!("{row}\t{stream}\t0\t{:84}\n", "").into_bytes()).collect()
            }
        }
    }
}

/// Peak resident memory of this process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

async fn write(writer: &Writer, content: Content, day: u8, stream: u64) -> StreamRoot {
    let mut out = writer.stream(&stream.to_string(), StreamKind::TableRows).unwrap();
    for number in 0..content.parts() {
        out.write(Bytes::from(content.part(day, stream, number))).await.unwrap();
    }
    out.finish().await.unwrap()
}

async fn compare(domain: &Domain, content: Content, day: u8, stream: u64, root: &StreamRoot) {
    let mut parts = std::pin::pin!(domain.read(root));
    let (mut got, mut number, mut expected) = (Vec::new(), 0, content.part(day, stream, 0));
    while let Some(bytes) = parts.try_next().await.unwrap() {
        got.extend_from_slice(&bytes);
        while number < content.parts() && got.len() >= expected.len() {
            assert!(got.drain(..expected.len()).eq(expected), "part {number} of stream {stream}");
            number += 1;
            expected = content.part(day, stream, number);
        }
    }
    assert_eq!((got.len(), number), (0, content.parts()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_streams_stay_within_the_agents_bound() {
    stay_within_the_bound(Content::Mixed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_streams_of_dense_rows_stay_within_it_too() {
    stay_within_the_bound(Content::Dense).await;
}

async fn stay_within_the_bound(content: Content) {
    let (bucket, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(Folder(bucket.path().to_owned()));
    let key = NewKey::Passphrase(passphrase(), cheap());
    let repository = Repository::create(store, PREFIX, &key, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let id = "dom-one".parse().unwrap();
    repository.domain_key(&id, true).await.unwrap();
    let config = DomainConfig { threads: 4, ..DomainConfig::new(cache.path()) };

    let mut base: Option<BasePoint> = None;
    for day in [0, 1] {
        let domain = repository.domain(&id, config.clone()).await.unwrap();
        let writer = domain.writer_on(base.take()).await.unwrap();
        let roots = futures::future::join_all((0..STREAMS).map(|stream| write(&writer, content, day, stream))).await;
        let manifest = support::write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
        let summary = writer.finish().await.unwrap();
        let writing = peak();
        assert!(writing < BOUND, "writing day {day}: {} MiB", writing >> 20);
        assert!(summary.totals.bytes_read > STREAMS * content.parts() * 450_000);
        let deltas = if content == Content::Mixed { 1_000 } else { 20 };
        assert_eq!(summary.totals.chunks_delta > deltas, day == 1, "{:?}", summary.totals);
        let root = point(&format!("day-{day}"), manifest, summary);
        domain.publish_point(&root).await.unwrap();
        base = Some(domain.base_point(&root.point).await.unwrap());
        drop(domain);

        let domain = repository.domain(&id, config.clone()).await.unwrap();
        let streams = (0..STREAMS).map(|stream| compare(&domain, content, day, stream, &roots[stream as usize]));
        futures::future::join_all(streams).await;
        let reading = peak();
        assert!(reading < BOUND, "reading day {day}: {} MiB", reading >> 20);
        println!("day {day}, peak so far: {} MiB after writing, {} MiB after reading", writing >> 20, reading >> 20);
    }
}
