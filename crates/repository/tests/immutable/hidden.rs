//! Delete markers: a reader is told that something is hidden, a check names it, and taking the marker away brings it back.

use haulier_cloud::object_store::ObjectStore;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Domain, Error, NewKey, ObjectKind, Repository, Result, Undelete, Unlock, undelete};
use jiff::Timestamp;

use crate::scene::{Made, Scene, days, id};
use crate::support::{PREFIX, cheap, noise, passphrase, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_marker_over_what_a_point_needs_is_told_of_and_undone() {
    let scene = Scene::new().await;
    let made = scene.back_up("a", &noise(3_000_000, 1), None).await;
    for (part, kind) in [("/packs/", ObjectKind::Pack), ("/points/", ObjectKind::Point), ("/lists/", ObjectKind::List)]
    {
        let Some(key) = scene.keys(part).into_iter().next() else { continue };
        scene.store.delete(&key).await.unwrap();
        for scope in [CheckScope::Domain, CheckScope::Points(vec![made.root.point.clone()])] {
            let report = scene.domain().await.check(scope.clone(), CheckDepth::Structure, |_| {}).await.unwrap();
            let found = report.findings.iter().find(|finding| finding.object == key);
            let found = found.unwrap_or_else(|| panic!("{part} {scope:?}: {:#?}", report.findings));
            assert!(found.kind == kind && found.what.contains("hidden by a delete marker"), "{found:?}");
        }
        let domain = scene.domain().await;
        // Names are keyed hashes: the object may serve the data or the manifest.
        let error = read_all(&domain, &made).await.unwrap_err();
        assert!(matches!(&error, Error::Hidden { kind: told, .. } if *told == kind), "{part}: {error:?}");
        assert!(scene.store.reveal(&key).await.unwrap());
        scene.assert_clean().await;
        scene.assert_restorable(&made).await;
    }
}

async fn read_all(domain: &Domain, made: &Made) -> Result<()> {
    let root = domain.read_point(&made.root.point).await?;
    read(domain, &root.manifest).await?;
    read(domain, &made.stream).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_index_object_is_told_of_where_chunks_are_missing() {
    let scene = Scene::new().await;
    let made = scene.back_up("a", &noise(1_000_000, 1), None).await;
    for key in scene.keys("/index/") {
        scene.store.delete(&key).await.unwrap();
    }
    let report = scene.check(CheckDepth::Structure).await;
    assert!(report.findings.iter().any(|finding| finding.what.contains("index object(s) are hidden")), "{report:#?}");
    scene.reveal().await;
    scene.assert_restorable(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_hidden_is_stored_again_by_the_next_backup() {
    let scene = Scene::new().await;
    let data = noise(3_000_000, 1);
    scene.back_up("a", &data, None).await;
    for key in scene.keys("/packs/") {
        scene.store.delete(&key).await.unwrap();
    }
    let second = scene.back_up("b", &data, None).await;
    scene.assert_restorable(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_repository_is_neither_missing_nor_made_anew() {
    let scene = Scene::new().await;
    let made = scene.back_up("a", b"data", None).await;
    let hidden = scene.attack().await;
    assert!(hidden >= 6, "{hidden}");
    let opened = Repository::open(scene.store.clone(), PREFIX).await.unwrap_err();
    assert!(matches!(opened, Error::Hidden { kind: ObjectKind::Format, .. }), "{opened:?}");
    let key = NewKey::Passphrase(passphrase(), cheap());
    let again = Repository::create(scene.store.clone(), PREFIX, &key, Timestamp::now()).await;
    assert!(matches!(again, Err(Error::Hidden { kind: ObjectKind::Format, .. })), "{again:?}");
    assert!(scene.store.keys().is_empty(), "nothing was written");

    // The format alone is back: the keys are told of.
    assert!(scene.store.reveal(&format!("{PREFIX}/format")).await.unwrap());
    let repository = Repository::open(scene.store.clone(), PREFIX).await.unwrap();
    assert!(repository.hidden().await.unwrap().len() as u64 == hidden - 1);
    let locked = repository.unlock(&Unlock::Passphrase(passphrase())).await;
    assert!(matches!(locked, Err(Error::Hidden { kind: ObjectKind::Key, .. })), "{locked:?}");
    let keys = scene.store.hidden(&format!("{PREFIX}/keys/"), 10).await.unwrap();
    assert!(scene.store.reveal(&keys[0].key).await.unwrap());
    // The domain's key is not made anew over the one that is hidden.
    let repository = scene.repository().await;
    let domain = repository.domain_key(&id(), true).await;
    assert!(matches!(domain, Err(Error::Hidden { kind: ObjectKind::DomainKey, .. })), "{domain:?}");
    for (options, shown) in [
        (Undelete { all: false, dry_run: true }, false),
        (Undelete { all: false, dry_run: false }, true),
        (Undelete { all: true, dry_run: true }, false),
    ] {
        let told = undelete(scene.store.clone(), PREFIX, options).await.unwrap();
        assert!(told.len() as u64 <= hidden - 2 && !told.is_empty(), "{told:?}");
        assert_eq!(told.iter().any(|hidden| hidden.key.contains("/index/")), options.all, "{options:?}");
        assert_eq!(scene.keys("").contains(&told[0].key), shown, "{options:?}");
    }
    let last = undelete(scene.store.clone(), PREFIX, Undelete { all: true, dry_run: false }).await.unwrap();
    assert!(last.iter().all(|hidden| hidden.key.contains("/index/")), "{last:?}");
    scene.pass(days(1));
    scene.assert_restorable(&made).await;
    scene.assert_clean().await;
}
