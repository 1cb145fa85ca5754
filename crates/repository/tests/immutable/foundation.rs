//! A point that stands on another, as a differential backup does on its full one: both stay as long as the one above.

use haulier_domain::id::PointId;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Error, ObjectKind, PointRoot, StreamKind};

use crate::scene::{Made, Scene, days};
use crate::support::{Fixture, noise, point, rows, write};

/// Writes a point above another; `held` is whether its writer knows of that.
async fn above(scene: &Scene, name: &str, full: &Made, held: bool) -> Made {
    let writer = scene.domain().await.writer().await.unwrap();
    let writer = if held { writer.standing_on(&full.root) } else { writer };
    let data = rows(100_000, 9);
    let stream = write(&writer, "data", StreamKind::TableRows, &data).await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, name.as_bytes()).await.unwrap();
    let root = point(name, manifest, writer.finish().await.unwrap());
    Made { root: PointRoot { stands_on: Some(full.root.point.clone()), ..root }, stream, data }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_point_stands_on_is_locked_as_long_as_the_point() {
    let scene = Scene::new().await;
    let full = scene.back_up("full", &noise(20_000_000, 1), None).await;
    assert!(full.stream.chunks > 32, "it has list pages");
    let of_full = scene.keys("");
    scene.pass(days(8));

    // A writer that knows nothing of the full point leaves its locks as they are: that is seen before anything is published.
    let careless = above(&scene, "careless", &full, false).await;
    let refused = scene.publish(&careless).await.unwrap_err();
    let Error::NotReachable { findings, .. } = &refused else { panic!("{refused}") };
    assert!(findings.iter().all(|finding| finding.kind == ObjectKind::Pack), "{findings:?}");

    let differential = above(&scene, "differential", &full, true).await;
    scene.publish(&differential).await.unwrap();
    let locks = scene.locks("").await;
    let short: Vec<_> = of_full.iter().filter(|key| locks[*key] < 17.99).collect();
    assert!(short.is_empty(), "{short:?} {locks:?}");
    scene.assert_clean().await;

    // The full point's own lock would have ended long ago.
    scene.pass(days(9));
    let removed = scene.domain().await.remove_point(&full.root.point).await.unwrap_err();
    assert!(matches!(removed, Error::StoodOn { .. }), "{removed}");
    scene.attack().await;
    scene.reveal().await;
    scene.assert_restorable(&full).await;
    scene.assert_restorable(&differential).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_on_which_another_stands_is_not_removed_and_is_checked_with_it() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let (full, _) = fixture.publish(&domain, "full", &noise(3_000_000, 1)).await;
    let packs_of_full = fixture.bucket.keys("/packs/");
    let publish = async |name: &str, on: &PointId| {
        let writer = domain.writer().await.unwrap().standing_on(&full);
        let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
        let root = point(name, manifest, writer.finish().await.unwrap());
        let root = PointRoot { stands_on: Some(on.clone()), ..root };
        domain.publish_point(&root).await.map(|_| root)
    };
    let nowhere = publish("lost", &"pnt-nowhere".parse().unwrap()).await.unwrap_err();
    assert!(matches!(nowhere, Error::Missing { kind: ObjectKind::Point, .. }), "{nowhere}");
    let differential = publish("differential", &full.point).await.unwrap();

    let refused = domain.remove_point(&full.point).await.unwrap_err();
    assert!(matches!(&refused, Error::StoodOn { by, .. } if *by == differential.point), "{refused}");
    // A check of the one looks at the other as well.
    let only = || CheckScope::Points(vec![differential.point.clone()]);
    assert!(domain.check(only(), CheckDepth::Full, |_| {}).await.unwrap().is_clean());
    let found = async || {
        let report = fixture.domain().await.check(only(), CheckDepth::Structure, |_| {}).await.unwrap();
        report.findings.into_iter().map(|finding| (finding.kind, finding.object)).collect::<Vec<_>>()
    };
    let pack = packs_of_full.first().unwrap();
    fixture.bucket.remove(pack);
    assert!(found().await.iter().any(|(kind, object)| *kind == ObjectKind::Pack && object == pack));
    let object = fixture.bucket.keys("/points/pnt-full").remove(0);
    fixture.bucket.remove(&object);
    assert!(found().await.contains(&(ObjectKind::Point, object)));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_nothing_stands_on_it_a_point_can_go() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let (full, _) = fixture.publish(&domain, "full", &noise(300_000, 1)).await;
    let writer = domain.writer().await.unwrap().standing_on(&full);
    let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
    let root = point("differential", manifest, writer.finish().await.unwrap());
    let root = PointRoot { stands_on: Some(full.point.clone()), ..root };
    domain.publish_point(&root).await.unwrap();
    for point in [&root.point, &full.point] {
        assert!(domain.remove_point(point).await.unwrap(), "{point}");
    }
}
