//! Copying points between repositories of other keys.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use std::sync::Mutex;

use haulier_domain::id::PointId;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Chunking, Error, PointRoot, StreamKind, StreamRoot};

use support::{Fixture, noise, point, read, rows, write};

/// A point whose manifest names its streams, as a mover's does, and what the streams hold.
async fn source() -> (Fixture, Vec<Vec<u8>>) {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let contents = vec![rows(3_000_000, 1), noise(500_000, 2), Vec::new(), b"a small document".to_vec()];
    let writer = domain.writer().await.unwrap();
    let mut roots = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let mut stream =
            writer.stream_cut(&format!("s{number}"), StreamKind::TableRows, Chunking::around(8 << 10)).unwrap();
        stream.write(content.clone().into()).await.unwrap();
        roots.push(stream.finish().await.unwrap());
    }
    let manifest = serde_json::json!({
        "version": 1,
        "tables": [{"streams": [{"stream": roots[0], "rows": 3}, {"stream": roots[1]}]}],
        "other": {"deep": [[roots[2]], roots[3]], "content": "not a stream", "chunking": 1},
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, &manifest).await.unwrap();
    domain.publish_point(&point("a", manifest, writer.finish().await.unwrap())).await.unwrap();
    (fixture, contents)
}

fn stream(value: &serde_json::Value) -> StreamRoot {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_copied_to_another_repository_under_other_keys() {
    let ((from, contents), to) = (source().await, Fixture::new().await);
    let (source, target) = (from.domain().await, to.domain().await);
    let (id, _) = source.list_points().await.unwrap().remove(0);
    let told = Mutex::new(0);
    let root = source.copy_point(&id, &target, None, None, |step| *told.lock().unwrap() += step.bytes).await.unwrap();
    assert_eq!(*told.lock().unwrap(), contents.iter().map(|content| content.len() as u64).sum::<u64>());
    target.publish_point(&root).await.unwrap();

    // As another process that has the other repository alone.
    let target = to.domain().await;
    let original = source.read_point(&id).await.unwrap();
    let copied = target.read_point(&id).await.unwrap();
    assert_eq!(
        (&copied.point, &copied.session, copied.created),
        (&original.point, &original.session, original.created)
    );
    let manifest = target.read_to_bytes(&copied.manifest, 1 << 20).await.unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let streams = [
        &manifest["tables"][0]["streams"][0]["stream"],
        &manifest["tables"][0]["streams"][1]["stream"],
        &manifest["other"]["deep"][0][0],
        &manifest["other"]["deep"][1],
    ];
    for (value, content) in streams.into_iter().zip(&contents) {
        assert!(read(&target, &stream(value)).await.unwrap() == *content);
    }
    assert_eq!(manifest["tables"][0]["streams"][0]["rows"], 3);
    assert_eq!(manifest["other"]["content"], "not a stream");
    let report = target.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);

    // Chunks and pages of the two have no name in common, and the source's keys open nothing of the copy.
    let names = |fixture: &Fixture| {
        let keys = fixture.bucket.keys("/domains/").into_iter();
        keys.filter_map(|key| key.rsplit_once('/').map(|(_, name)| name.to_owned())).collect::<Vec<_>>()
    };
    let ours = names(&from);
    let common: Vec<_> = names(&to).into_iter().filter(|name| name.len() == 64 && ours.contains(name)).collect();
    assert!(common.is_empty(), "{common:?}");

    // Once more stores next to nothing.
    let before = to.bucket.size();
    let again = source.copy_point(&id, &to.domain().await, None, None, |_| {}).await.unwrap();
    assert_eq!(again.manifest, copied.manifest);
    assert!(to.bucket.size() - before < 20_000, "{} {before}", to.bucket.size());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_is_damaged_is_not_copied() {
    let ((from, _), to) = (source().await, Fixture::new().await);
    let (id, _) = from.domain().await.list_points().await.unwrap().remove(0);
    for key in from.bucket.keys("/packs/") {
        from.bucket.flip(&key, 5_000);
    }
    let error = from.domain().await.copy_point(&id, &to.domain().await, None, None, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(to.bucket.keys("/points/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_next_point_stores_what_has_changed() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let source = from.domain().await;
    let day_one = rows(3_000_000, 1);
    // Every hundredth line has changed: hardly a chunk is the same.
    let mut day_two = day_one.clone();
    let mut line = 0;
    for byte in &mut day_two {
        line += usize::from(*byte == b'\n');
        if line % 100 == 50 && byte.is_ascii_digit() {
            *byte = b'7';
        }
    }
    for (name, content) in [("a", &day_one), ("b", &day_two)] {
        let writer = source.writer().await.unwrap();
        let stream = write(&writer, "rows", StreamKind::TableRows, content).await.unwrap();
        let manifest = serde_json::to_vec(&serde_json::json!({ "stream": stream })).unwrap();
        let manifest = write(&writer, "manifest", StreamKind::Document, &manifest).await.unwrap();
        source.publish_point(&point(name, manifest, writer.finish().await.unwrap())).await.unwrap();
    }
    let [first, second] = ["pnt-a", "pnt-b"].map(|id| id.parse().unwrap());
    let target = to.domain().await;
    let copied = source.copy_point(&first, &target, None, None, |_| {}).await.unwrap();
    target.publish_point(&copied).await.unwrap();
    let base = target.base_point(&first).await.unwrap();
    let next = source.copy_point(&second, &target, Some(base), None, |_| {}).await.unwrap();
    let (whole, changed) = (copied.totals.bytes_stored, next.totals.bytes_stored);
    assert!(changed * 5 < whole, "{changed} after {whole}");
    target.publish_point(&next).await.unwrap();
    let report = to.domain().await.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_copied_onto_the_copy_of_what_it_stands_on() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let (source, target) = (from.domain().await, to.domain().await);
    let (full, _) = from.publish(&source, "full", &noise(300_000, 1)).await;
    let writer = source.writer().await.unwrap().standing_on(&full);
    let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
    let differential = point("differential", manifest, writer.finish().await.unwrap());
    let differential = PointRoot { stands_on: Some(full.point.clone()), ..differential };
    source.publish_point(&differential).await.unwrap();

    let alone = source.copy_point(&differential.point, &target, None, None, |_| {}).await.unwrap_err();
    assert!(matches!(alone, Error::FoundationMissing { .. }), "{alone}");
    let copied: PointId = "pnt-copy".parse().unwrap();
    let early = source.copy_point(&differential.point, &target, None, Some(&copied), |_| {}).await.unwrap_err();
    assert!(matches!(early, Error::Missing { .. }), "{early}");
    let copy = source.copy_point(&full.point, &target, None, None, |_| {}).await.unwrap();
    target.publish_point(&PointRoot { point: copied.clone(), ..copy }).await.unwrap();
    let above = source.copy_point(&differential.point, &target, None, Some(&copied), |_| {}).await.unwrap();
    assert_eq!(above.stands_on, Some(copied));
    target.publish_point(&above).await.unwrap();
}
