//! Whatever happens to an object, the answer names it: from whoever reads it, and from a check.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use haulier_repository::check::{CheckDepth, CheckReport, CheckScope};
use haulier_repository::{Chunking, Domain, Error, ObjectKind, PointRoot, Repository, StreamRoot, Unlock};

use support::{Fixture, PREFIX, noise, passphrase, point, read, rows, write};

async fn check(domain: &Domain, depth: CheckDepth) -> CheckReport {
    domain.check(CheckScope::Domain, depth, |_| {}).await.unwrap()
}

/// A point with a long stream, so that there are list pages, and several packs.
async fn published(fixture: &Fixture) -> (PointRoot, StreamRoot, Vec<u8>) {
    let domain = fixture.domain().await;
    let data = [rows(3_000_000, 1), noise(3_000_000, 2)].concat();
    let writer = domain.writer().await.unwrap();
    let mut stream = writer.stream_cut("data", haulier_repository::StreamKind::Pages, Chunking::around(4_096)).unwrap();
    stream.write(data.clone().into()).await.unwrap();
    let stream = stream.finish().await.unwrap();
    let manifest = write(&writer, "manifest", haulier_repository::StreamKind::Document, b"{}").await.unwrap();
    let root = point("a", manifest, writer.finish().await.unwrap());
    domain.publish_point(&root).await.unwrap();
    (root, stream, data)
}

/// The ways in which an object of that length is spoilt.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip(usize),
    Truncate(usize),
    Remove,
}

fn harms(length: usize) -> Vec<Harm> {
    let step = (length / 40).max(1);
    let flips = (0..length).step_by(step).chain(length - 40.min(length)..length).map(Harm::Flip);
    let cuts =
        [0, 1, 47, 48, 63, length / 2, length - 17.min(length), length - 1].into_iter().filter(|cut| *cut < length);
    flips.chain(cuts.map(Harm::Truncate)).chain([Harm::Remove]).collect()
}

fn apply(fixture: &Fixture, key: &str, harm: Harm) {
    match harm {
        Harm::Flip(at) => fixture.bucket.flip(key, at),
        Harm::Truncate(length) => fixture.bucket.truncate(key, length),
        Harm::Remove => fixture.bucket.remove(key),
    }
}

