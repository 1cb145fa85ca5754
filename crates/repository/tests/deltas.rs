//! Deltas: what is new is stored as a difference to what an earlier point has, comes back byte for byte, and whatever is
//! wrong with a base makes a backup larger, never wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{
    BasePoint, Chunking, Domain, DomainConfig, Error, PointRoot, StreamKind, StreamRoot, WriteSummary, Writer,
};
use proptest::prelude::*;

use support::{Fixture, edited, noise, point, read, rows, write};

/// A backup of one stream on a base, published.
async fn backup(domain: &Domain, name: &str, data: &[u8], base: Option<BasePoint>) -> (PointRoot, StreamRoot) {
    let (summary, stream, manifest) = store(domain, data, base).await;
    let root = point(name, manifest, summary);
    domain.publish_point(&root).await.unwrap();
    (root, stream)
}

/// Writes rows in chunks of 256 KiB, so that few megabytes are many chunks.
async fn write_rows(writer: &Writer, data: &[u8]) -> haulier_repository::Result<StreamRoot> {
    let mut stream = writer.stream_cut("data", StreamKind::TableRows, Chunking::around(256 << 10))?;
    for part in data.chunks(100_000) {
        stream.write_slice(part).await?;
    }
    stream.finish().await
}

async fn store(domain: &Domain, data: &[u8], base: Option<BasePoint>) -> (WriteSummary, StreamRoot, StreamRoot) {
    let writer = domain.writer_on(base).await.unwrap();
    let stream = write_rows(&writer, data).await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
    (writer.finish().await.unwrap(), stream, manifest)
}

