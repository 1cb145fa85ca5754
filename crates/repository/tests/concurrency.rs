//! Several writers, and writers that die.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Error, StreamKind};

use support::{Fixture, noise, point, read, rows, write};

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_write_one_domain_at_once() {
    let fixture = Fixture::new().await;
    let common = rows(3_000_000, 1);
    let sessions = ["a", "b"].map(|name| {
        let (fixture, common) = (&fixture, &common);
        async move {
            let domain = fixture.domain().await;
            let own = noise(3_000_000, u64::from(name.as_bytes()[0]));
            let writer = domain.writer().await.unwrap();
            let shared = write(&writer, "common", StreamKind::TableRows, common).await.unwrap();
            let stream = write(&writer, "own", StreamKind::TableRows, &own).await.unwrap();
            let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
            domain.publish_point(&point(name, manifest, writer.finish().await.unwrap())).await.unwrap();
            (shared, stream, own)
        }
    });
    let written = futures::future::join_all(sessions).await;
    let domain = fixture.domain().await;
    for (shared, stream, own) in &written {
        assert!(read(&domain, shared).await.unwrap() == common);
        assert!(read(&domain, stream).await.unwrap() == *own);
    }
    let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(domain.list_points().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_handle_never_rely_on_what_the_other_has_not_stored() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let data = noise(8_000_000, 2);
    let lost = domain.writer().await.unwrap();
    let stream = write(&lost, "data", StreamKind::TableRows, &data).await.unwrap();
    let kept = domain.writer().await.unwrap();
    let again = write(&kept, "data", StreamKind::TableRows, &data).await.unwrap();
    // The first writer dies with chunks in an open pack, while the second has seen the same chunks.
    drop(lost);
    kept.finish().await.unwrap();
    assert_eq!(stream.content, again.content);
    assert!(read(&fixture.domain().await, &again).await.unwrap() == data);
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_dropped_midway_leaves_a_clean_domain() {
    let fixture = Fixture::new().await;
    let (root, stream) = fixture.publish(&fixture.domain().await, "a", &rows(2_000_000, 3)).await;
    // Stop at ever later moments: after so many writes of objects.
    for allowed in [0_u64, 1, 2, 4] {
        let domain = fixture.domain().await;
        let puts = fixture.bucket.puts.load(Ordering::SeqCst);
        let task = tokio::spawn(async move {
            let writer = domain.writer().await.unwrap();
            let mut stream = writer.stream("lost", StreamKind::TableRows).unwrap();
            for part in 0.. {
                stream.write(Bytes::from(noise(500_000, 1_000 * allowed + part))).await.unwrap();
            }
        });
        until("packs are written", || fixture.bucket.puts.load(Ordering::SeqCst) >= puts + allowed).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let domain = fixture.domain().await;
        let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!(domain.list_points().await.unwrap()[0].0, root.point);
        assert!(read(&domain, &stream).await.unwrap() == rows(2_000_000, 3));
    }
    let data = noise(3_000_000, 4);
    let (_, stream) = fixture.publish(&fixture.domain().await, "b", &data).await;
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_store_holds_the_streams_back_instead_of_filling_memory() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    fixture.bucket.stalled.store(true, Ordering::SeqCst);
    let writer = domain.writer().await.unwrap();
    let progress = writer.progress();
    let task = tokio::spawn(async move {
        let streams = (0..3).map(|number| {
            let writer = &writer;
            async move { write(writer, "s", StreamKind::TableRows, &noise(20_000_000, number)).await.unwrap() }
        });
        let roots = futures::future::join_all(streams).await;
        writer.finish().await.unwrap();
        roots
    });
    // Three packs of 2.7 MB and the batches in work; then nothing moves any more.
    let mut last = (0, Instant::now());
    until("the streams stand still", || {
        let read = progress().bytes_read;
        if read != last.0 {
            last = (read, Instant::now());
        }
        read > 0 && last.1.elapsed() > Duration::from_millis(500)
    })
    .await;
    assert!(progress().bytes_read < 40_000_000, "{:?}", progress());
    fixture.bucket.resume();
    let roots = task.await.unwrap();
    for (number, root) in roots.iter().enumerate() {
        assert!(read(&fixture.domain().await, root).await.unwrap() == noise(20_000_000, number as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_takes_nothing_from_the_others() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let data = noise(6_000_000, 5);
    let mut lost = writer.stream("lost", StreamKind::TableRows).unwrap();
    lost.write(Bytes::from(data.clone())).await.unwrap();
    // Its chunks may be claimed by jobs that still run.
    drop(lost);
    let kept = write(&writer, "kept", StreamKind::TableRows, &data).await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
    let root = point("a", manifest, writer.finish().await.unwrap());
    domain.publish_point(&root).await.unwrap();
    assert!(read(&fixture.domain().await, &kept).await.unwrap() == data);
}

#[tokio::test]
async fn everything_works_on_a_single_threaded_runtime() {
    let fixture = Fixture::new().await;
    let data = noise(15_000_000, 6);
    let (_, stream) = fixture.publish(&fixture.domain().await, "a", &data).await;
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_index_write_fails_the_writer() {
    let fixture = Fixture::new().await;
    *fixture.bucket.refuse.lock().unwrap() = Some("/index/".to_owned());
    let writer = fixture.domain().await.writer().await.unwrap();
    write(&writer, "data", StreamKind::TableRows, &noise(1_000_000, 7)).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert!(matches!(error, Error::WriterFailed(_)), "{error:?}");
    assert!(error.object().unwrap().contains("/index/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_write_was_cancelled_cannot_be_finished() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let mut stream = writer.stream("torn", StreamKind::TableRows).unwrap();
    fixture.bucket.stalled.store(true, Ordering::SeqCst);
    let endless = async {
        for part in 0.. {
            stream.write(Bytes::from(noise(1_000_000, part))).await.unwrap();
        }
    };
    // The store stands still, so at some point a write does too.
    assert!(tokio::time::timeout(Duration::from_secs(1), endless).await.is_err());
    fixture.bucket.resume();
    assert!(matches!(stream.write(Bytes::from_static(b"more")).await, Err(Error::Invalid(_))));
    assert!(matches!(stream.finish().await, Err(Error::Invalid(_))));
    let data = rows(100_000, 8);
    let kept = write(&writer, "kept", StreamKind::TableRows, &data).await.unwrap();
    writer.finish().await.unwrap();
    assert!(read(&fixture.domain().await, &kept).await.unwrap() == data);
}
