//! A reader that is not Haulier, written from `docs/repository-format.md` alone (`tests/reader`), restores what Haulier has
//! written, byte for byte, and refuses what has been spoilt.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod program;
mod refusals;

use bytes::Bytes;
use haulier_repository::{BasePoint, Chunking, Domain, PointRoot, StreamKind, StreamRoot};

use program::{Files, Restored, sha256};
use support::{Fixture, frozen, noise, point, rows};

/// A stream to be written: name, how it is cut, content.
type Wanted = (&'static str, Chunking, Vec<u8>);

/// A published point with these streams and a manifest.
async fn publish(domain: &Domain, name: &str, streams: &[Wanted], base: Option<BasePoint>) -> PointRoot {
    let writer = domain.writer_on(base).await.unwrap();
    let mut roots: Vec<StreamRoot> = Vec::new();
    for (name, chunking, content) in streams {
        let mut stream = writer.stream_cut(name, StreamKind::TableRows, *chunking).unwrap();
        stream.write(Bytes::copy_from_slice(content)).await.unwrap();
        roots.push(stream.finish().await.unwrap());
    }
    let manifest = serde_json::to_vec(&roots).unwrap();
    let manifest = support::write(&writer, "manifest", StreamKind::Document, &manifest).await.unwrap();
    let root = point(name, manifest, writer.finish().await.unwrap());
    domain.publish_point(&root).await.unwrap();
    root
}

/// That the streams are there in their order, and the manifest both behind them and as such.
fn assert_restored(restored: &Restored, streams: &[(&str, &[u8])]) {
    let mut expected: Vec<(&str, String)> = streams.iter().map(|(name, content)| (*name, sha256(content))).collect();
    expected.push(("manifest", restored["manifest"].clone()));
    let found: Vec<_> = restored.iter().filter(|(file, _)| file.starts_with("streams/")).collect();
    assert_eq!(found.len(), expected.len(), "{restored:?}");
    for (number, ((file, digest), (name, expected))) in found.into_iter().zip(expected).enumerate() {
        assert!(file.starts_with(&format!("streams/{number:06}-{name}")), "{file}");
        assert_eq!(*digest, expected, "{file}");
    }
}

#[test]
fn the_frozen_fixtures_are_restored() {
    let plain = Files::at(frozen::folder("format-1").join("repository"));
    let streams = frozen::streams();
    let streams: Vec<(&str, &[u8])> = streams.iter().map(|(name, _, _, content)| (*name, &content[..])).collect();
    assert_restored(&plain.restore("pnt-fixture"), &streams);
    let found = "dom-fixture\t1 packs\t1 index objects\t1 list pages\t1 points\t0 proofs\t0 prune records";
    assert_eq!(plain.lines("check"), [found]);

    for fixture in ["format-1-deltas", "format-1-copies"] {
        let deltas = Files::at(frozen::folder(fixture).join("repository"));
        let listed: Vec<String> = deltas.lines("points");
        assert!(listed[0].starts_with("dom-fixture\tpnt-first\t2026-11-20T12:00:00Z\tpostgres\t2\t"), "{listed:?}");
        for (name, content) in ["pnt-first", "pnt-second"].into_iter().zip(frozen::days()) {
            assert_restored(&deltas.restore(name), &[("rows", &content)]);
        }
        let found = "dom-fixture\t2 packs\t2 index objects\t0 list pages\t2 points\t0 proofs\t0 prune records";
        assert_eq!(deltas.lines("check"), [found]);
    }
}

/// Every few kilobytes a few bytes that are not those of the day before.
fn next_day(mut content: Vec<u8>) -> Vec<u8> {
    for part in content.chunks_mut(7_000).filter(|part| part.len() > 50) {
        part[20..50].copy_from_slice(b"\tanother day, another customer");
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_today_is_restored_deltas_long_lists_and_all() {
    let fixture = Fixture::new().await;
    let usual = Chunking::around(64 << 10);
    let first: Vec<Wanted> = vec![
        ("empty", usual, Vec::new()),
        ("short", usual, rows(5_000, 1)),
        ("shop/public.\"orders\"\n100 %", usual, rows(3_000_000, 2)),
        // So many chunks that there are pages of pages.
        ("long", Chunking::around(256), noise(5_000_000, 3)),
        ("incompressible", usual, noise(700_000, 4)),
    ];
    let mut second = first.clone();
    for at in [2, 4] {
        second[at].2 = next_day(std::mem::take(&mut second[at].2));
    }
    second[1].2 = rows(5_001, 1);
    let domain = fixture.domain().await;
    let root = publish(&domain, "first", &first, None).await;
    let base = domain.base_point(&root.point).await.unwrap();
    let root = publish(&fixture.domain().await, "second", &second, Some(base)).await;
    assert!(root.totals.chunks_delta > 20 && root.required_features == ["deltas"], "{:?}", root.totals);
    let other_id = "dom-two".parse().unwrap();
    fixture.repository.domain_key(&other_id, true).await.unwrap();
    let other = fixture.repository.domain(&other_id, fixture.config()).await.unwrap();
    publish(&other, "other", &first[..3], None).await;

    let files = Files::of(&fixture.bucket);
    for (point, streams) in [("pnt-first", &first[..]), ("pnt-second", &second), ("pnt-other", &first[..3])] {
        let names = ["empty", "short", "shop%2Fpublic.%22orders%22%0A100%20%25", "long", "incompressible"];
        let expected: Vec<(&str, &[u8])> =
            names.iter().zip(streams).map(|(name, (_, _, content))| (*name, &content[..])).collect();
        assert_restored(&files.restore(point), &expected);
    }
    let bytes: usize = second.iter().map(|(_, _, content)| content.len()).sum();
    let bytes = bytes as u64 + root.manifest.bytes;
    let listed = files.lines("points");
    let points: Vec<&str> = listed.iter().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(points, ["pnt-first", "pnt-second", "pnt-other"]);
    assert!(listed[1].ends_with(&format!("\t6\t{bytes}")), "{listed:?}");
    let found = files.lines("check");
    let pages = fixture.bucket.keys("dom-one/lists/").len();
    assert!(pages >= 3, "a long list has several pages, and one above them: {pages}");
    assert!(found.len() == 2 && found[0].contains(&format!("\t{pages} list pages\t2 points")), "{found:?}");
}
