//! Prunes that stall, at any of their calls that matter, while others go on: whoever wakes up late does no harm.

use std::sync::{Arc, Mutex};

use haulier_cloud::object_store::ObjectStore;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::prune::PruneReport;
use haulier_repository::{Error, PointRoot};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::hooked::{Action, Hooked, Moment};
use crate::scene::{Points, domain_with_dead_data, prepare, reckless};
use crate::support::{Bucket, Fixture, noise};

async fn prune_on(fixture: &Fixture, store: Arc<dyn ObjectStore>, hours: i64) -> Result<PruneReport, Error> {
    fixture.domain_on(store).await.prune(&reckless(hours), |_, _, _| {}).await
}

/// A prune that has come to some call, and waits there.
struct Stalled {
    run: JoinHandle<Result<PruneReport, Error>>,
    wake: oneshot::Sender<()>,
}

impl Stalled {
    async fn at(fixture: &Arc<Fixture>, name: &'static str, moment: Moment, hours: i64) -> Self {
        Self::on(fixture, &fixture.bucket, name, moment, hours).await
    }

    /// The same on a bucket with other objects.
    async fn on(fixture: &Arc<Fixture>, bucket: &Arc<Bucket>, name: &'static str, moment: Moment, hours: i64) -> Self {
        let ((arrive, arrived), (wake, awake)) = (oneshot::channel(), oneshot::channel());
        let action: Action = Box::new(move || {
            Box::pin(async move {
                arrive.send(()).unwrap();
                awake.await.unwrap();
            })
        });
        let store = Hooked::new(bucket.clone(), name, moment, action);
        let fixture = Arc::clone(fixture);
        let run = tokio::spawn(async move { prune_on(&fixture, store, hours).await });
        arrived.await.unwrap_or_else(|_| panic!("the prune ended without coming to {moment:?} {name}"));
        Self { run, wake }
    }

