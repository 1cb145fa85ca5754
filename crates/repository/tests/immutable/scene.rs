//! An immutable repository in a bucket with Object Lock, and a clock that both go by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use haulier_cloud::doubles::MemoryObjectStore;
use haulier_cloud::object_lock::Destruction;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::id::DomainId;
use haulier_domain::immutability::{Immutability, RetentionMode};
use haulier_repository::check::{CheckDepth, CheckReport, CheckScope};
use haulier_repository::prune::{PruneOptions, PruneReport};
use haulier_repository::{
    Clock, Domain, DomainConfig, NewKey, PointRoot, Repository, Result, StreamKind, StreamRoot, Unlock,
    UnlockedRepository,
};
use jiff::{SignedDuration, Timestamp};

use crate::support::{PREFIX, cheap, passphrase, point, read, write};

pub(crate) const TERMS: Immutability = Immutability { mode: RetentionMode::Governance, days: 10 };
pub(crate) const DOMAIN: &str = "dom-one";

pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A point and what it must give back.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) root: PointRoot,
    pub(crate) stream: StreamRoot,
    pub(crate) data: Vec<u8>,
}

pub(crate) struct Scene {
    pub(crate) store: Arc<MemoryObjectStore>,
    hours: Arc<AtomicI64>,
    start: Timestamp,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(TERMS).await
    }

    pub(crate) async fn of(terms: Immutability) -> Self {
        let store = Arc::new(MemoryObjectStore::with_object_lock());
        let key = NewKey::Passphrase(passphrase(), cheap());
        let start = Timestamp::now();
        let made = Repository::create_immutable(store.clone(), PREFIX, &key, start, terms).await.unwrap();
        made.domain_key(&DOMAIN.parse().unwrap(), true).await.unwrap();
        Self { store, hours: Arc::default(), start, folder: tempfile::tempdir().unwrap() }
    }

    /// Lets time pass, for the bucket and for whoever works with it.
    pub(crate) fn pass(&self, span: SignedDuration) {
        let hours = self.hours.fetch_add(span.as_hours(), Ordering::SeqCst) + span.as_hours();
        self.store.set_clock_ahead(SignedDuration::from_hours(hours));
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(self.hours.load(Ordering::SeqCst))
    }

    pub(crate) fn start(&self) -> Timestamp {
        self.start
    }

    pub(crate) fn clock(&self) -> Clock {
        let hours = Arc::clone(&self.hours);
        Clock::new(move || Timestamp::now() + SignedDuration::from_hours(hours.load(Ordering::SeqCst)))
    }

    pub(crate) async fn repository_on(&self, store: Arc<dyn ObjectStore>) -> UnlockedRepository {
        let repository = Repository::open(store, PREFIX).await.unwrap().with_clock(self.clock());
        repository.unlock(&Unlock::Passphrase(passphrase())).await.unwrap()
    }

    pub(crate) async fn repository(&self) -> UnlockedRepository {
        self.repository_on(self.store.clone()).await
    }

    /// A handle as another process would have it.
    pub(crate) async fn domain_on(&self, store: Arc<dyn ObjectStore>) -> Domain {
        let config =
            DomainConfig { threads: 2, memory: 16 << 20, clock: self.clock(), ..DomainConfig::new(self.folder.path()) };
        self.repository_on(store).await.domain(&id(), config).await.unwrap()
    }

    pub(crate) async fn domain(&self) -> Domain {
        self.domain_on(self.store.clone()).await
    }

    /// Writes a point, on an earlier one where that is named.
    pub(crate) async fn write(&self, name: &str, data: &[u8], base: Option<&Made>) -> Made {
        let domain = self.domain().await;
        let base = match base {
            Some(base) => Some(domain.base_point(&base.root.point).await.unwrap()),
            None => None,
        };
        let writer = domain.writer_on(base).await.unwrap();
        let stream = write(&writer, "data", StreamKind::TableRows, data).await.unwrap();
        let manifest = write(&writer, "manifest", StreamKind::Document, name.as_bytes()).await.unwrap();
        Made { root: point(name, manifest, writer.finish().await.unwrap()), stream, data: data.to_vec() }
    }

    /// Publishes it, as the coordinator does.
    pub(crate) async fn publish(&self, made: &Made) -> Result<()> {
        self.repository().await.hold_keys(&id(), made.root.locked_until.unwrap()).await?;
        self.domain().await.publish_point(&made.root).await.map(drop)
    }

    pub(crate) async fn back_up(&self, name: &str, data: &[u8], base: Option<&Made>) -> Made {
        let made = self.write(name, data, base).await;
        self.publish(&made).await.unwrap();
        made
    }

    pub(crate) async fn prune(&self) -> PruneReport {
        self.prune_or_tell(false).await
    }

    /// A prune, or with `dry_run` what it would do.
    pub(crate) async fn prune_or_tell(&self, dry_run: bool) -> PruneReport {
        let grace = SignedDuration::from_hours(24);
        let options = PruneOptions { now: self.now(), grace, oldest_session: None, dry_run };
        self.domain().await.prune(&options, |_, _, _| {}).await.unwrap()
    }

    pub(crate) async fn check(&self, depth: CheckDepth) -> CheckReport {
        self.domain().await.check(CheckScope::Domain, depth, |_| {}).await.unwrap()
    }

    pub(crate) async fn assert_clean(&self) {
        let report = self.check(CheckDepth::Full).await;
        assert!(report.is_clean(), "{:#?}", report.findings);
    }

    pub(crate) async fn assert_restorable(&self, made: &Made) {
        let domain = self.domain().await;
        assert_eq!(domain.read_point(&made.root.point).await.unwrap(), made.root);
        assert!(read(&domain, &made.stream).await.unwrap() == made.data, "{}", made.root.point);
    }

    /// Until when each object is locked, in days from the beginning of the scene.
    pub(crate) async fn locks(&self, with: &str) -> BTreeMap<String, f64> {
        let mut locks = BTreeMap::new();
        for key in self.store.keys().into_iter().filter(|key| key.contains(with)) {
            let until = self.store.retention(&key).await.unwrap().map(|retention| retention.until);
            let days = until.map_or(0.0, |until| until.duration_since(self.start).as_secs_f64() / 86_400.0);
            locks.insert(key, days);
        }
        locks
    }

    pub(crate) fn keys(&self, with: &str) -> BTreeSet<String> {
        self.store.keys().into_iter().filter(|key| key.contains(with)).collect()
    }

    /// A pack that holds data; another one may hold a manifest alone.
    pub(crate) async fn largest_pack(&self) -> String {
        let mut packs = Vec::new();
        for key in self.keys("/packs/") {
            packs.push((self.store.get(&key).await.unwrap().len(), key));
        }
        packs.into_iter().max().unwrap().1
    }

    /// What somebody does who may delete everything and bypass nothing: destroys what S3 lets go, hides the rest.
    pub(crate) async fn attack(&self) -> u64 {
        let mut hidden = 0;
        for key in self.store.keys() {
            if self.store.destroy(&key).await.unwrap() == Destruction::Protected {
                self.store.delete(&key).await.unwrap();
                hidden += 1;
            }
        }
        hidden
    }

    /// What an operator does then.
    pub(crate) async fn reveal(&self) {
        for hidden in self.store.hidden("", usize::MAX).await.unwrap() {
            assert!(self.store.reveal(&hidden.key).await.unwrap());
        }
    }
}

pub(crate) fn id() -> DomainId {
    DOMAIN.parse().unwrap()
}
