//! Prunes beside backups that run, and beside one another.

use std::sync::{Arc, Mutex};

use haulier_repository::Error;
use haulier_repository::prune::PruneOptions;

use crate::hooked::{Action, Hooked, Moment};
use crate::scene::{at, domain_with_dead_data, options, prepare, prune, reckless};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_older_than_the_mark_keeps_what_it_relies_on() {
    let (fixture, mut points, data) = domain_with_dead_data().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    let (root, stream) = prepare(writer, "late", &data).await;
    assert!(root.totals.bytes_new < 100_000, "it relies on what is marked: {:?}", root.totals);
    // However long it takes: it began at -1.
    let busy = PruneOptions { oldest_session: Some(at(-1)), ..options(1_000) };
    let report = fixture.domain().await.prune(&busy, |_, _, _| {}).await.unwrap();
    assert_eq!(report.figures.freed_now.objects, 0, "{report:?}");
    domain.publish_point(&root).await.unwrap();
    points.0.insert("late".to_owned(), (root, stream, data));
    let report = prune(&fixture, fixture.bucket.clone(), 2_000).await.unwrap();
    assert!(report.figures.rescued.bytes > 3_900_000, "{report:?}");
    for hours in [3_000, 4_000] {
        prune(&fixture, fixture.bucket.clone(), hours).await.unwrap();
    }
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_younger_than_the_mark_does_not_rely_on_what_is_marked() {
    let (fixture, mut points, data) = domain_with_dead_data().await;
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    let pages = fixture.bucket.keys("/lists/").len();
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let (root, stream) = prepare(writer, "new", &data).await;
    assert!(root.totals.bytes_new > 3_900_000, "it is stored anew: {:?}", root.totals);
    assert!(fixture.bucket.keys("/lists/").len() > pages, "pages too");
    let young = PruneOptions { oldest_session: Some(at(1)), ..options(24) };
    let report = fixture.domain().await.prune(&young, |_, _, _| {}).await.unwrap();
    assert!(report.figures.freed_now.bytes > 3_900_000, "{report:?}");
    domain.publish_point(&root).await.unwrap();
    points.0.insert("new".to_owned(), (root, stream, data));
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_outlives_its_welcome_is_refused_and_nothing_is_lost() {
    let (fixture, points, data) = domain_with_dead_data().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    let (root, _) = prepare(writer, "late", &data).await;
    // Nobody told the prune of this session, and the grace period is over.
    prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    let error = domain.publish_point(&root).await.unwrap_err();
    assert!(matches!(error, Error::NotReachable { .. }), "{error:?}");
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_lives_through_a_prune_takes_note_of_it() {
    let (fixture, mut points, data) = domain_with_dead_data().await;
    let domain = fixture.domain().await;
    domain.writer().await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    points.publish(&domain, "again", data).await;
    points.assert_intact(&fixture, &fixture.bucket).await;
}

/// A publication and a prune that meets it at its worst moment. Gives whether the point was published.
async fn meet(during_publication: bool, name: &'static str, moment: Moment) -> bool {
    let (fixture, mut points, data) = domain_with_dead_data().await;
    let fixture = Arc::new(fixture);
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    fixture.domain().await.prune(&reckless(0), |_, _, _| {}).await.unwrap();
    let (root, stream) = prepare(writer, "late", &data).await;

    let published = Arc::new(Mutex::new(None));
    let (other, result, point) = (Arc::clone(&fixture), Arc::clone(&published), root.clone());
    let hooked = if during_publication {
        let action: Action = Box::new(move || {
            Box::pin(async move {
                other.domain().await.prune(&reckless(1), |_, _, _| {}).await.unwrap();
            })
        });
        let store = Hooked::new(fixture.bucket.clone(), name, moment, action);
        let done = fixture.domain_on(store.clone()).await.publish_point(&point).await;
        *result.lock().unwrap() = Some(done);
        store
    } else {
        let action: Action = Box::new(move || {
            Box::pin(async move {
                let done = other.domain().await.publish_point(&point).await;
                *result.lock().unwrap() = Some(done);
            })
        });
        let store = Hooked::new(fixture.bucket.clone(), name, moment, action);
        fixture.domain_on(store.clone()).await.prune(&reckless(1), |_, _, _| {}).await.unwrap();
        store
    };
    assert!(hooked.acted(), "they met");
    let outcome = published.lock().unwrap().take().unwrap();
    match &outcome {
        Ok(_) => {
            points.0.insert("late".to_owned(), (root, stream, data));
        }
        Err(error) => assert!(matches!(error, Error::NotReachable { .. }), "{error:?}"),
    }
    points.assert_intact(&fixture, &fixture.bucket).await;
    for hours in [2, 3, 4] {
        fixture.domain().await.prune(&reckless(hours), |_, _, _| {}).await.unwrap();
    }
    points.assert_intact(&fixture, &fixture.bucket).await;
    outcome.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_prune_and_a_publication_at_once_one_sees_the_other() {
    // A whole prune between the first check and the creation, and between the creation and the second check.
    assert!(!meet(true, "/points/", Moment::BeforePut).await);
    assert!(meet(true, "/points/", Moment::AfterPut).await);
    // A whole publication just before the record that condemns is written, and just after.
    assert!(meet(false, "/prune/", Moment::BeforePut).await);
    assert!(!meet(false, "/prune/", Moment::AfterPut).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_was_stopped_before_its_second_check_is_taken_back_by_its_repetition() {
    let (fixture, points, data) = domain_with_dead_data().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    prune(&fixture, fixture.bucket.clone(), 0).await.unwrap();
    let (root, _) = prepare(writer, "late", &data).await;
    let aside = fixture.bucket.copy();
    fixture.domain_on(aside.clone()).await.publish_point(&root).await.unwrap();
    // A prune that has not seen the point, because it was created after; then the coordinator was killed.
    prune(&fixture, fixture.bucket.clone(), 24).await.unwrap();
    let key = aside.keys("/points/pnt-late").remove(0);
    fixture.bucket.replace(&key, aside.object(&key));
    let error = fixture.domain().await.publish_point(&root).await.unwrap_err();
    assert!(matches!(error, Error::NotReachable { .. }), "{error:?}");
    points.assert_intact(&fixture, &fixture.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prunes_at_once_do_no_harm() {
    let (fixture, points, _) = domain_with_dead_data().await;
    for hours in [0, 24, 48] {
        let both = [(); 2].map(|()| prune(&fixture, fixture.bucket.clone(), hours));
        for result in futures::future::join_all(both).await {
            match result {
                Ok(_) | Err(Error::PruneOverlap { .. } | Error::Missing { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        points.assert_intact(&fixture, &fixture.bucket).await;
    }
    assert!(fixture.bucket.size() < 300_000, "{}", fixture.bucket.size());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_slept_through_others_stops() {
    let (fixture, points, _) = domain_with_dead_data().await;
    let fixture = Arc::new(fixture);
    let other = Arc::clone(&fixture);
    let action: Action = Box::new(move || {
        Box::pin(async move {
            // Its number is taken, superseded and removed.
            for hours in [0, 24, 48] {
                prune(&other, other.bucket.clone(), hours).await.unwrap();
            }
        })
    });
    let store = Hooked::new(fixture.bucket.clone(), "/prune/", Moment::BeforePut, action);
    let error = prune(&fixture, store.clone(), 0).await.unwrap_err();
    assert!(store.acted() && matches!(error, Error::PruneOverlap { .. }), "{error:?}");
    assert_eq!(fixture.bucket.keys("/prune/").len(), 1, "its record is gone");
    points.assert_intact(&fixture, &fixture.bucket).await;
}
