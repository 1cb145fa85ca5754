//! Format 1 as it was first written, kept as files: every later version must read it.
//!
//! `HAULIER_WRITE_FIXTURES=1` writes it anew. That is right only for what is not yet released, or for a further fixture
//! beside this one: the old ones stay.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use std::path::Path;
use std::sync::Arc;

use haulier_cloud::object_store::ObjectStore;
use haulier_domain::id::DomainId;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Chunking, DomainConfig, NewKey, Repository, StreamContent, StreamKind, StreamRoot, Unlock};

use support::folder::Folder;
use support::frozen::{days, folder, streams};
use support::{cheap, passphrase, point, read, write};

fn domain_id() -> DomainId {
    "dom-fixture".parse().unwrap()
}

async fn generate(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(Folder(folder.to_owned()));
    let key = NewKey::Passphrase(passphrase(), cheap());
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let repository = Repository::create(store, "repository", &key, now).await.unwrap();
    repository.domain_key(&domain_id(), true).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let domain = repository.domain(&domain_id(), DomainConfig::new(cache.path())).await.unwrap();
    let writer = domain.writer().await.unwrap();
    let mut roots = Vec::new();
    for (name, kind, chunking, data) in streams() {
        let mut stream = writer.stream_cut(name, kind, chunking).unwrap();
        stream.write(data.into()).await.unwrap();
        roots.push(stream.finish().await.unwrap());
    }
    let manifest = serde_json::to_vec(&roots).unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, &manifest).await.unwrap();
    let root = point("fixture", manifest, writer.finish().await.unwrap());
    domain.publish_point(&root).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn format_1_as_first_written_is_read() {
    if std::env::var_os("HAULIER_WRITE_FIXTURES").is_some() && !folder("format-1").exists() {
        generate(&folder("format-1")).await;
    }
    let store: Arc<dyn ObjectStore> = Arc::new(Folder(folder("format-1")));
    let repository = Repository::open(store, "repository").await.unwrap();
    let unlocked = repository.unlock(&Unlock::Passphrase(passphrase())).await.unwrap();
    assert_eq!(unlocked.domains().await.unwrap(), [domain_id()]);
    assert_eq!(unlocked.check().await.unwrap(), []);
    let cache = tempfile::tempdir().unwrap();
    let domain = unlocked.domain(&domain_id(), DomainConfig::new(cache.path())).await.unwrap();
    let points = domain.list_points().await.unwrap();
    let root = domain.read_point(&points[0].0).await.unwrap();
    assert_eq!((root.point.as_str(), root.engine.as_str(), root.epoch.0), ("pnt-fixture", "postgres", 1));

    let manifest = domain.read_to_bytes(&root.manifest, 1 << 20).await.unwrap();
    let roots: Vec<StreamRoot> = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(roots.len(), streams().len());
    for (stored, (name, kind, chunking, data)) in roots.iter().zip(streams()) {
        assert_eq!((stored.name.as_str(), stored.kind, stored.chunking), (name, kind, chunking));
        assert!(read(&domain, stored).await.unwrap() == data, "{name}");
        assert_eq!(matches!(stored.content, StreamContent::Pages(_)), name == "paged");
    }
    let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_data_is_still_cut_and_named_as_it_was() {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder("format-1"), copy.path());
    let store: Arc<dyn ObjectStore> = Arc::new(Folder(copy.path().to_owned()));
    let repository = Repository::open(store, "repository").await.unwrap();
    let unlocked = repository.unlock(&Unlock::Passphrase(passphrase())).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let domain = unlocked.domain(&domain_id(), DomainConfig::new(cache.path())).await.unwrap();
    let writer = domain.writer().await.unwrap();
    for (name, kind, chunking, data) in streams() {
        let mut stream = writer.stream_cut(name, kind, chunking).unwrap();
        stream.write(data.into()).await.unwrap();
        stream.finish().await.unwrap();
    }
    assert_eq!(writer.stats().chunks_new, 0, "a backup by this version would store everything again");
    writer.finish().await.unwrap();
}

async fn generate_deltas(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(Folder(folder.to_owned()));
    let key = NewKey::Passphrase(passphrase(), cheap());
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let repository = Repository::create(store, "repository", &key, now).await.unwrap();
    repository.domain_key(&domain_id(), true).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let domain = repository.domain(&domain_id(), DomainConfig::new(cache.path())).await.unwrap();
    let mut base = None;
    for (name, data) in ["first", "second"].into_iter().zip(days()) {
        let writer = domain.writer_on(base).await.unwrap();
        let mut stream = writer.stream_cut("rows", StreamKind::TableRows, Chunking::around(32 << 10)).unwrap();
        stream.write(data.into()).await.unwrap();
        let manifest = serde_json::to_vec(&stream.finish().await.unwrap()).unwrap();
        let manifest = write(&writer, "manifest", StreamKind::Document, &manifest).await.unwrap();
        let root = point(name, manifest, writer.finish().await.unwrap());
        domain.publish_point(&root).await.unwrap();
        base = Some(domain.base_point(&root.point).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_as_first_written_are_read() {
    read_deltas("format-1-deltas").await;
}

/// The same data, when chunks that are their base with little changed came to be written as copies of it, and sketches to
/// look at the beginning of a chunk only.
#[tokio::test(flavor = "multi_thread")]
async fn deltas_as_they_became_copies_are_read() {
    read_deltas("format-1-copies").await;
}

async fn read_deltas(name: &str) {
    let folder = folder(name);
    if std::env::var_os("HAULIER_WRITE_FIXTURES").is_some() && !folder.exists() {
        generate_deltas(&folder).await;
    }
    let store: Arc<dyn ObjectStore> = Arc::new(Folder(folder));
    let repository = Repository::open(store, "repository").await.unwrap();
    let unlocked = repository.unlock(&Unlock::Passphrase(passphrase())).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let domain = unlocked.domain(&domain_id(), DomainConfig::new(cache.path())).await.unwrap();
    for (name, data) in ["first", "second"].into_iter().zip(days()) {
        let root = domain.read_point(&format!("pnt-{name}").parse().unwrap()).await.unwrap();
        assert_eq!(root.required_features, if name == "first" { vec![] } else { vec!["deltas".to_owned()] });
        assert_eq!(root.totals.chunks_delta > 0, name == "second", "{:?}", root.totals);
        let manifest = domain.read_to_bytes(&root.manifest, 1 << 20).await.unwrap();
        let stored: StreamRoot = serde_json::from_slice(&manifest).unwrap();
        assert!(read(&domain, &stored).await.unwrap() == data, "{name}");
    }
    let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
