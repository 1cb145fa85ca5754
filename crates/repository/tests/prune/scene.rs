//! A domain with points whose content is known, and the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use haulier_cloud::object_store::ObjectStore;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::prune::{PruneOptions, PruneReport};
use haulier_repository::{Chunking, Domain, Error, PointRoot, StreamKind, StreamRoot, Writer};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Bucket, Fixture, noise, point, read, write};

pub(crate) const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// The time, in hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + hours * 3600).unwrap()
}

pub(crate) fn options(hours: i64) -> PruneOptions {
    PruneOptions { now: at(hours), grace: GRACE, oldest_session: None, dry_run: false }
}

/// The worst that can be: marks are due at once, and nobody is asked.
pub(crate) fn reckless(hours: i64) -> PruneOptions {
    PruneOptions { grace: SignedDuration::ZERO, ..options(hours) }
}

/// Published points and what they must give back.
#[derive(Clone, Default)]
pub(crate) struct Points(pub(crate) BTreeMap<String, (PointRoot, StreamRoot, Vec<u8>)>);

/// Small chunks, so that streams have list pages.
pub(crate) async fn stream(writer: &Writer, data: &[u8]) -> StreamRoot {
    let mut stream = writer.stream_cut("data", StreamKind::TableRows, Chunking::around(8 << 10)).unwrap();
    for part in data.chunks(100_000) {
        stream.write(Bytes::copy_from_slice(part)).await.unwrap();
    }
    stream.finish().await.unwrap()
}

/// Writes a point and does not publish it.
pub(crate) async fn prepare(writer: Writer, name: &str, data: &[u8]) -> (PointRoot, StreamRoot) {
    let stream = stream(&writer, data).await;
    let manifest = write(&writer, "manifest", StreamKind::Document, name.as_bytes()).await.unwrap();
    (point(name, manifest, writer.finish().await.unwrap()), stream)
}

impl Points {
    pub(crate) async fn publish(&mut self, domain: &Domain, name: &str, data: Vec<u8>) {
        let (root, stream) = prepare(domain.writer().await.unwrap(), name, &data).await;
        domain.publish_point(&root).await.unwrap();
        self.0.insert(name.to_owned(), (root, stream, data));
    }

    pub(crate) async fn remove(&mut self, domain: &Domain, name: &str) {
        let (root, _, _) = self.0.remove(name).unwrap();
        assert!(domain.remove_point(&root.point).await.unwrap());
        assert!(!domain.remove_point(&root.point).await.unwrap());
    }

    /// Every point is there, and is what was written, as another process reads it.
    pub(crate) async fn assert_intact(&self, fixture: &Fixture, bucket: &Arc<Bucket>) {
        let domain = fixture.domain_on(bucket.clone()).await;
        self.assert_readable(&domain).await;
        let report = domain.check(CheckScope::Domain, CheckDepth::Full, |_| {}).await.unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
    }

    /// Every point is there, and can be read.
    pub(crate) async fn assert_readable(&self, domain: &Domain) {
        let listed: Vec<String> =
            domain.list_points().await.unwrap().into_iter().map(|(id, _)| id.to_string()).collect();
        let expected: Vec<String> = self.0.keys().map(|name| format!("pnt-{name}")).collect();
        assert_eq!(listed, expected);
        for (name, (root, stream, data)) in &self.0 {
            assert_eq!(domain.read_point(&root.point).await.unwrap(), *root);
            assert!(read(domain, stream).await.unwrap() == *data, "{name}");
        }
    }
}

pub(crate) async fn prune(fixture: &Fixture, store: Arc<dyn ObjectStore>, hours: i64) -> Result<PruneReport, Error> {
    fixture.domain_on(store).await.prune(&options(hours), |_, _, _| {}).await
}

/// Without a point that needs it there is what two sessions would share.
pub(crate) async fn domain_with_dead_data() -> (Fixture, Points, Vec<u8>) {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    let data = noise(4_000_000, 1);
    points.publish(&domain, "a", data.clone()).await;
    points.publish(&domain, "b", noise(100_000, 2)).await;
    points.remove(&domain, "a").await;
    (fixture, points, data)
}
