//! Immutable repositories: what a point needs stays for its time, whoever deletes; what is hidden is found; prune waits.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod foundation;
mod hidden;
mod scene;

use std::sync::Arc;

use haulier_cloud::doubles::{Faults, Faulty, MemoryObjectStore};
use haulier_cloud::object_lock::{Destruction, Retention};
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::immutability::{Immutability, RetentionMode};
use haulier_domain::secret::SecretString;
use haulier_repository::check::CheckDepth;
use haulier_repository::{Error, NewKey, ObjectKind, Removal, Repository, StreamKind, Unlock};
use jiff::{SignedDuration, Timestamp};

use scene::{Made, Scene, TERMS, days};
use support::{PREFIX, cheap, noise, passphrase, point, rows, write};

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_point_needs_is_locked_as_long_as_the_point() {
    for mode in [RetentionMode::Governance, RetentionMode::Compliance] {
        let scene = Scene::of(Immutability { mode, ..TERMS }).await;
        let made = scene.back_up("a", &noise(6_000_000, 1), None).await;
        let until = made.root.locked_until.unwrap();
        assert!((0..60).contains(&until.duration_since(scene.start() + days(10)).as_secs()), "{until}");
        let keys = scene.keys("");
        assert!(scene.keys("/packs/").len() > 1 && !scene.keys("/index/").is_empty());
        for key in keys {
            let retention = scene.store.retention(&key).await.unwrap().unwrap_or_else(|| panic!("{key} is not locked"));
            assert!(retention.mode == mode && retention.until >= until, "{key}: {retention:?}");
            assert!(retention.until <= scene.now() + days(15) + SignedDuration::from_mins(1), "{key}: {retention:?}");
        }
        scene.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_point_extends_what_it_takes_over_once_that_is_due_and_nothing_else() {
    let scene = Scene::new().await;
    // Far more than a pack each: where packs end hangs on a random key.
    let (shared, alone) = (noise(12_000_000, 1), noise(12_000_000, 2));
    let first = scene.back_up("a", &[shared.clone(), alone].concat(), None).await;
    assert!(first.stream.chunks > 32, "it has list pages");
    let before = scene.locks("").await;
    let (packs, lists) = (scene.locks("/packs/").await, scene.locks("/lists/").await);
    assert!(packs.values().all(|until| (12.4..15.1).contains(until)), "{packs:?}");

    // What is locked for another 10 days is left alone.
    scene.pass(days(2));
    scene.back_up("b", &[shared.clone(), noise(1_000, 3)].concat(), Some(&first)).await;
    let after = scene.locks("").await;
    assert!(before.iter().all(|(key, until)| after[key] == *until), "{before:?}\n{after:?}");
    scene.pass(days(7));
    scene.back_up("c", &[shared, noise(1_000, 4)].concat(), Some(&first)).await;
    let later = scene.locks("/packs/").await;
    let (extended, left): (Vec<_>, Vec<_>) = packs.iter().partition(|(key, until)| later[*key] > **until);
    assert!(extended.len() >= 2 && left.len() >= 2, "{} extended, {} left", extended.len(), left.len());
    assert!(extended.iter().all(|(key, _)| (21.4..24.1).contains(&later[*key])), "{later:?}");
    for part in ["/index/", "/keys/", "format", "dom-one/key"] {
        assert!(scene.locks(part).await.values().all(|until| *until >= 19.0), "{part}");
    }
    // List pages, too, where another stream has the same.
    scene.back_up("d", &first.data, None).await;
    let later = scene.locks("").await;
    assert!(!lists.is_empty() && lists.keys().all(|key| later[key] >= 19.0), "{later:?}");
    // All packs but one, perhaps, that has nothing but the first point's manifest.
    assert!(packs.keys().filter(|key| later[*key] < 19.0).count() <= 1, "{later:?}");
    scene.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_taken_over_unread_is_locked_like_one_that_was_written() {
    let scene = Scene::new().await;
    let first = scene.back_up("a", &noise(20_000_000, 1), None).await;
    assert!(first.stream.chunks > 32, "it has list pages");
    scene.pass(days(9));
    let writer = scene.domain().await.writer().await.unwrap();
    assert_eq!(writer.take_over(&first.stream).await.unwrap().as_ref(), Some(&first.stream));
    let manifest = write(&writer, "manifest", StreamKind::Document, b"b").await.unwrap();
    let root = point("b", manifest, writer.finish().await.unwrap());
    let second = Made { root, ..first.clone() };
    scene.publish(&second).await.unwrap();
    // The first point's own locks would have ended.
    scene.pass(days(9));
    scene.attack().await;
    scene.reveal().await;
    scene.assert_restorable(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bases_of_deltas_stay_locked_with_the_points_that_need_them() {
    let scene = Scene::new().await;
    let first = rows(6_000_000, 1);
    let mut second = first.clone();
    second.iter_mut().step_by(20_000).for_each(|byte| *byte = b'#');
    let base = scene.back_up("a", &first, None).await;
    scene.pass(days(9));
    let made = scene.back_up("b", &second, Some(&base)).await;
    assert!(made.root.totals.chunks_delta > 5, "{:?}", made.root.totals);
    // The first point's own lock has ended, and it is removed; its packs are bases.
    scene.pass(days(7));
    assert!(scene.domain().await.remove_point(&base.root.point).await.unwrap());
    scene.attack().await;
    scene.reveal().await;
    scene.assert_restorable(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_leaves_what_is_locked_says_until_when_and_deletes_it_afterwards() {
    // Packs of 2.8 to 3.5 MB. Of the last one a small part stays needed, but for one key in fifteen, with which two points have
    // nothing in common, or chunks that lie in two packs.
    let kept = noise(300_000, 2);
    let (scene, before, new) = loop {
        let scene = Scene::new().await;
        let old = scene.back_up("a", &[noise(7_600_000, 1), kept.clone()].concat(), None).await;
        let before = scene.keys("/packs/");
        scene.pass(days(11));
        let new = scene.back_up("b", &kept, Some(&old)).await;
        // The point's lock has ended, that of its packs has not.
        assert!(scene.domain().await.remove_point(&old.root.point).await.unwrap());
        assert!(scene.store.hidden("", 10).await.unwrap().is_empty(), "it is destroyed, not hidden");
        if scene.prune_or_tell(true).await.figures.repacked.objects == 1 {
            break (scene, before, new);
        }
    };
    let report = scene.prune().await;
    let figures = report.figures;
    assert!(figures.locked.bytes > 4_000_000 && figures.freed_later.bytes >= figures.locked.bytes, "{figures:?}");
    let (next, last) = (figures.next_due.unwrap(), figures.locked_until.unwrap());
    let in_days = |at: Timestamp| at.duration_since(scene.start()).as_secs_f64() / 86_400.0;
    assert!(in_days(next) > 11.9 && (12.4..15.1).contains(&in_days(last)) && next <= last, "{next} {last}");
    assert_eq!((figures.freed_now.objects, figures.repacked.objects), (0, 1), "{figures:?}");
    assert!(scene.keys("/packs/").is_superset(&before));
    scene.assert_clean().await;
    scene.assert_restorable(&new).await;

    // Once their locks have ended, they are marked and deleted; what was copied from was extended for the second point.
    for _ in 0..4 {
        scene.pass(days(2));
        scene.prune().await;
        scene.assert_clean().await;
        scene.assert_restorable(&new).await;
    }
    assert_eq!(scene.keys("/packs/").intersection(&before).count(), 1);
    scene.pass(days(20));
    scene.prune().await;
    assert!(scene.keys("/packs/").is_disjoint(&before));
    let left = scene.store.total_bytes();
    assert!(left < 1_500_000, "{left} bytes are left");
    assert!(scene.store.hidden("", 10).await.unwrap().is_empty(), "what prunes have hidden is destroyed in the end");
    scene.assert_clean().await;
    scene.assert_restorable(&new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_does_not_fail_where_somebody_has_locked_what_is_condemned() {
    let scene = Scene::new().await;
    let old = scene.back_up("a", &noise(12_000_000, 1), None).await;
    scene.pass(days(16));
    assert!(scene.domain().await.remove_point(&old.root.point).await.unwrap());
    let marked = scene.prune().await;
    assert!(marked.figures.marked.bytes > 11_900_000, "{marked:?}");
    scene.pass(days(2));
    let pack = scene.largest_pack().await;
    let until = scene.now() + days(5);
    scene.store.retain(&pack, &Retention { mode: RetentionMode::Compliance, until }).await.unwrap();
    let swept = scene.prune().await;
    assert!(swept.figures.freed_now.bytes > 200_000 && swept.figures.locked.objects == 1, "{swept:?}");
    assert_eq!(scene.keys("/packs/").into_iter().collect::<Vec<_>>(), [pack]);
    scene.pass(days(6));
    scene.prune().await;
    scene.pass(days(2));
    scene.prune().await;
    assert!(scene.keys("/packs/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_point_is_not_removed() {
    let scene = Scene::new().await;
    let made = scene.back_up("a", &noise(100_000, 1), None).await;
    let error = scene.domain().await.remove_point(&made.root.point).await.unwrap_err();
    assert!(matches!(error, Error::Locked { kind: ObjectKind::Point, .. }), "{error:?}");
    scene.assert_restorable(&made).await;
    scene.pass(days(11));
    assert!(scene.domain().await.remove_point(&made.root.point).await.unwrap());
    assert!(!scene.domain().await.remove_point(&made.root.point).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_not_published_while_a_pack_of_it_is_locked_too_short() {
    let scene = Scene::new().await;
    let made = scene.write("a", &noise(6_000_000, 1), None).await;
    let mut root = made.root.clone();
    root.locked_until = None;
    let error = scene.domain().await.publish_point(&root).await.unwrap_err();
    assert!(matches!(error, Error::NotLocked { .. }), "{error:?}");

    // A worker that stores without locks, where no session policy forbids it, and one that says more than is true.
    let pack = scene.largest_pack().await;
    let body = scene.store.get(&pack).await.unwrap();
    scene.store.overwrite(&pack, body);
    let Err(Error::NotReachable { findings, .. }) = scene.domain().await.publish_point(&made.root).await else {
        panic!("published");
    };
    assert!(findings.len() == 1 && findings[0].what.contains("is not locked"), "{findings:?}");
    assert!(scene.keys("/points/").is_empty());
    root.locked_until = made.root.locked_until.map(|until| until + days(10));
    let Err(Error::NotReachable { findings, .. }) = scene.domain().await.publish_point(&root).await else {
        panic!("published");
    };
    assert!(findings.iter().any(|finding| finding.what.contains("alone, and should be until")), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_of_locks_that_end_too_early() {
    let scene = Scene::new().await;
    let made = scene.back_up("a", &noise(6_000_000, 1), None).await;
    let pack = scene.largest_pack().await;
    let body = scene.store.get(&pack).await.unwrap();
    scene.store.overwrite(&pack, body);
    let report = scene.check(CheckDepth::Structure).await;
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    assert!(report.findings[0].object == pack && report.findings[0].what.contains("is not locked"));
    // A point whose own lock has ended asks for none.
    scene.pass(days(11));
    assert!(made.root.locked_until.unwrap() < scene.now());
    scene.assert_clean().await;
    // A backup that takes it over locks it.
    scene.back_up("b", &made.data, None).await;
    assert!(scene.locks("/packs/").await[&pack] > 21.0);
    scene.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_deleted_at_any_moment_is_no_matter_of_locked_points() {
    // Backups, removals, prunes and days in a row; after each, whoever deletes what S3 lets go hurts no locked point.
    for seed in 0..6_u64 {
        println!("seed {seed}");
        let scene = Scene::of(Immutability { days: 4, ..TERMS }).await;
        let mut dice = seed;
        let mut roll = |of: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % of
        };
        let mut points: Vec<Made> = Vec::new();
        for round in 0..14 {
            match roll(4) {
                0 => scene.pass(SignedDuration::from_hours(12 + 12 * roll(5) as i64)),
                1 => {
                    scene.prune().await;
                }
                2 if !points.is_empty() => {
                    let at = roll(points.len() as u64) as usize;
                    match scene.domain().await.remove_point(&points[at].root.point).await {
                        Ok(_) => drop(points.remove(at)),
                        Err(error) => assert!(matches!(error, Error::Locked { .. }), "{error:?}"),
                    }
                }
                _ => {
                    let data = [noise(700_000, roll(3)), noise(700_000, roll(3)), noise(200_000, 100 + round)].concat();
                    let base = points.last().cloned();
                    points.push(scene.back_up(&format!("{round:02}"), &data, base.as_ref()).await);
                }
            }
            scene.assert_clean().await;
        }
        scene.attack().await;
        scene.reveal().await;
        let now = scene.now();
        let locked: Vec<_> = points.iter().filter(|made| made.root.locked_until.unwrap() > now).collect();
        println!("{} of {} points are locked", locked.len(), points.len());
        for made in locked {
            scene.assert_restorable(made).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_removed_goes_out_of_sight_and_is_not_extended_any_more() {
    let scene = Scene::new().await;
    let repository = scene.repository().await;
    let second = NewKey::Passphrase(SecretString::new("second"), cheap());
    let id = repository.add_key(&second).await.unwrap();
    let keep = Unlock::Passphrase(passphrase());
    let until = match repository.remove_key(&id, &keep).await.unwrap() {
        Removal::Hidden(until) => until,
        other => panic!("{other:?}"),
    };
    assert!(until > scene.now() + days(12), "{until}");
    assert_eq!(repository.repository().keys().await.unwrap().len(), 1);
    assert_eq!(repository.remove_key(&id, &keep).await.unwrap(), Removal::Absent);
    let opened = repository.repository().unlock(&second.unlock()).await;
    assert!(matches!(opened, Err(Error::NoKeyOpens { .. })), "{opened:?}");
    scene.pass(days(9));
    scene.back_up("a", b"data", None).await;
    let key = scene.store.hidden("", 10).await.unwrap().remove(0).key;
    assert!(key.ends_with(&id));
    scene.pass(days(7));
    assert_eq!(scene.store.destroy(&key).await.unwrap(), Destruction::Done, "its lock was not extended");
    assert!(scene.locks("/keys/").await.values().all(|until| *until > 19.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_repository_needs_a_bucket_that_can_lock() {
    let key = NewKey::Passphrase(passphrase(), cheap());
    let plain = Arc::new(MemoryObjectStore::new());
    let made = Repository::create_immutable(plain.clone(), PREFIX, &key, Timestamp::now(), TERMS).await;
    assert!(matches!(made, Err(Error::NoObjectLock)), "{made:?}");
    assert!(plain.keys().is_empty());
    // Another coordinator finds it in the repository; one without is one without.
    let scene = Scene::new().await;
    assert_eq!(Repository::open(scene.store.clone(), PREFIX).await.unwrap().immutability(), Some(TERMS));
    Repository::create(plain.clone(), PREFIX, &key, Timestamp::now()).await.unwrap();
    let opened = Repository::open(plain, PREFIX).await.unwrap();
    assert_eq!((opened.immutability(), opened.format().optional_features.len()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_lock_cannot_be_extended_fails() {
    use haulier_cloud::ErrorKind;
    use haulier_cloud::doubles::{Fault, Rule};
    let scene = Scene::new().await;
    let data = noise(1_000_000, 1);
    scene.back_up("a", &data, None).await;
    scene.pass(days(9));
    let faults = Faults::new();
    let store: Arc<dyn ObjectStore> = Arc::new(Faulty::new(scene.store.clone(), faults.clone()));
    let domain = scene.domain_on(store).await;
    let writer = domain.writer().await.unwrap();
    write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
    faults.add(Rule::once("PutObjectRetention", Fault::Before(ErrorKind::Denied)).always());
    let error = writer.finish().await.unwrap_err();
    assert!(matches!(&error, Error::Store { .. }) && error.object().is_some(), "{error:?}");
}
