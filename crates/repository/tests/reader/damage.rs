//! Whatever happens to an object, the reader that is not Haulier names it.

use std::fs;

use haulier_domain::proof::{DatabaseProof, Proof, VERSION};
use haulier_repository::Chunking;
use haulier_repository::prune::PruneOptions;
use jiff::{SignedDuration, Timestamp};

use crate::program::Files;
use crate::support::{Fixture, noise, rows};
use crate::{next_day, publish};

const KINDS: [&str; 9] = [
    "format",
    "keys/",
    "domains/dom-one/key",
    "domains/dom-one/packs/",
    "domains/dom-one/index/",
    "domains/dom-one/lists/",
    "domains/dom-one/points/",
    "domains/dom-one/proofs/",
    "domains/dom-one/prune/",
];

/// A repository with two points, the second on the first, and something of every kind; and the objects without which the two
/// cannot be restored.
async fn scene() -> (Files, Vec<String>) {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let streams = |rows, paged| {
        vec![
            ("rows", Chunking::around(64 << 10), rows),
            ("paged", Chunking::around(256), noise(20_000, paged)),
            ("empty", Chunking::around(256), Vec::new()),
        ]
    };
    let first = publish(&domain, "first", &streams(rows(300_000, 1), 3), None).await;
    let base = domain.base_point(&first.point).await.unwrap();
    publish(&fixture.domain().await, "second", &streams(next_day(rows(300_000, 1)), 4), Some(base)).await;
    let needed = Files::of(&fixture.bucket).objects("");

    let proof = Proof {
        version: VERSION,
        point: first.point.clone(),
        session: "ses-proof".parse().unwrap(),
        verified_at: Timestamp::UNIX_EPOCH,
        server_version: "15.18".into(),
        databases: vec![DatabaseProof::default()],
        exceptions: Vec::new(),
    };
    domain.store_proof(&proof).await.unwrap();
    let third = publish(&domain, "third", &streams(noise(50_000, 9), 5), None).await;
    domain.remove_point(&third.point).await.unwrap();
    let options = PruneOptions {
        now: Timestamp::now(),
        grace: SignedDuration::from_hours(24),
        oldest_session: None,
        dry_run: false,
    };
    fixture.domain().await.prune(&options, |_, _, _| {}).await.unwrap();
    (Files::of(&fixture.bucket), needed)
}

/// The object as the reader names it: within its domain, or whole.
fn told(object: &str) -> &str {
    let within = object.strip_prefix("domains/dom-one/").filter(|within| *within != "key");
    within.unwrap_or(object)
}

/// That neither a check nor, where the object is needed, restoring the two points passes over it.
fn assert_named(files: &Files, object: &str, is_needed: bool, harm: &str) {
    let said = files.check_refusal();
    assert!(said.contains(told(object)), "{object}, {harm}: {said}");
    if is_needed {
        let said = ["pnt-first", "pnt-second"].map(|point| files.restore_refusal(point));
        assert!(said.iter().flatten().any(|said| said.contains(told(object))), "{object}, {harm}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_or_a_missing_end_is_refused_in_every_kind_of_object() {
    let (files, needed) = scene().await;
    let whole = files.lines("check");
    assert!(whole[0].ends_with("\t2 points\t1 proofs\t1 prune records"), "{whole:?}");
    for kind in KINDS {
        let objects = files.objects(kind);
        assert!(!objects.is_empty(), "{kind}");
        for object in objects {
            let path = files.object(&object);
            let content = fs::read(&path).unwrap();
            for at in [0, content.len() / 2, content.len() - 1] {
                let mut flipped = content.clone();
                flipped[at] ^= 0x10;
                fs::write(&path, &flipped).unwrap();
                let is_needed = at == content.len() / 2 && needed.contains(&object);
                assert_named(&files, &object, is_needed, &format!("bit at {at}"));
            }
            fs::write(&path, &content[..content.len() / 2]).unwrap();
            assert_named(&files, &object, false, "cut off");
            fs::write(&path, &content).unwrap();
        }
    }
    assert_eq!(files.lines("check"), whole);
}

/// The hash in the name finds accidents. Against intent there is the seal, in every part of an object.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_object_is_refused_under_its_right_name_too() {
    let (files, _) = scene().await;
    for kind in ["packs/", "index/", "lists/"] {
        let object = files.objects(&format!("domains/dom-one/{kind}")).remove(0);
        let content = fs::read(files.object(&object)).unwrap();
        let end = content.len();
        for at in [0, 7, 8, 9, 20, 48, end / 2, end - 30, end - 17, end - 16, end - 12, end - 1] {
            let mut flipped = content.clone();
            flipped[at] ^= 0x10;
            let name = blake3::hash(&flipped).to_hex();
            let folder = if kind == "packs/" { format!("packs/{}/", &name[..2]) } else { kind.to_owned() };
            let spoilt = format!("domains/dom-one/{folder}{name}");
            let path = files.object(&spoilt);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &flipped).unwrap();
            assert_named(&files, &spoilt, false, &format!("bit at {at}"));
            fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_object_stands_in_for_another_of_its_kind() {
    let (files, needed) = scene().await;
    for (object, name) in [
        ("points/pnt-first", "points/pnt-second"),
        ("proofs/pnt-first/ses-proof", "proofs/pnt-first/ses-other"),
        ("proofs/pnt-first/ses-proof", "proofs/pnt-second/ses-proof"),
        ("prune/0000000000000001", "prune/0000000000000002"),
    ] {
        let [object, name] = [object, name].map(|name| files.object(&format!("domains/dom-one/{name}")));
        let before = fs::read(&name).ok();
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        fs::copy(object, &name).unwrap();
        let said = files.check_refusal();
        assert!(said.contains("its seal does not open"), "{}: {said}", name.display());
        match before {
            Some(before) => fs::write(&name, before).unwrap(),
            None => fs::remove_file(&name).unwrap(),
        }
    }
    // A page's seal would open under any name: its hash is what tells.
    let pages: Vec<_> = needed.iter().filter(|object| object.contains("/lists/")).collect();
    let [path, other] = [0, 1].map(|number| files.object(pages[number]));
    let before = fs::read(&path).unwrap();
    fs::copy(other, &path).unwrap();
    assert_named(&files, pages[0], true, "another page");
    fs::write(path, before).unwrap();
    // Of another domain: its key is bound to its place.
    let [from, to] = ["dom-one", "dom-two"].map(|domain| files.object(&format!("domains/{domain}/key")));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
    let said = files.check_refusal();
    assert!(said.contains("domains/dom-two/key: its seal does not open"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let (files, needed) = scene().await;
    for kind in ["format", "domains/dom-one/key", "domains/dom-one/lists/", "domains/dom-one/packs/"] {
        for object in needed.iter().filter(|object| object.starts_with(kind)) {
            let (path, aside) = (files.object(object), files.path("aside"));
            fs::rename(&path, &aside).unwrap();
            assert_named(&files, object, true, "missing");
            fs::rename(&aside, &path).unwrap();
        }
    }
    for object in needed.iter().filter(|object| object.contains("/index/")) {
        fs::remove_file(files.object(object)).unwrap();
    }
    let said = files.restore_refusal("pnt-first").unwrap();
    assert!(said.contains("no index object has it"), "{said}");
}