    /// Lets it go on to its end.
    async fn wake(self) {
        self.wake.send(()).unwrap();
        match self.run.await.unwrap() {
            Ok(_) | Err(Error::PruneOverlap { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Publishes the point; a prune stalls just before it is created, and others run to their ends just after.
async fn publish_between(fixture: &Arc<Fixture>, root: &PointRoot, name: &'static str) -> (bool, Stalled) {
    let stalled = Arc::new(Mutex::new(None));
    let (first, keep) = (Arc::clone(fixture), Arc::clone(&stalled));
    let before: Action = Box::new(move || {
        Box::pin(async move {
            let prune = Stalled::at(&first, name, Moment::BeforeDelete, 1).await;
            *keep.lock().unwrap() = Some(prune);
        })
    });
    let second = Arc::clone(fixture);
    let after: Action = Box::new(move || {
        Box::pin(async move {
            for hours in [2, 3] {
                // A point that needs what is gone already is about to be taken back: nothing is deleted meanwhile.
                match prune_on(&second, second.bucket.clone(), hours).await {
                    Ok(_) | Err(Error::PointUnreadable { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    let store = Hooked::new(fixture.bucket.clone(), "/points/", Moment::BeforePut, before);
    let store = Hooked::new(store, "/points/", Moment::AfterPut, after);
    let published = fixture.domain_on(store).await.publish_point(root).await;
    let stalled = stalled.lock().unwrap().take().unwrap();
    match published {
        Ok(_) => (true, stalled),
        Err(Error::NotReachable { .. }) => (false, stalled),
        Err(error) => panic!("{error:?}"),
    }
}

async fn assert_all_goes_on(fixture: &Fixture, points: &Points, what: &str) {
    println!("{what}");
    points.assert_intact(fixture, &fixture.bucket).await;
    for hours in [10, 11, 12] {
        prune_on(fixture, fixture.bucket.clone(), hours).await.unwrap();
        points.assert_intact(fixture, &fixture.bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_stalls_while_it_deletes_takes_nothing_that_others_have_come_to_need() {
    for name in ["/packs/", "/lists/", "/index/"] {
        let (fixture, mut points, data) = domain_with_dead_data().await;
        let fixture = Arc::new(fixture);
        let writer = fixture.domain().await.writer().await.unwrap();
        prune_on(&fixture, fixture.bucket.clone(), 0).await.unwrap();
        let (root, stream) = prepare(writer, "late", &data).await;
        assert!(root.totals.bytes_new < 100_000, "it relies on what is marked: {:?}", root.totals);

        let (published, stalled) = publish_between(&fixture, &root, name).await;
        // Whoever comes now stores what is needed anew.
        let domain = fixture.domain().await;
        points.publish(&domain, "again", data.clone()).await;
        stalled.wake().await;
        if published {
            points.0.insert("late".to_owned(), (root, stream, data));
        }
        assert_all_goes_on(&fixture, &points, name).await;
    }
}

/// A domain in which an index object names packs that are needed, and one that is not. Gives what that one held.
async fn domain_with_a_dead_pack() -> (Fixture, Points, Vec<u8>) {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    // Packs of 2.7 MB: of the second one, more than half is needed, so that it is not copied.
    let (kept, dead) = (noise(4_300_000, 1), noise(8_000_000, 2));
    points.publish(&domain, "a", [kept.clone(), dead.clone()].concat()).await;
    points.publish(&domain, "b", kept).await;
    points.remove(&domain, "a").await;
    (fixture, points, dead)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_stalls_before_it_settles_is_passed_by_and_stops() {
    // Its first record condemns, its second one settles; between them it writes an index object without what goes.
    for (name, moment) in [
        ("/prune/0000000000000002", Moment::BeforePut),
        ("/prune/0000000000000002", Moment::AfterPut),
        ("/index/", Moment::BeforePut),
        ("/index/", Moment::AfterPut),
        ("/prune/0000000000000003", Moment::BeforePut),
    ] {
        let (fixture, mut points, data) = domain_with_a_dead_pack().await;
        let fixture = Arc::new(fixture);
        prune_on(&fixture, fixture.bucket.clone(), 0).await.unwrap();
        let stalled = Stalled::at(&fixture, name, moment, 1).await;
        for hours in [2, 3, 4] {
            prune_on(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        }
        points.publish(&fixture.domain().await, "again", data).await;
        stalled.wake().await;
        assert_all_goes_on(&fixture, &points, &format!("{moment:?} {name}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_objects_that_two_prunes_replace_are_never_all_deleted() {
    let fixture = Arc::new(Fixture::new().await);
    let mut points = Points::default();
    for name in 0..20_u64 {
        let data = noise(30_000, name);
        points.publish(&fixture.domain().await, &format!("{name:02}"), data).await;
    }
    // It has written one that replaces all of them, and deletes the first.
    let stalled = Stalled::at(&fixture, "/index/", Moment::BeforeDelete, 0).await;
    points.remove(&fixture.domain().await, "07").await;
    for hours in [1, 2, 3] {
        prune_on(&fixture, fixture.bucket.clone(), hours).await.unwrap();
        points.assert_intact(&fixture, &fixture.bucket).await;
    }
    stalled.wake().await;
    assert_all_goes_on(&fixture, &points, "many").await;
    assert_eq!(fixture.bucket.keys("/index/").len(), 1);
}

/// A prune has written an index object, and waits to make known what it replaces. Another one finds it, and counts on it for what
/// it says: then the first one, which finds its number taken, must not take it away.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_object_on_which_another_prune_counts_outlives_the_one_that_wrote_it() {
    let (fixture, points, _) = domain_with_a_dead_pack().await;
    // Lost, and missed by nobody: the index object that names it is to be replaced.
    let mut lost = false;
    for pack in fixture.bucket.keys("/packs/") {
        let without = fixture.bucket.copy();
        without.remove(&pack);
        let scope = CheckScope::Points(vec![points.0["b"].0.point.clone()]);
        let report = fixture.domain_on(without).await.check(scope, CheckDepth::Reachable, |_| {}).await.unwrap();
        if report.is_clean() {
            fixture.bucket.remove(&pack);
            lost = true;
            break;
        }
    }
    assert!(lost);
    let fixture = Arc::new(fixture);
    let mut counted_on = 0;
    for round in 0..64 {
        let bucket = fixture.bucket.copy();
        let before = bucket.keys("/index/");
        let stalled = Stalled::on(&fixture, &bucket, "/index/", Moment::AfterPut, 0).await;
        let written: Vec<String> = bucket.keys("/index/").into_iter().filter(|key| !before.contains(key)).collect();
        prune_on(&fixture, bucket.clone(), 1).await.unwrap();
        counted_on += usize::from(bucket.keys("/index/").contains(&written[0]));
        stalled.wake().await;
        println!("round {round}");
        points.assert_intact(&fixture, &bucket).await;
        if counted_on > 2 {
            return;
        }
    }
    panic!("by its name it never came first");
}
