//! Checking what is stored. A check goes on after what it finds, so that one run tells the whole extent of a damage;
//! it fails only where the store or the local disk does.
//!
//! Four depths: *reachable* (what a point names exists: done before every publication), *structure* (and every pack has
//! its table), *sampled* (and every byte of some packs is what was stored), *full* (and every byte of all).

mod lenient;
mod locks;
mod packs;
mod points;
mod report;

use std::sync::Arc;

pub(crate) use self::points::{PackSet, needed_packs, needed_packs_and_lists};
pub use self::report::{CheckDepth, CheckProgress, CheckReport, CheckScope, Finding};

use self::points::Walked;
use self::report::Reporter;
use crate::domain::{Core, Domain};
use crate::error::{Error, ObjectKind, Result};
use crate::keys::object::{DomainKeyObject, KeyObject};
use crate::point::{DELTAS, PointRoot};
use crate::repository::{Repository, UnlockedRepository};

/// What is known of a point that is complete.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The number of the prune record that condemns nothing of it.
    pub(crate) record: Option<u64>,
    /// What a reader of it must know.
    pub(crate) features: Vec<&'static str>,
}

impl Domain {
    /// Checks the domain, or some of its points and what they stand on, and tells everything that is wrong. `progress` is
    /// called now and then, from any thread.
    ///
    /// # Errors
    /// Only those of the store (other than missing objects) and of the local disk.
    pub async fn check(
        &self,
        scope: CheckScope,
        depth: CheckDepth,
        progress: impl Fn(CheckProgress) + Send + Sync + 'static,
    ) -> Result<CheckReport> {
        let reporter = Arc::new(Reporter::new(Box::new(progress)));
        let (core, rows) = lenient::load(&self.core, &reporter).await?;
        let whole = scope == CheckScope::Domain;
        let points = match scope {
            CheckScope::Domain => points::published(&core, &reporter).await?,
            CheckScope::Points(ids) => points::read(&core, &reporter, &ids).await?,
        };
        let points = points::with_foundations(&core, &reporter, points).await?;
        let needed = points::walk(&core, &reporter, &points, None).await?.packs;
        if depth > CheckDepth::Reachable {
            locks::check(&core, &reporter, &points).await?;
        }
        packs::check(&core, &reporter, &rows, (!whole).then_some(needed), depth).await?;
        locks::tell_hidden(&core, &reporter, whole).await?;
        Ok(reporter.finish())
    }

    /// Checks that everything a point names is stored: every list page, every chunk in the index, every pack.
    ///
    /// # Errors
    /// [`Error::NotReachable`] with what is missing; those of the store and of the local disk.
    pub async fn verify_reachable(&self, root: &PointRoot) -> Result<()> {
        self.verify(root).await.map(|_| ())
    }

    /// Checks that everything a point names is stored and not about to be deleted, and finds out what a reader of it must
    /// know.
    pub(crate) async fn verify(&self, root: &PointRoot) -> Result<Verified> {
        let reporter = Arc::new(Reporter::new(Box::new(|_| {})));
        let (core, rows) = match self.core.fresh_index().await {
            Ok(_) => (Arc::clone(&self.core), Vec::new()),
            Err(Error::Damaged { .. } | Error::Unsupported { .. } | Error::Missing { .. } | Error::Hidden { .. }) => {
                let loaded = lenient::load(&self.core, &reporter).await?;
                // A damaged index object is no matter of this point, unless chunks of it are missing then.
                reporter.forget();
                loaded
            }
            Err(error) => return Err(error),
        };
        let loaded = core.index().await?;
        let marks = loaded.marks()?;
        let Walked { packs, deltas, .. } =
            points::walk(&core, &reporter, std::slice::from_ref(root), Some(marks)).await?;
        for number in packs.iter() {
            let id = loaded.index.pack(number)?.id;
            if marks.condemns_pack(&id) {
                let missing = Error::Missing { kind: ObjectKind::Pack, object: core.layout.pack(&id) };
                reporter.add(&missing, "it is being deleted, because no point needed it");
            }
        }
        if let Some(until) = root.locked_until {
            locks::sample(&core, &reporter, &packs, until).await?;
        }
        packs::check(&core, &reporter, &rows, Some(packs), CheckDepth::Reachable).await?;
        locks::tell_hidden(&core, &reporter, false).await?;
        let findings = reporter.finish().findings;
        if findings.is_empty() {
            let features = deltas.then_some(DELTAS).into_iter().collect();
            Ok(Verified { record: marks.number(), features })
        } else {
            Err(Error::NotReachable { point: root.point.clone(), findings })
        }
    }
}

impl Repository {
    /// Checks the objects outside the domains, as far as that is possible without a key: `format` and `keys/`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        let reporter = Reporter::new(Box::new(|_| {}));
        let object = self.layout.format();
        let format = self.store.get(ObjectKind::Format, &object).await;
        let format = format.and_then(|body| crate::repository::read_format(&object, &body));
        if let Some(format) = reporter.take(format, "the repository cannot be opened")?
            && format != *self.format()
        {
            let what = "it has changed since the repository was opened";
            reporter.add(&Error::damaged(ObjectKind::Format, &object, what), "another repository took this place");
        }
        let keys = self.store.list_all(&self.layout.keys()).await?;
        if keys.is_empty() {
            let missing = Error::Missing { kind: ObjectKind::Key, object: self.layout.keys() };
            reporter
                .add(&missing, "nothing opens the master key: what is stored is lost unless the key lives elsewhere");
        }
        for key in keys {
            let body = self.store.get(ObjectKind::Key, &key.key).await;
            let parsed = body.and_then(|body| KeyObject::parse(&key.key, &body));
            reporter.take(parsed, "the master key cannot be opened this way")?;
        }
        Ok(reporter.finish().findings)
    }
}

impl UnlockedRepository {
    /// As [`Repository::check`], and whether every domain's key opens.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        let mut findings = self.repository().check().await?;
        let reporter = Reporter::new(Box::new(|_| {}));
        let Repository { store, layout, .. } = self.repository();
        for domain in self.domain_names().await? {
            let object = layout.domain(&domain).key();
            let body = store.get(ObjectKind::DomainKey, &object).await;
            let key = body.and_then(|body| DomainKeyObject::parse(&object, &body));
            let opened = key.and_then(|key| self.open_domain_key(&object, &domain, &key));
            reporter.take(opened, "nothing stored in the domain can be read")?;
        }
        findings.extend(reporter.finish().findings);
        Ok(findings)
    }
}

/// What the parts of a check work with.
type Checked = Arc<Core>;
