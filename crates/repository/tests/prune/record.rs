//! A prune record that is damaged: what is stored is read as before, nothing is stored on it or deleted, and without the record
//! the domain begins anew.

use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Error, ObjectKind};

use crate::scene::{domain_with_dead_data, prepare, prune};
use crate::support::killing::Killing;
use crate::support::noise;

fn assert_named<T: std::fmt::Debug>(outcome: Result<T, Error>, record: &str, harm: &str) {
    match outcome {
        Err(
            Error::Damaged { kind: ObjectKind::Prune, object, .. }
            | Error::Unsupported { kind: ObjectKind::Prune, object, .. },
        ) => assert_eq!(object, record, "{harm}"),
        other => panic!("{harm}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_stops_whoever_stores_or_deletes_and_no_reader() {
    let (fixture, mut points, data) = domain_with_dead_data().await;
    let (late, stream) = prepare(fixture.domain().await.writer().await.unwrap(), "late", &noise(50_000, 9)).await;
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    let record = fixture.bucket.keys("/prune/").remove(0);
    let whole = fixture.bucket.object(&record);
    let end = whole.len();
    let flips = [0, 7, 8, 20, 60, end - 1].map(|at| (format!("bit at {at}"), at, None));
    let cuts = [0, 20, 48, end / 2, end - 1].map(|length| (format!("cut to {length}"), 0, Some(length)));
    let before = fixture.bucket.keys("");
    for (harm, at, cut) in flips.into_iter().chain(cuts) {
        match cut {
            Some(length) => fixture.bucket.truncate(&record, length),
            None => fixture.bucket.flip(&record, at),
        }
        let domain = fixture.domain().await;
        points.assert_readable(&domain).await;
        assert_named(domain.writer().await, &record, &harm);
        let base = points.0["b"].0.point.clone();
        assert_named(domain.copy_point(&base, &fixture.domain().await, None, None, |_| {}).await, &record, &harm);
        assert_named(domain.publish_point(&late).await, &record, &harm);
        assert_named(prune(&fixture, fixture.bucket.clone(), 24).await, &record, &harm);
        for scope in [CheckScope::Domain, CheckScope::Points(vec![base])] {
            let findings = domain.check(scope, CheckDepth::Full, |_| {}).await.unwrap().findings;
            assert!(findings.len() == 1 && findings[0].object == record, "{harm}: {findings:?}");
            assert!(findings[0].kind == ObjectKind::Prune && findings[0].consequence.contains("docs/failures.md"));
        }
        assert_eq!(fixture.bucket.keys(""), before, "{harm}");
        // A handle that has met it takes note that it is whole again.
        fixture.bucket.replace(&record, whole.clone());
        domain.writer().await.unwrap();
    }
    fixture.domain().await.publish_point(&late).await.unwrap();
    points.0.insert("late".to_owned(), (late, stream, noise(50_000, 9)));
    points.publish(&fixture.domain().await, "again", data).await;
    for hours in [24, 48, 72] {
        prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        points.assert_intact(&fixture, &fixture.bucket).await;
    }
}

/// The remedy: whatever a prune had come to, and whatever its record said.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_record_a_domain_begins_anew_wherever_the_prune_had_come_to() {
    let (fixture, points, data) = domain_with_dead_data().await;
    let mut removed = 0;
    for calls in 0.. {
        let bucket = fixture.bucket.copy();
        let store = Killing::new(&bucket, calls, true);
        for hours in [0, 24] {
            if prune(&fixture, store.clone(), hours).await.is_err() {
                break;
            }
        }
        let records = bucket.keys("/prune/");
        for record in &records {
            bucket.flip(record, 60);
        }
        points.assert_readable(&fixture.domain_on(bucket.clone()).await).await;
        for record in records {
            bucket.remove(&record);
            removed += 1;
        }
        let mut points = points.clone();
        points.publish(&fixture.domain_on(bucket.clone()).await, "again", data.clone()).await;
        for hours in [48, 72, 96] {
            prune(&fixture, bucket.clone(), hours).await.unwrap();
        }
        points.assert_intact(&fixture, &bucket).await;
        let last = prune(&fixture, bucket.clone(), 120).await.unwrap();
        let left = (last.figures.freed_now.objects, last.figures.freed_later.objects, last.index_objects);
        assert_eq!(left, (0, 0, 0), "killed at call {calls}: {last:?}");
        if !store.died() {
            break;
        }
    }
    assert!(removed > 8, "{removed} records were removed");
}
