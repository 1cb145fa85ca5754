//! What is written comes back.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use bytes::Bytes;
use haulier_repository::{Chunking, DomainConfig, Error, StreamContent, StreamKind};
use proptest::prelude::*;

use support::{Fixture, noise, point, read, rows, write};

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_awkward_lengths_come_back_in_another_process() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let mut written = Vec::new();
    let kinds = [StreamKind::TableRows, StreamKind::Pages, StreamKind::Archive, StreamKind::Document];
    for (number, length) in
        [0, 1, 4_095, 16_384, 65_535, 65_536, 65_537, 262_144, 262_145, 1_048_575, 1_048_576, 1_048_577, 5_000_000]
            .iter()
            .enumerate()
    {
        let kind = kinds[number % kinds.len()];
        let data = if number % 2 == 0 { noise(*length, number as u64) } else { rows(*length, number as u64) };
        let root = write(&writer, &format!("stream {number}"), kind, &data).await.unwrap();
        assert_eq!((root.bytes, root.kind), (*length as u64, kind));
        written.push((root, data));
    }
    let summary = writer.finish().await.unwrap();
    assert_eq!(summary.totals.streams, 13);
    assert!(summary.totals.bytes_read > 5_000_000);

    let other = fixture.domain().await;
    for (root, data) in &written {
        // A root passes through JSON on its way to the manifest.
        let root = serde_json::from_str(&serde_json::to_string(root).unwrap()).unwrap();
        assert!(read(&other, &root).await.unwrap() == *data, "{}", root.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_written_at_once_share_packs_and_come_back() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let data: Vec<_> = (0..6).map(|seed| rows(4_000_000, seed % 5)).collect();
    let roots = futures::future::join_all(
        ["0", "1", "2", "3", "4", "5"]
            .iter()
            .zip(&data)
            .map(|(name, data)| write(&writer, name, StreamKind::TableRows, data)),
    )
    .await;
    let summary = writer.finish().await.unwrap();
    assert!(summary.totals.bytes_new < 21_000_000, "streams 0 and 5 are the same: {:?}", summary.totals);
    let other = fixture.domain().await;
    for (root, data) in roots.into_iter().zip(&data) {
        assert!(read(&other, &root.unwrap()).await.unwrap() == *data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_of_the_same_data_stores_next_to_nothing() {
    let fixture = Fixture::new().await;
    let data = [rows(6_000_000, 1), noise(6_000_000, 2)].concat();
    fixture.publish(&fixture.domain().await, "a", &data).await;
    let before = fixture.bucket.size();
    let domain = fixture.domain().await;
    let (second, stream) = fixture.publish(&domain, "b", &data).await;
    let added = fixture.bucket.size() - before;
    assert!(added < 10_000, "{added} of {before} bytes");
    assert!(second.totals.bytes_new < 5_000, "{:?}", second.totals);
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_compression_everything_is_stored_as_it_is_and_comes_back() {
    let fixture = Fixture::new().await;
    let config = DomainConfig { compress: false, ..fixture.config() };
    let plainly = fixture.repository.domain(&fixture.id, config).await.unwrap();
    let data = rows(3_000_000, 5);
    let (first, stream) = fixture.publish(&plainly, "plain", &data).await;
    assert!(first.totals.bytes_stored > 3_000_000, "{:?}", first.totals);
    // Not even on a base that it resembles.
    let changed = [&data[..1_000_000], b"inserted", &data[1_000_000..]].concat();
    let writer = plainly.writer_on(Some(plainly.base_point(&first.point).await.unwrap())).await.unwrap();
    let again = write(&writer, "data", StreamKind::TableRows, &changed).await.unwrap();
    let totals = writer.finish().await.unwrap().totals;
    assert!(totals.chunks_delta == 0 && totals.chunks_new < totals.chunks, "{totals:?}");
    let other = fixture.domain().await;
    for (stream, data) in [(stream, data), (again, changed)] {
        assert!(read(&other, &stream).await.unwrap() == data, "{}", stream.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_streams_get_a_tree_of_pages_and_ranges_of_them_can_be_read() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    // Tiny chunks: many pages from little data.
    let data = noise(6_000_000, 3);
    let mut stream = writer.stream_cut("many", StreamKind::Pages, Chunking::around(256)).unwrap();
    stream.write(Bytes::from(data.clone())).await.unwrap();
    let root = stream.finish().await.unwrap();
    writer.finish().await.unwrap();
    assert!(matches!(root.content, StreamContent::Pages(_)), "{root:?}");
    assert!(root.chunks > 16_384, "{}", root.chunks);
    assert!(fixture.bucket.keys("/lists/").len() > 2);

    let other = fixture.domain().await;
    assert!(read(&other, &root).await.unwrap() == data);
    for range in
        [0..1, 0..6_000_000, 5_999_999..7_000_000, 1_234_567..1_234_567, 999_999..3_000_001, 7_000_000..8_000_000]
    {
        let got: Vec<Bytes> = futures::TryStreamExt::try_collect(other.read_range(&root, range.clone())).await.unwrap();
        let end = range.end.min(6_000_000) as usize;
        let wanted = &data[(range.start as usize).min(end)..end];
        assert!(got.concat() == wanted, "{range:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_finds_what_another_writer_stored_after_its_index_was_loaded() {
    let fixture = Fixture::new().await;
    let (early, late) = (fixture.domain().await, fixture.domain().await);
    early.refresh().await.unwrap();
    let (_, stream) = fixture.publish(&late, "a", &rows(1_000_000, 4)).await;
    assert!(read(&early, &stream).await.unwrap() == rows(1_000_000, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_listed_read_and_never_replaced() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let (root, _) = fixture.publish(&domain, "a", &rows(100_000, 5)).await;
    domain.publish_point(&root).await.expect("repeating it is harmless");
    let mut other = root.clone();
    other.engine = "mysql".to_owned();
    assert!(matches!(domain.publish_point(&other).await, Err(Error::PointTaken { .. })));
    assert_eq!(domain.read_point(&root.point).await.unwrap(), root);
    let listed: Vec<_> = domain.list_points().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed, [root.point]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_is_not_finished_while_a_stream_is_open() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let mut stream = writer.stream("open", StreamKind::Document).unwrap();
    assert!(matches!(writer.finish().await, Err(Error::Invalid(_))));
    let failed = async {
        stream.write(Bytes::from(noise(3_000_000, 6))).await?;
        stream.finish().await
    };
    assert!(matches!(failed.await, Err(Error::WriterFailed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_packs_fails_every_stream_and_the_writer() {
    let fixture = Fixture::new().await;
    *fixture.bucket.refuse.lock().unwrap() = Some("/packs/".to_owned());
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let (a, b) = (noise(20_000_000, 7), noise(20_000_000, 8));
    let (first, second) =
        tokio::join!(write(&writer, "a", StreamKind::TableRows, &a), write(&writer, "b", StreamKind::TableRows, &b));
    for result in [first, second] {
        let error = result.unwrap_err();
        assert_eq!(error.cloud().unwrap().kind, haulier_cloud::ErrorKind::Denied);
        assert!(error.object().is_some_and(|object| object.contains("/packs/")), "{error:?}");
    }
    assert!(writer.finish().await.is_err());
    assert!(fixture.bucket.keys("/index/").is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_stream_in_any_pieces_comes_back(
        length in prop_oneof![0_usize..2_000, 10_000_usize..20_000, 60_000_usize..70_000, 250_000_usize..700_000],
        piece in 1_usize..200_000,
        avg in prop_oneof![Just(256_u32), Just(4_096), Just(65_536)],
        compressible in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let domain = fixture.domain().await;
            let data = if compressible { rows(length, seed) } else { noise(length, seed) };
            let writer = domain.writer().await.unwrap();
            let mut stream = writer.stream_cut("s", StreamKind::Pages, Chunking::around(avg)).unwrap();
            for part in data.chunks(piece) {
                stream.write(Bytes::copy_from_slice(part)).await.unwrap();
            }
            let root = stream.finish().await.unwrap();
            let summary = writer.finish().await.unwrap();
            assert!(read(&fixture.domain().await, &root).await.unwrap() == data);
            domain.publish_point(&point("p", root, summary)).await.unwrap();
        });
    }
}