fn names(report: &CheckReport, kind: ObjectKind, key: &str) -> bool {
    report.findings.iter().any(|finding| {
        finding.kind == kind && finding.object == key && finding.what.contains(key) && !finding.consequence.is_empty()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intact_domain_has_no_findings() {
    let fixture = Fixture::new().await;
    let (root, ..) = published(&fixture).await;
    let packs = fixture.bucket.keys("/packs/").len() as u64;
    assert!(packs > 1);
    for depth in [CheckDepth::Reachable, CheckDepth::Structure, CheckDepth::Full] {
        for scope in [CheckScope::Domain, CheckScope::Points(vec![root.point.clone()])] {
            let report = fixture.domain().await.check(scope, depth, |_| {}).await.unwrap();
            assert!(report.is_clean(), "{depth:?}: {:?}", report.findings);
            assert_eq!(report.packs, packs);
        }
    }
    assert_eq!(fixture.repository.check().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_pack_is_named() {
    let fixture = Fixture::new().await;
    let (_, stream, data) = published(&fixture).await;
    for key in fixture.bucket.keys("/packs/") {
        let whole = fixture.bucket.object(&key);
        for harm in harms(whole.len()) {
            apply(&fixture, &key, harm);
            let domain = fixture.domain().await;
            match read(&domain, &stream).await {
                // Header, table and trailer are not needed for reading; the manifest may lie here, too.
                Ok(got) => assert!(got == data),
                Err(
                    Error::Damaged { kind: ObjectKind::Pack, object, .. }
                    | Error::Missing { kind: ObjectKind::Pack, object },
                ) => {
                    assert_eq!(object, key);
                }
                Err(error) => panic!("{harm:?}: {error:?}"),
            }
            let report = check(&domain, CheckDepth::Full).await;
            assert!(names(&report, ObjectKind::Pack, &key), "{harm:?}: {:?}", report.findings);
            if !matches!(harm, Harm::Flip(_)) {
                let report = check(&domain, CheckDepth::Structure).await;
                assert!(names(&report, ObjectKind::Pack, &key), "{harm:?}: {:?}", report.findings);
            }
            fixture.bucket.replace(&key, whole.clone());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_index_object_is_named() {
    let fixture = Fixture::new().await;
    let (root, stream, _) = published(&fixture).await;
    let key = fixture.bucket.keys("/index/").remove(0);
    let whole = fixture.bucket.object(&key);
    for harm in harms(whole.len()) {
        apply(&fixture, &key, harm);
        let domain = fixture.domain().await;
        let error = read(&domain, &stream).await.unwrap_err();
        let report = check(&domain, CheckDepth::Structure).await;
        if let Harm::Remove = harm {
            assert!(matches!(&error, Error::ChunkMissing { stream, .. } if stream == "data"), "{error:?}");
            assert!(report.findings.iter().any(|finding| finding.consequence.contains("of point pnt-a")));
            let error = domain.verify_reachable(&root).await.unwrap_err();
            assert!(matches!(error, Error::NotReachable { .. }), "{error:?}");
        } else {
            assert_eq!(error.object(), Some(&*key), "{harm:?}: {error:?}");
            assert!(names(&report, ObjectKind::Index, &key), "{harm:?}: {:?}", report.findings);
        }
        fixture.bucket.replace(&key, whole.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_list_page_is_named() {
    let fixture = Fixture::new().await;
    let (_, stream, _) = published(&fixture).await;
    let keys = fixture.bucket.keys("/lists/");
    let key = &keys[0];
    let whole = fixture.bucket.object(key);
    for harm in harms(whole.len()) {
        apply(&fixture, key, harm);
        let domain = fixture.domain().await;
        let error = read(&domain, &stream).await.unwrap_err();
        assert_eq!(error.object(), Some(&**key), "{harm:?}: {error:?}");
        let report = check(&domain, CheckDepth::Structure).await;
        assert!(names(&report, ObjectKind::List, key), "{harm:?}: {:?}", report.findings);
        fixture.bucket.replace(key, whole.clone());
    }
    // A page of the same domain under another page's name opens, and is refused all the same.
    let (other, _) = fixture.publish(&fixture.domain().await, "b", &rows(1_000, 9)).await;
    let writer = fixture.domain().await.writer().await.unwrap();
    let mut second = writer.stream_cut("x", haulier_repository::StreamKind::Pages, Chunking::around(256)).unwrap();
    second.write(noise(100_000, 5).into()).await.unwrap();
    second.finish().await.unwrap();
    writer.finish().await.unwrap();
    let stranger = fixture.bucket.keys("/lists/").into_iter().find(|other| !keys.contains(other)).unwrap();
    fixture.bucket.replace(key, fixture.bucket.object(&stranger));
    let error = read(&fixture.domain().await, &stream).await.unwrap_err();
    assert_eq!(error.object(), Some(&**key), "{error:?}");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_makes_spoilt_list_pages_anew() {
    let fixture = Fixture::new().await;
    let (_, stream, data) = published(&fixture).await;
    let keys = fixture.bucket.keys("/lists/");
    fixture.bucket.flip(&keys[0], 100);
    keys[1..].iter().for_each(|key| fixture.bucket.truncate(key, 100));
    assert!(read(&fixture.domain().await, &stream).await.is_err());
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let mut stream = writer.stream_cut("data", haulier_repository::StreamKind::Pages, Chunking::around(4_096)).unwrap();
    stream.write(data.clone().into()).await.unwrap();
    let stream = stream.finish().await.unwrap();
    let manifest = write(&writer, "manifest", haulier_repository::StreamKind::Document, b"{}").await.unwrap();
    let root = point("b", manifest, writer.finish().await.unwrap());
    domain.publish_point(&root).await.unwrap();
    let domain = fixture.domain().await;
    assert!(read(&domain, &stream).await.unwrap() == data);
    let scope = CheckScope::Points(vec![root.point]);
    let report = domain.check(scope, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_point_is_named() {
    let fixture = Fixture::new().await;
    let (root, ..) = published(&fixture).await;
    let (other, _) = fixture.publish(&fixture.domain().await, "b", &rows(1_000, 9)).await;
    let key = fixture.bucket.keys("/points/").remove(0);
    let whole = fixture.bucket.object(&key);
    for harm in harms(whole.len()) {
        apply(&fixture, &key, harm);
        let domain = fixture.domain().await;
        let error = domain.read_point(&root.point).await.unwrap_err();
        assert_eq!(error.object(), Some(&*key), "{harm:?}: {error:?}");
        if !matches!(harm, Harm::Remove) {
            let report = check(&domain, CheckDepth::Structure).await;
            assert!(names(&report, ObjectKind::Point, &key), "{harm:?}: {:?}", report.findings);
        }
        fixture.bucket.replace(&key, whole.clone());
    }
    // A point cannot stand in for another.
    let stranger = fixture.bucket.keys("/points/").remove(1);
    fixture.bucket.replace(&key, fixture.bucket.object(&stranger));
    let domain = fixture.domain().await;
    assert!(matches!(domain.read_point(&root.point).await, Err(Error::Damaged { kind: ObjectKind::Point, .. })));
    assert_eq!(domain.read_point(&other.point).await.unwrap(), other);
}

#[tokio::test(flavor = "multi_thread")]
async fn spoilt_format_and_key_objects_are_named() {
    let fixture = Fixture::new().await;
    let domain_key = format!("{PREFIX}/domains/{}/key", fixture.id);
    let key = fixture.bucket.keys("/keys/").remove(0);
    let format = format!("{PREFIX}/format");
    for (kind, key) in [(ObjectKind::Format, format), (ObjectKind::Key, key), (ObjectKind::DomainKey, domain_key)] {
        let whole = fixture.bucket.object(&key);
        for harm in harms(whole.len()) {
            apply(&fixture, &key, harm);
            let opened = async {
                let repository = Repository::open(fixture.bucket.clone(), PREFIX).await?;
                let unlocked = repository.unlock(&Unlock::Passphrase(passphrase())).await?;
                unlocked.domain_key(&fixture.id, false).await
            };
            let error = opened.await.unwrap_err();
            match (kind, harm) {
                (ObjectKind::Format, Harm::Remove) => assert!(matches!(error, Error::NoRepository { .. })),
                (ObjectKind::Key, Harm::Remove) => assert!(matches!(error, Error::NoKeyOpens { tried: 0 })),
                (_, Harm::Remove) => assert!(matches!(error, Error::NoDomain { .. })),
                _ => assert_eq!(error.object(), Some(&*key), "{harm:?}: {error:?}"),
            }
            let findings = fixture.repository.check().await.unwrap();
            assert!(
                findings.iter().any(|finding| finding.kind == kind)
                    || matches!((kind, harm), (ObjectKind::DomainKey, Harm::Remove)),
                "{harm:?}: {findings:?}"
            );
            fixture.bucket.replace(&key, whole.clone());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_whose_packs_are_gone_is_not_published() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    write(&writer, "data", haulier_repository::StreamKind::TableRows, &noise(6_000_000, 3)).await.unwrap();
    let manifest = write(&writer, "manifest", haulier_repository::StreamKind::Document, b"{}").await.unwrap();
    let root = point("a", manifest, writer.finish().await.unwrap());
    // The first pack holds nothing but table rows: manifest and catalogue come last.
    let sizes: Vec<_> = fixture.bucket.keys("/packs/");
    let largest = sizes.iter().max_by_key(|key| fixture.bucket.object(key).len()).unwrap();
    fixture.bucket.remove(largest);
    let error = domain.publish_point(&root).await.unwrap_err();
    let Error::NotReachable { findings, .. } = error else { panic!("{error:?}") };
    assert_eq!(findings[0].object, *largest);
    assert!(fixture.bucket.keys("/points/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_its_progress() {
    let fixture = Fixture::new().await;
    published(&fixture).await;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = seen.clone();
    let progress = move |progress| sink.lock().unwrap().push(progress);
    let report = fixture.domain().await.check(CheckScope::Domain, CheckDepth::Full, progress).await.unwrap();
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!((last.packs, last.packs_total, last.bytes), (report.packs, report.packs, report.bytes));
    assert!(report.bytes > 3_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_stores_again_what_a_lost_or_cut_off_pack_held() {
    let fixture = Fixture::new().await;
    let data = noise(9_000_000, 4);
    fixture.publish(&fixture.domain().await, "a", &data).await;
    // Names are hashes: a pack that holds the end of the stream alone may come first.
    let mut packs = fixture.bucket.keys("/packs/");
    packs.retain(|key| fixture.bucket.object(key).len() > 1_000_000);
    assert!(packs.len() > 2);
    fixture.bucket.remove(&packs[0]);
    fixture.bucket.truncate(&packs[1], 1_000);
    let (second, stream) = fixture.publish(&fixture.domain().await, "b", &data).await;
    assert!(second.totals.bytes_new > 2_000_000 && second.totals.bytes_new < 7_000_000, "{:?}", second.totals);
    // Both points name the same chunks, so both are whole again.
    let domain = fixture.domain().await;
    assert!(read(&domain, &stream).await.unwrap() == data);
    for point in ["pnt-a", "pnt-b"] {
        let scope = CheckScope::Points(vec![point.parse().unwrap()]);
        let report = domain.check(scope, CheckDepth::Full, |_| {}).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
    let report = check(&domain, CheckDepth::Structure).await;
    assert_eq!(report.findings.len(), 2, "what is lost is still told of the domain: {:?}", report.findings);
    let (third, _) = fixture.publish(&domain, "c", &data).await;
    assert!(third.totals.bytes_new < 10_000, "{:?}", third.totals);
}
