//! Prune: what nothing needs goes, what something needs stays, whatever happens beside it or to it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod hooked;
mod killed;
mod record;
mod scene;
mod stalled;

use haulier_repository::StreamKind;
use haulier_repository::prune::PruneOptions;

use scene::{GRACE, Points, at, options, prune};
use support::{Fixture, noise, point, rows, write};

#[tokio::test(flavor = "multi_thread")]
async fn what_no_point_needs_goes_after_the_grace_period_and_the_rest_stays() {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    let common = noise(3_000_000, 1);
    points.publish(&domain, "a", [common.clone(), noise(5_000_000, 2)].concat()).await;
    points.publish(&domain, "b", [common.clone(), noise(1_000_000, 3)].concat()).await;
    let full = fixture.bucket.size();
    points.remove(&domain, "a").await;

    let marked = prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    assert_eq!((marked.points, marked.chunks_missing, marked.figures.freed_now.objects), (1, 0, 0));
    assert!(marked.figures.freed_later.bytes > 4_900_000, "{marked:?}");
    assert_eq!(marked.figures.next_due, Some(at(24)));
    points.assert_intact(&fixture, &fixture.bucket).await;

    let early = prune(&fixture, fixture.bucket.clone(), 23).await.unwrap();
    assert_eq!(early.figures.freed_now.objects, 0);
    let before = fixture.bucket.size();
    let swept = prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    assert_eq!(swept.figures.freed_now.bytes, marked.figures.freed_later.bytes);
    let after = fixture.bucket.size();
    assert!(before - after >= swept.figures.freed_now.bytes, "{before} {after} {swept:?}");
    assert!(after < full - 4_000_000, "{full} {after}");
    points.assert_intact(&fixture, &fixture.bucket).await;

    // What is left is what the points need (4 MB), and of one pack at most half.
    prune(&fixture, fixture.bucket.clone(), 100).await.unwrap();
    let last = prune(&fixture, fixture.bucket.clone(), 200).await.unwrap();
    assert_eq!((last.figures.freed_now.objects, last.figures.freed_later.objects), (0, 0), "{last:?}");
    assert!(fixture.bucket.size() < 5_600_000, "{}", fixture.bucket.size());
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    points.publish(&domain, "a", noise(4_000_000, 1)).await;
    points.publish(&domain, "b", noise(100_000, 2)).await;
    points.remove(&domain, "a").await;
    for hours in [0, 24] {
        let before: Vec<_> = fixture.bucket.keys("");
        let dry = PruneOptions { dry_run: true, ..options(hours) };
        let told = fixture.domain().await.prune(&dry, |_, _, _| {}).await.unwrap();
        assert_eq!(fixture.bucket.keys(""), before);
        let done = prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        assert!(told.dry_run && !done.dry_run);
        assert_eq!(told.figures, done.figures);
        assert!(done.figures.marked.bytes + done.figures.freed_now.bytes > 3_900_000);
    }
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_where_everything_is_needed_is_left_as_it_is() {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    points.publish(&domain, "a", noise(4_000_000, 1)).await;
    let before = fixture.bucket.keys("");
    let report = prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    assert_eq!((report.figures.freed_now.objects, report.figures.freed_later.objects), (0, 0));
    assert_eq!(fixture.bucket.keys(""), before, "not even a record");
    // Without a point nothing is needed.
    points.remove(&domain, "a").await;
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    assert!(fixture.bucket.keys("/packs/").is_empty() && fixture.bucket.keys("/lists/").is_empty());
    assert!(fixture.bucket.keys("/index/").is_empty());
    assert_eq!(fixture.bucket.keys("/prune/").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_mostly_dead_is_copied_and_then_deleted() {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    // Packs of 2.7 MB: of the first one, a quarter stays needed.
    let kept = noise(600_000, 1);
    points.publish(&domain, "a", [kept.clone(), noise(6_000_000, 2)].concat()).await;
    points.publish(&domain, "b", [kept, noise(50_000, 3)].concat()).await;
    points.remove(&domain, "a").await;
    let before = fixture.bucket.size();
    let marked = prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    assert_eq!(marked.figures.repacked.objects, 1, "{marked:?}");
    assert!((500_000..700_000).contains(&marked.figures.repacked_bytes), "{marked:?}");
    points.assert_intact(&fixture, &fixture.bucket).await;
    prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    points.assert_intact(&fixture, &fixture.bucket).await;
    assert!(fixture.bucket.size() < before - 5_500_000, "{before} {}", fixture.bucket.size());
    assert!(fixture.bucket.size() < 900_000, "{}", fixture.bucket.size());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_a_point_cannot_be_read() {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    points.publish(&domain, "a", noise(3_000_000, 1)).await;
    points.publish(&domain, "b", noise(1_000_000, 2)).await;
    points.remove(&domain, "a").await;
    for part in ["/points/", "/lists/", "/index/"] {
        let intact = fixture.bucket.copy();
        for key in fixture.bucket.keys(part) {
            fixture.bucket.flip(&key, 60);
        }
        let before = fixture.bucket.keys("");
        prune(&fixture, fixture.bucket.clone(), 0).await.unwrap_err();
        assert_eq!(fixture.bucket.keys(""), before, "{part}");
        for key in intact.keys("") {
            fixture.bucket.replace(&key, intact.object(&key));
        }
    }
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_index_objects_become_one() {
    let fixture = Fixture::new().await;
    let mut points = Points::default();
    for name in 0..20_u64 {
        let domain = fixture.domain().await;
        points.publish(&domain, &format!("{name:02}"), noise(30_000, name)).await;
    }
    assert!(fixture.bucket.keys("/index/").len() >= 20);
    let report = prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    assert!(report.index_objects >= 20);
    assert_eq!(fixture.bucket.keys("/index/").len(), 1);
    points.assert_intact(&fixture, &fixture.bucket).await;
    assert_eq!(GRACE, options(0).grace);
}

/// Two points, the second of which has a byte changed after so many.
async fn publish_two_days(fixture: &Fixture, points: &mut Points, every: usize) {
    let first = rows(6_000_000, 1);
    let mut second = first.clone();
    second.iter_mut().step_by(every).for_each(|byte| *byte = b'#');
    let mut base = None;
    for (name, data) in [("a", first), ("b", second)] {
        let domain = fixture.domain().await;
        let writer = domain.writer_on(base.take()).await.unwrap();
        let stream = write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
        let manifest = write(&writer, "manifest", StreamKind::Document, name.as_bytes()).await.unwrap();
        let root = point(name, manifest, writer.finish().await.unwrap());
        domain.publish_point(&root).await.unwrap();
        base = Some(domain.base_point(&root.point).await.unwrap());
        points.0.insert(name.to_owned(), (root, stream, data));
    }
    let deltas = points.0["b"].0.totals.chunks_delta;
    assert!(deltas > 5, "{deltas} deltas");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_in_full_is_left_alone_though_its_rows_take_more_than_its_chunks() {
    let fixture = Fixture::new().await;
    let mut points = Points::default();
    // A delta takes some dozens of bytes, and its row 84.
    publish_two_days(&fixture, &mut points, 50_000).await;
    let before = fixture.bucket.keys("");
    for hours in [0, 24, 48] {
        let report = prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        assert_eq!((report.figures.repacked.objects, report.figures.marked.objects), (0, 0), "{report:?}");
        assert_eq!(fixture.bucket.keys(""), before);
    }
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_index_object_named_stays_as_long_as_it_is_missed() {
    let fixture = Fixture::new().await;
    let mut points = Points::default();
    let data = noise(4_000_000, 1);
    points.publish(&fixture.domain().await, "a", data.clone()).await;
    let index = fixture.bucket.keys("/index/").remove(0);
    let lost = fixture.bucket.object(&index);
    points.publish(&fixture.domain().await, "b", data).await;
    points.remove(&fixture.domain().await, "a").await;
    // The second point's own objects are all there: what it shares with the first is in no index object now.
    fixture.bucket.remove(&index);
    let packs = fixture.bucket.keys("/packs/");
    for hours in [0, 24, 48] {
        let report = prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        assert!(report.chunks_missing > 10, "{report:?}");
        assert_eq!(fixture.bucket.keys("/packs/"), packs);
    }
    fixture.bucket.replace(&index, lost);
    points.assert_intact(&fixture, &fixture.bucket).await;
    for hours in [72, 96, 120] {
        prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        points.assert_intact(&fixture, &fixture.bucket).await;
    }
    let last = prune(&fixture, fixture.bucket.clone(), 144).await.unwrap();
    assert_eq!((last.chunks_missing, last.figures.freed_later.objects), (0, 0), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_no_point_names_stays_while_a_delta_needs_it() {
    let fixture = Fixture::new().await;
    let mut points = Points::default();
    publish_two_days(&fixture, &mut points, 20_000).await;
    points.remove(&fixture.domain().await, "a").await;
    for hours in [0, 24, 48, 72] {
        prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        points.assert_intact(&fixture, &fixture.bucket).await;
    }
    // With the last point of the chain everything goes, bases too.
    points.remove(&fixture.domain().await, "b").await;
    for hours in [96, 120, 144] {
        prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
    }
    assert!(fixture.bucket.keys("/packs/").is_empty());
}
