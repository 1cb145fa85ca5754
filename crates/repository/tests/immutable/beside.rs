//! Locks are extended beside prunes and other writers.

use std::sync::Arc;

use haulier_cloud::ErrorKind;
use haulier_cloud::doubles::{Fault, Faults, Faulty, Rule};
use haulier_cloud::object_store::ObjectStore;
use haulier_repository::StreamKind;

use crate::scene::{Made, Scene, days};
use crate::support::{noise, point, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_does_not_fail_over_an_index_object_that_a_prune_replaces() {
    let scene = Scene::new().await;
    let data = noise(1_000_000, 1);
    scene.back_up("a", &data, None).await;
    scene.pass(days(9));
    let index = scene.keys("/index/").into_iter().next().unwrap();
    let faults = Faults::new();
    let store = Arc::new(Faulty::new(scene.store.clone(), faults.clone()));
    let writer = scene.domain_on(store).await.writer().await.unwrap();
    let stream = write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, b"b").await.unwrap();
    // It is out of sight by the time its lock is looked at.
    faults.add(Rule::once("GetObjectRetention", Fault::Before(ErrorKind::NotFound)).on(index));
    let root = point("b", manifest, writer.finish().await.unwrap());
    assert_eq!(faults.fired(), 1);
    let made = Made { root, stream, data };
    scene.publish(&made).await.unwrap();
    scene.assert_restorable(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_extends_what_it_takes_over_though_the_index_of_its_handle_was_loaded_anew() {
    let scene = Scene::new().await;
    let data = noise(6_000_000, 1);
    scene.back_up("a", &data, None).await;
    scene.write("dead", &noise(300_000, 2), None).await;
    // Every lock has ended.
    scene.pass(days(16));
    let handle = scene.domain().await;
    let writer = handle.writer().await.unwrap();
    // What others store has other numbers in an index that is loaded after, and a prune's record has it loaded.
    for name in 0..20_u64 {
        scene.back_up(&format!("other-{name}"), &noise(10_000, 3 + name), None).await;
    }
    assert!(scene.prune().await.figures.marked.objects > 0);
    handle.writer().await.unwrap();
    let stream = write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, b"b").await.unwrap();
    let made = Made { root: point("b", manifest, writer.finish().await.unwrap()), stream, data };
    assert!(made.root.totals.bytes_new < 100_000, "{:?}", made.root.totals);
    scene.publish(&made).await.unwrap();
    scene.assert_clean().await;
    scene.assert_restorable(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_object_that_somebody_has_hidden_is_not_destroyed_while_it_is_missed() {
    let scene = Scene::new().await;
    let data = noise(1_000_000, 1);
    let old = scene.back_up("a", &data, None).await;
    let index = scene.keys("/index/").into_iter().next().unwrap();
    scene.pass(days(11));
    let new = scene.back_up("b", &data, None).await;
    assert!(scene.domain().await.remove_point(&old.root.point).await.unwrap());
    scene.store.delete(&index).await.unwrap();
    // Until nothing is locked any more, and everything that is marked is due.
    for _ in 0..3 {
        scene.pass(days(20));
        assert!(scene.prune().await.chunks_missing > 0);
    }
    scene.reveal().await;
    scene.assert_restorable(&new).await;
    scene.assert_clean().await;
}