async fn base(domain: &Domain, root: &PointRoot) -> Option<BasePoint> {
    Some(domain.base_point(&root.point).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_day_costs_what_changed_and_every_day_comes_back() {
    let fixture = Fixture::new().await;
    let mut days = vec![rows(6_000_000, 1)];
    let mut streams: Vec<StreamRoot> = Vec::new();
    let mut last = None;
    for day in 0..12 {
        let domain = fixture.domain().await;
        let on = match &last {
            Some(last) => base(&domain, last).await,
            None => None,
        };
        let (root, stream) = backup(&domain, &day.to_string(), &days[day as usize], on).await;
        assert_eq!(root.required_features.is_empty(), day == 0, "day {day}");
        assert_eq!(root.totals.bases_unusable, 0);
        if day == 1 {
            assert!(root.totals.chunks_delta * 10 >= root.totals.chunks_new * 8, "{:?}", root.totals);
        }
        (last, streams) = (Some(root), [streams, vec![stream]].concat());
        days.push(edited(&days[day as usize], day, 9_000));
    }
    let domain = fixture.domain().await;
    for (stream, data) in streams.iter().zip(&days) {
        assert!(read(&domain, stream).await.unwrap() == *data);
        let range = 1_234_567..2_345_678;
        let part = StreamRoot { name: "part".to_owned(), ..stream.clone() };
        let mut got = Vec::new();
        let mut parts = std::pin::pin!(domain.read_range(&part, range.clone()));
        while let Some(bytes) = futures::TryStreamExt::try_next(&mut parts).await.unwrap() {
            got.extend_from_slice(&bytes);
        }
        assert!(got == data[range.start as usize..range.end as usize]);
    }
    let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// What is put between old rows moves the boundaries after it; where an old chunk begins is found all the same. Noise, so that
/// nothing resembles anything by chance.
#[tokio::test(flavor = "multi_thread")]
async fn rows_put_between_old_ones_cost_themselves_alone() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let data = noise(24_000_000, 31);
    let (first, _) = backup(&domain, "first", &data, None).await;
    let mut later = Vec::new();
    let mut put = 0;
    for (number, part) in data.chunks(1_500_000).enumerate() {
        let new = noise(100_000 + 20_000 * number, 1_000 + number as u64);
        put += new.len() as u64;
        later.extend(edited(part, number as u64, 9_000));
        later.extend(new);
    }
    let (second, stream) = backup(&domain, "second", &later, base(&domain, &first).await).await;
    assert!(read(&domain, &stream).await.unwrap() == later);
    let stored = second.totals.bytes_stored;
    assert!(stored * 20 < put * 27, "{stored} bytes are stored for {put} that were put in: {:?}", second.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_as_its_predecessor_was() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let data = rows(2_000_000, 21);
    let unusual = Chunking::around(32 << 10);
    assert_ne!(unusual, Chunking::of(StreamKind::TableRows));
    let writer = domain.writer().await.unwrap();
    let mut stream = writer.stream_cut("data", StreamKind::TableRows, unusual).unwrap();
    stream.write_slice(&data).await.unwrap();
    stream.finish().await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
    let first = point("first", manifest, writer.finish().await.unwrap());
    domain.publish_point(&first).await.unwrap();
    for on in [None, base(&domain, &first).await] {
        let followed = on.is_some();
        let writer = domain.writer_on(on).await.unwrap();
        let again = write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
        let totals = writer.finish().await.unwrap().totals;
        assert_eq!(again.chunking == unusual, followed);
        assert_eq!(totals.bytes_new < 100_000, followed, "{totals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_bases_are_renewed_before_deltas_cost_more_than_they_save() {
    const DAYS: u64 = 20;
    let fixture = Fixture::new().await;
    let mut data = rows(3_000_000, 2);
    let mut last = None;
    let (mut whole, mut deltas) = (0, 0);
    for day in 0..DAYS {
        let domain = fixture.domain().await;
        let on = match &last {
            Some(last) => base(&domain, last).await,
            None => None,
        };
        let (root, _) = backup(&domain, &day.to_string(), &data, on).await;
        if day > 0 {
            deltas += root.totals.chunks_delta;
            whole += root.totals.chunks_new - root.totals.chunks_delta;
        }
        last = Some(root);
        data = edited(&data, day, 2_500);
    }
    // The catalogues are among the whole ones, one a day.
    let renewed = whole - (DAYS - 1);
    assert!(renewed > 8 && deltas > 5 * renewed, "{renewed} renewed, {deltas} deltas");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_moved_is_found_by_its_sketch_without_a_base_point() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let data = rows(4_000_000, 3);
    backup(&domain, "first", &data, None).await;
    let mut moved = noise(1_000_000, 4);
    moved.extend_from_slice(&edited(&data[2_000_000..], 5, 9_000));
    moved.extend_from_slice(&edited(&data[..2_000_000], 6, 9_000));
    let (root, stream) = backup(&domain, "second", &moved, None).await;
    assert!(root.totals.bytes_delta > 2_000_000, "{:?}", root.totals);
    assert!(read(&domain, &stream).await.unwrap() == moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_data_costs_no_more_than_plain_deduplication() {
    let fixture = Fixture::new().await;
    let data = rows(5_000_000, 7);
    let longer = [data.clone(), noise(200_000, 8)].concat();
    let mut stored = Vec::new();
    for with_base in [false, true] {
        let domain = fixture.domain().await;
        let name = format!("base-{with_base}");
        let (first, _) = backup(&domain, &name, &data, None).await;
        let on = if with_base { base(&domain, &first).await } else { None };
        let before = fixture.bucket.gets.load(Ordering::SeqCst);
        let writer = domain.writer_on(on).await.unwrap();
        let stream = write_rows(&writer, &longer).await.unwrap();
        let stats = writer.stats();
        stored.push(stats.bytes_new);
        let gets = fixture.bucket.gets.load(Ordering::SeqCst) - before;
        assert!(gets < 12, "{gets} reads for what is known");
        writer.finish().await.unwrap();
        assert!(read(&domain, &stream).await.unwrap() == longer);
    }
    // The second time everything is known.
    assert!(stored[0] < 1_500_000 && stored[1] == 0, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_lost_or_damaged_is_done_without_and_counted() {
    for damage in ["removed", "flipped"] {
        let fixture = Fixture::new().await;
        let data = rows(6_000_000, 9);
        let domain = fixture.domain().await;
        let (first, _) = backup(&domain, "first", &data, None).await;
        let on = base(&domain, &first).await;
        let writer = domain.writer_on(on).await.unwrap();
        for key in fixture.bucket.keys("/packs/") {
            match damage {
                "removed" => fixture.bucket.remove(&key),
                _ => {
                    let length = fixture.bucket.object(&key).len();
                    (100..length).step_by(5_000).for_each(|at| fixture.bucket.flip(&key, at));
                }
            }
        }
        let changed = edited(&data, 10, 9_000);
        let stream = write_rows(&writer, &changed).await.unwrap();
        let stats = writer.finish().await.unwrap().totals;
        assert!(stats.bases_unusable > 0 && stats.chunks_delta == 0, "{damage}: {stats:?}");
        assert!(read(&fixture.domain().await, &stream).await.unwrap() == changed, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bases_hold_up_a_backup_for_a_moment_only() {
    let fixture = Fixture::new().await;
    let data = rows(6_000_000, 11);
    let config = || {
        let mut config = fixture.config();
        config.base_deadline = Duration::from_millis(50);
        config
    };
    let domain = fixture.repository.domain(&fixture.id, config()).await.unwrap();
    let (first, _) = backup(&domain, "first", &data, None).await;
    let on = base(&fixture.domain().await, &first).await;
    let writer = domain.writer_on(on).await.unwrap();
    fixture.bucket.hang("/packs/");
    let changed = edited(&data, 12, 9_000);
    let storing = async {
        let stream = write_rows(&writer, &changed).await.unwrap();
        (writer.finish().await.unwrap(), stream)
    };
    let (summary, stream) = tokio::time::timeout(Duration::from_secs(60), storing).await.unwrap();
    assert!(summary.totals.bases_unusable > 0 && summary.totals.chunks_delta == 0, "{:?}", summary.totals);
    fixture.bucket.hang("nothing");
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_list_or_root_of_the_base_point_holds_up_a_backup_for_a_moment_only() {
    let fixture = Fixture::new().await;
    let data = rows(2_000_000, 23);
    let cut = Chunking::around(8 << 10);
    let config = || DomainConfig { base_deadline: Duration::from_millis(50), ..fixture.config() };
    let domain = fixture.repository.domain(&fixture.id, config()).await.unwrap();
    let writer = domain.writer().await.unwrap();
    let mut stream = writer.stream_cut("data", StreamKind::TableRows, cut).unwrap();
    stream.write(data.clone().into()).await.unwrap();
    stream.finish().await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
    let first = point("first", manifest, writer.finish().await.unwrap());
    domain.publish_point(&first).await.unwrap();

    let writer = domain.writer_on(base(&fixture.domain().await, &first).await).await.unwrap();
    fixture.bucket.hang("/lists/");
    let changed = edited(&data, 24, 9_000);
    let storing = async {
        let mut stream = writer.stream_cut("data", StreamKind::TableRows, cut).unwrap();
        stream.write(changed.clone().into()).await.unwrap();
        let stream = stream.finish().await.unwrap();
        (writer.finish().await.unwrap(), stream)
    };
    let (summary, stream) = tokio::time::timeout(Duration::from_secs(60), storing).await.unwrap();
    assert!(summary.totals.bases_unusable > 0, "{:?}", summary.totals);
    for part in ["/points/", "/packs/"] {
        let domain = fixture.repository.domain(&fixture.id, config()).await.unwrap();
        fixture.bucket.hang(part);
        let late = tokio::time::timeout(Duration::from_secs(60), domain.base_point(&first.point)).await.unwrap();
        assert!(matches!(late, Err(Error::SlowBase { .. })), "{late:?}");
    }
    fixture.bucket.hang("nothing");
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == changed);
}

/// The key of the pack that holds the first day's chunks, after two days of one stream.
async fn two_days(fixture: &Fixture) -> (PointRoot, PointRoot, StreamRoot, String) {
    let data = rows(300_000, 13);
    let domain = fixture.domain().await;
    let (first, _) = backup(&domain, "first", &data, None).await;
    let packs = fixture.bucket.keys("/packs/");
    let [pack] = packs.as_slice() else { panic!("{packs:?}") };
    let on = base(&domain, &first).await;
    let (second, stream) = backup(&domain, "second", &edited(&data, 14, 9_000), on).await;
    assert!(second.totals.chunks_delta > 0);
    (first, second, stream, pack.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_base_is_named_by_whoever_needs_it() {
    let fixture = Fixture::new().await;
    let (_, second, stream, pack) = two_days(&fixture).await;
    fixture.bucket.flip(&pack, 20_000);
    let domain = fixture.domain().await;
    let error = read(&domain, &stream).await.unwrap_err();
    assert!(matches!(&error, Error::BaseUnreadable { .. }), "{error:?}");
    assert_eq!(error.object(), Some(pack.as_str()));
    let points = CheckScope::Points(vec![second.point]);
    let structure = domain.check(points.clone(), CheckDepth::Structure, |_| {}).await.unwrap();
    assert!(structure.is_clean(), "{:?}", structure.findings);
    let report = domain.check(points, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.findings.iter().all(|finding| finding.object == pack), "{:?}", report.findings);
    let of_delta = |what: &str| what.contains("is a delta on chunk") && what.contains("seal");
    assert!(report.findings.iter().any(|finding| of_delta(&finding.what)), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_whose_bases_are_gone_is_not_published_and_every_check_says_so() {
    let fixture = Fixture::new().await;
    let (_, second, stream, pack) = two_days(&fixture).await;
    fixture.bucket.remove(&pack);
    let domain = fixture.domain().await;
    let error = read(&domain, &stream).await.unwrap_err();
    assert!(matches!(&error, Error::BaseUnreadable { .. }), "{error:?}");
    assert_eq!(error.object(), Some(pack.as_str()));
    for depth in [CheckDepth::Reachable, CheckDepth::Structure, CheckDepth::Full] {
        let report = domain.check(CheckScope::Points(vec![second.point.clone()]), depth, |_| {}).await.unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == pack), "{depth:?}: {:?}", report.findings);
    }
    let root = PointRoot { point: "pnt-third".parse().unwrap(), ..second };
    let refused = domain.publish_point(&root).await.unwrap_err();
    assert!(matches!(refused, Error::NotReachable { .. }), "{refused:?}");

    // The same data again: deltas on what is gone count for nothing, and the point is whole again.
    let again = edited(&rows(300_000, 13), 14, 9_000);
    let (_, healed) = backup(&fixture.domain().await, "fourth", &again, None).await;
    assert!(read(&fixture.domain().await, &healed).await.unwrap() == again);
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_leaves_nothing_that_the_next_one_trips_over() {
    let fixture = Fixture::new().await;
    let data = rows(6_000_000, 15);
    let domain = fixture.domain().await;
    let (first, _) = backup(&domain, "first", &data, None).await;
    let changed = edited(&data, 16, 9_000);
    for part in ["/packs/", "/index/", "/lists/"] {
        *fixture.bucket.refuse.lock().unwrap() = Some(part.to_owned());
        let domain = fixture.domain().await;
        let writer = domain.writer_on(base(&domain, &first).await).await.unwrap();
        let written = write_rows(&writer, &changed).await;
        // Short lists have no page: then nothing fails.
        let failed = written.is_err() || writer.finish().await.is_err();
        assert!(failed || part == "/lists/", "{part}");
    }
    *fixture.bucket.refuse.lock().unwrap() = None;
    let domain = fixture.domain().await;
    let (root, stream) = backup(&domain, "second", &changed, base(&domain, &first).await).await;
    assert_eq!(root.required_features, ["deltas"]);
    assert!(read(&fixture.domain().await, &stream).await.unwrap() == changed);
    let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_share_bases_and_a_point_of_known_deltas_says_so() {
    let fixture = Arc::new(Fixture::new().await);
    let data = rows(3_000_000, 17);
    let domain = fixture.domain().await;
    let (first, _) = backup(&domain, "first", &data, None).await;
    let changed = Arc::new(edited(&data, 18, 9_000));
    let writers = (0..3).map(|_| {
        let (fixture, changed, first) = (Arc::clone(&fixture), Arc::clone(&changed), first.clone());
        tokio::spawn(async move {
            let domain = fixture.domain().await;
            store(&domain, &changed, base(&domain, &first).await).await
        })
    });
    for stored in futures::future::join_all(writers).await {
        let (summary, stream, _) = stored.unwrap();
        assert_eq!(summary.required_features, ["deltas"]);
        assert!(read(&fixture.domain().await, &stream).await.unwrap() == *changed);
    }
    // Nothing is new, and yet the point needs what the others wrote.
    let domain = fixture.domain().await;
    let (root, _) = backup(&domain, "second", &changed, base(&domain, &first).await).await;
    assert_eq!((root.totals.chunks_delta, root.required_features), (0, vec!["deltas".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_says_that_it_needs_deltas_though_its_worker_did_not() {
    let fixture = Fixture::new().await;
    let (first, second, stream, _) = two_days(&fixture).await;
    assert_eq!((first.required_features.len(), second.required_features.len()), (0, 1));
    // As a worker would propose it that knows of no features, and has stored nothing itself.
    let silent = PointRoot { point: "pnt-third".parse().unwrap(), required_features: Vec::new(), ..second.clone() };
    let domain = fixture.domain().await;
    let published = domain.publish_point(&silent).await.unwrap();
    assert_eq!(published.required_features, ["deltas"]);
    assert_eq!(domain.read_point(&silent.point).await.unwrap(), published);
    assert_eq!(domain.publish_point(&silent).await.unwrap(), published, "repeating it is harmless");
    // A point of whole chunks needs nothing, whatever its worker says.
    let whole = PointRoot { point: "pnt-fourth".parse().unwrap(), ..first };
    assert_eq!(domain.publish_point(&whole).await.unwrap(), whole);
    assert!(!read(&domain, &stream).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_point_with_an_unknown_feature_is_refused_by_name() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let (summary, _, manifest) = store(&domain, b"", None).await;
    let mut root = point("future", manifest, summary);
    root.required_features = vec!["deltas".to_owned(), "telepathy".to_owned()];
    let telepathy = |error: &Error| matches!(error, Error::Unsupported { needs, .. } if needs == "telepathy");
    let error = domain.publish_point(&root).await.unwrap_err();
    assert!(telepathy(&error), "{error:?}");
    assert!(fixture.bucket.keys("/points/").is_empty());
    let error = PointRoot::from_json(&serde_json::to_vec(&root).unwrap()).unwrap_err();
    assert!(telepathy(&error), "{error:?}");
    root.required_features.pop();
    assert_eq!(PointRoot::from_json(&serde_json::to_vec(&root).unwrap()).unwrap(), root);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_read_at_once_share_their_bases() {
    let fixture = Fixture::new().await;
    let data = rows(3_000_000, 21);
    let (first, _) = backup(&fixture.domain().await, "first", &data, None).await;
    let domain = fixture.domain().await;
    let changed = edited(&data, 22, 9_000);
    let (_, stream) = backup(&domain, "second", &changed, base(&domain, &first).await).await;
    let gets = |readers: usize| {
        let (fixture, stream, changed) = (&fixture, &stream, &changed);
        async move {
            let domain = fixture.domain().await;
            domain.refresh().await.unwrap();
            let before = fixture.bucket.gets.load(Ordering::SeqCst);
            let reads = futures::future::join_all((0..readers).map(|_| read(&domain, stream))).await;
            assert!(reads.into_iter().all(|read| read.unwrap() == *changed));
            fixture.bucket.gets.load(Ordering::SeqCst) - before
        }
    };
    let (one, four) = (gets(1).await, gets(4).await);
    assert!(one > 2 && four < 4 * one, "{one} requests by one reader, {four} by four");
}

/// An edit of a stream: where, how much goes, how much comes, in parts of the whole.
type Edit = (prop::sample::Index, usize, usize);

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_edited_comes_back(
        length in 0_usize..900_000,
        days in prop::collection::vec(
            prop::collection::vec((any::<prop::sample::Index>(), 0_usize..60_000, 0_usize..60_000), 0..12),
            1..5,
        ),
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(random_days(rows(length, seed >> 8), &days, seed))?;
    }
}

async fn random_days(first: Vec<u8>, days: &[Vec<Edit>], seed: u64) -> Result<(), TestCaseError> {
    let fixture = Fixture::new().await;
    let mut contents = vec![first];
    for edits in days {
        let mut data = contents[contents.len() - 1].clone();
        for (number, (at, take, put)) in edits.iter().enumerate() {
            let at = at.index(data.len() + 1);
            let end = (at + take).min(data.len());
            data.splice(at..end, noise(*put, seed.wrapping_add(number as u64)));
        }
        contents.push(data);
    }
    let (mut last, mut streams) = (None, Vec::new());
    for (day, data) in contents.iter().enumerate() {
        let domain = fixture.domain().await;
        let on = match &last {
            Some(last) => base(&domain, last).await,
            None => None,
        };
        let (root, stream) = backup(&domain, &day.to_string(), data, on).await;
        prop_assert_eq!(root.totals.bases_unusable, 0);
        (last, streams) = (Some(root), [streams, vec![stream]].concat());
    }
    let domain = fixture.domain().await;
    for (stream, data) in streams.iter().zip(&contents) {
        prop_assert!(read(&domain, stream).await.unwrap() == *data);
    }
    let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    prop_assert!(report.is_clean(), "{:?}", report.findings);
    Ok(())
}
