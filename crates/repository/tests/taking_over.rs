//! A stream of an earlier point is taken over without its bytes, and is the new point's as much as what it has written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::prune::PruneOptions;
use haulier_repository::{Chunking, Domain, PointRoot, StreamKind, StreamRoot, Writer};
use jiff::{SignedDuration, Timestamp};

use support::{Fixture, edited, noise, point, read, rows, write};

/// A stream of many small chunks, so that it has list pages.
async fn long(writer: &Writer, name: &str, data: &[u8]) -> StreamRoot {
    let mut stream = writer.stream_cut(name, StreamKind::Pages, Chunking::around(4_096)).unwrap();
    stream.write_slice(data).await.unwrap();
    stream.finish().await.unwrap()
}

async fn published(domain: &Domain, writer: Writer, name: &str) -> PointRoot {
    let manifest = write(&writer, "manifest", StreamKind::Document, name.as_bytes()).await.unwrap();
    let root = point(name, manifest, writer.finish().await.unwrap());
    domain.publish_point(&root).await.unwrap()
}

async fn assert_clean(fixture: &Fixture) {
    let report = fixture.domain().await.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

async fn prune(fixture: &Fixture, hours: i64) {
    let now = Timestamp::from_second(1_900_000_000 + hours * 3600).unwrap();
    let options = PruneOptions { now, grace: SignedDuration::from_hours(24), oldest_session: None, dry_run: false };
    fixture.domain().await.prune(&options, |_, _, _| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_over_outlives_the_point_that_wrote_it() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let data = [rows(2_000_000, 1), noise(3_000_000, 2)].concat();
    let writer = domain.writer().await.unwrap();
    let first = long(&writer, "log/1", &data).await;
    let short = write(&writer, "log/2", StreamKind::Pages, b"a few bytes").await.unwrap();
    let empty = write(&writer, "log/3", StreamKind::Pages, b"").await.unwrap();
    let before = published(&domain, writer, "before").await;

    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    for earlier in [&first, &short, &empty] {
        assert_eq!(writer.take_over(earlier).await.unwrap().as_ref(), Some(earlier));
    }
    let more = noise(200_000, 3);
    let second = write(&writer, "log/4", StreamKind::Pages, &more).await.unwrap();
    let after = published(&domain, writer, "after").await;
    assert_eq!(after.totals.streams, 5, "{:?}", after.totals);
    assert_eq!(after.totals.bytes_read, more.len() as u64 + 5, "nothing of what is taken over is read");
    assert!(after.totals.bytes_stored < 250_000, "{:?}", after.totals);

    assert!(domain.remove_point(&before.point).await.unwrap());
    for hours in [0, 48, 96] {
        prune(&fixture, hours).await;
    }
    assert_clean(&fixture).await;
    let domain = fixture.domain().await;
    for (root, expected) in [(&first, data.as_slice()), (&short, b"a few bytes"), (&empty, b""), (&second, &more)] {
        assert!(read(&domain, root).await.unwrap() == expected, "{}", root.name);
    }
    let summary: Vec<_> = domain.list_points().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(summary, [after.point]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_takes_over_deltas_says_so() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let old = rows(1_000_000, 1);
    let (base, _) = fixture.publish(&domain, "base", &old).await;
    let hint = domain.base_point(&base.point).await.unwrap();
    let writer = domain.writer_on(Some(hint)).await.unwrap();
    let data = edited(&old, 1, 20_000);
    let delta = write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
    assert_eq!(published(&domain, writer, "delta").await.required_features, ["deltas"]);

    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    assert!(writer.take_over(&delta).await.unwrap().is_some());
    assert_eq!(published(&domain, writer, "taken").await.required_features, ["deltas"]);
    assert!(read(&fixture.domain().await, &delta).await.unwrap() == data);
    assert_clean(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_or_about_to_go_is_not_taken_over() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let data = noise(3_000_000, 1);
    let writer = domain.writer().await.unwrap();
    let stream = long(&writer, "log", &data).await;
    let root = published(&domain, writer, "only").await;
    let taken = async |fixture: &Fixture| {
        let domain = fixture.domain().await;
        let writer = domain.writer().await.unwrap();
        let taken = writer.take_over(&stream).await.unwrap().is_some();
        // Where it is not, the writer goes on.
        let written = long(&writer, "log", &data).await;
        (taken, writer.finish().await.unwrap().totals.bytes_new > 100_000, written == stream)
    };
    assert_eq!(taken(&fixture).await, (true, false, true));

    let page = fixture.bucket.keys("/lists/").pop().unwrap();
    let whole = fixture.bucket.object(&page);
    fixture.bucket.remove(&page);
    assert_eq!(taken(&fixture).await, (false, false, true), "a page of its list is lost");
    fixture.bucket.replace(&page, whole);

    // What no point needs any more is marked, and nothing new relies on it.
    assert!(domain.remove_point(&root.point).await.unwrap());
    prune(&fixture, 0).await;
    let (was_taken, stored_anew, _) = taken(&fixture).await;
    assert!(!was_taken && stored_anew);
    for hours in [48, 96] {
        prune(&fixture, hours).await;
    }

    let (root, stream) = fixture.publish(&fixture.domain().await, "again", &data).await;
    fixture.bucket.keys("/packs/").iter().for_each(|pack| fixture.bucket.remove(pack));
    let writer = fixture.domain().await.writer().await.unwrap();
    assert_eq!(writer.take_over(&stream).await.unwrap(), None, "packs of {} are lost", root.point);
}
