//! A domain: what shares chunks and a key. This is all of the repository that a worker sees.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use haulier_cloud::object_store::ObjectStore;
use haulier_domain::id::{DomainId, RepositoryId};
use haulier_domain::immutability::Immutability;
use tokio::sync::{Mutex, Semaphore};

use crate::base::BasePoint;
use crate::crypto::DomainKey;
use crate::crypto::domain_keys::DomainKeys;
use crate::error::{Error, Result};
use crate::fetch::{Bases, Purpose};
use crate::index::load::{LoadedIndex, Loader};
use crate::index::local::LocalIndex;
use crate::layout::{DomainLayout, Layout};
use crate::lock::{Clock, Lock};
use crate::memory::{self, Plan};
use crate::pool::Pool;
use crate::store::Store;
use crate::writer::Writer;

/// Long enough for a few repeats of a request, short enough that a store that hangs does not hold up a dump.
const BASE_DEADLINE: Duration = Duration::from_secs(10);

/// How a process works on a domain.
#[derive(Debug, Clone)]
pub struct DomainConfig {
    /// A folder for the local index; its files have no names and vanish with the process. About 70 bytes per chunk.
    pub cache_dir: PathBuf,
    /// Threads for hashing, compression and sealing.
    pub threads: usize,
    /// zstd level. At 3 rows of tables are searched faster, see `docs/adr/0002-repository-chunks.md`.
    pub level: i32,
    /// Whether chunks are compressed at all, alone or on a base. A repository that was written without is read as any
    /// other; that is for measuring what compression takes.
    pub compress: bool,
    /// Memory to be divided among packs, filter and index, in bytes; see `docs/repository-format.md` for what streams
    /// take besides.
    pub memory: usize,
    /// How long a writer waits for the bases of a batch, for a page of the list it follows, or for a part of the base point
    /// before it goes on without.
    pub base_deadline: Duration,
    /// Immutability of the repository, as its `format` says.
    pub immutability: Option<Immutability>,
    /// By which locks are made.
    pub clock: Clock,
}

impl DomainConfig {
    /// The defaults: every core, zstd at level 3, 192 MiB.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            cache_dir: cache_dir.into(),
            threads,
            level: 3,
            compress: true,
            memory: memory::DEFAULT,
            base_deadline: BASE_DEADLINE,
            immutability: None,
            clock: Clock::default(),
        }
    }
}

/// A handle on one domain. Clones share the local index and the pool.
#[derive(Clone)]
pub struct Domain {
    pub(crate) core: Arc<Core>,
}

/// What everything in this crate works with.
pub(crate) struct Core {
    pub(crate) repository: RepositoryId,
    pub(crate) domain: DomainId,
    pub(crate) store: Store,
    pub(crate) layout: DomainLayout,
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) pool: Pool,
    pub(crate) plan: Plan,
    pub(crate) level: i32,
    pub(crate) compress: bool,
    pub(crate) base_deadline: Duration,
    pub(crate) folder: PathBuf,
    /// Kilobytes of bases that readers may be working on.
    pub(crate) bases_at_work: Semaphore,
    /// The bases that all streams being read share.
    bases_read: std::sync::Mutex<Weak<Bases>>,
    index: Mutex<Option<Arc<LoadedIndex>>>,
}

impl Domain {
    /// Opens the domain with its key. Touches neither store nor disk: the index is loaded by whatever first needs it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a compression level zstd does not have.
    pub fn open(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        repository: RepositoryId,
        domain: DomainId,
        key: &DomainKey,
        config: DomainConfig,
    ) -> Result<Self> {
        if !zstd::compression_level_range().contains(&config.level) {
            return Err(Error::Invalid(format!("zstd has no level {}", config.level)));
        }
        let plan = Plan::new(config.memory);
        Ok(Self {
            core: Arc::new(Core {
                store: Store::locking(store, config.immutability.map(|terms| Lock { terms, clock: config.clock })),
                layout: Layout::new(prefix).domain(&domain),
                keys: Arc::new(DomainKeys::derive(&domain, key)),
                pool: Pool::new(config.threads),
                bases_at_work: bases_at_work(&plan),
                bases_read: std::sync::Mutex::default(),
                plan,
                level: config.level,
                compress: config.compress,
                base_deadline: config.base_deadline,
                folder: config.cache_dir,
                index: Mutex::default(),
                repository,
                domain,
            }),
        })
    }

    /// The domain's id.
    pub fn id(&self) -> &DomainId {
        &self.core.domain
    }

    /// The id of the repository it belongs to.
    pub fn repository(&self) -> &RepositoryId {
        &self.core.repository
    }

    /// Where the domain's objects lie.
    pub fn layout(&self) -> &DomainLayout {
        &self.core.layout
    }

    /// Starts writing. Loads the index first, so that what is stored already is not stored again.
    ///
    /// # Errors
    /// Whatever reading the index objects gives.
    pub async fn writer(&self) -> Result<Writer> {
        self.writer_on(None).await
    }

    /// As [`Domain::writer`], with an earlier point whose streams the new ones are expected to resemble: what is new in
    /// them is stored as deltas then, where that saves anything.
    ///
    /// # Errors
    /// Whatever reading the index objects gives.
    pub async fn writer_on(&self, base: Option<BasePoint>) -> Result<Writer> {
        self.core.fresh_index().await?;
        Writer::start(Arc::clone(&self.core), base).await
    }

    /// Takes note of what other writers have stored since the index was loaded.
    ///
    /// # Errors
    /// Whatever reading the index objects gives.
    pub async fn refresh(&self) -> Result<()> {
        self.core.fresh_index().await.map(|_| ())
    }
}

fn bases_at_work(plan: &Plan) -> Semaphore {
    Semaphore::new(plan.bases_at_work >> 10)
}

impl Core {
    /// The same domain with an index of its own.
    pub(crate) fn with_index(&self, index: Arc<LoadedIndex>) -> Self {
        Self {
            repository: self.repository.clone(),
            domain: self.domain.clone(),
            store: self.store.clone(),
            layout: self.layout.clone(),
            keys: Arc::clone(&self.keys),
            pool: self.pool.clone(),
            plan: self.plan,
            level: self.level,
            compress: self.compress,
            base_deadline: self.base_deadline,
            folder: self.folder.clone(),
            bases_at_work: bases_at_work(&self.plan),
            bases_read: std::sync::Mutex::default(),
            index: Mutex::new(Some(index)),
        }
    }

    /// The bases that all streams being read from this index share.
    pub(crate) fn bases_read(self: &Arc<Self>, index: &Arc<LocalIndex>) -> Arc<Bases> {
        let mut shared = self.bases_read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bases) = shared.upgrade().filter(|bases| bases.reads_by(index)) {
            return bases;
        }
        let bases = Arc::new(Bases::new(Arc::clone(self), Arc::clone(index), Purpose::Reading));
        *shared = Arc::downgrade(&bases);
        bases
    }

    pub(crate) fn loader(&self) -> Loader {
        Loader {
            store: self.store.clone(),
            layout: self.layout.clone(),
            keys: Arc::clone(&self.keys),
            pool: self.pool.clone(),
            plan: self.plan,
            folder: self.folder.clone(),
        }
    }

    /// What is to be had of the base point, unless it comes too late.
    pub(crate) async fn in_time<T>(&self, wanted: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.base_deadline, wanted).await {
            Ok(had) => had,
            Err(_) => Err(Error::SlowBase { seconds: self.base_deadline.as_secs() }),
        }
    }

    /// The index as loaded once; what others add later may be missing from it.
    pub(crate) async fn index(&self) -> Result<Arc<LoadedIndex>> {
        let mut index = self.index.lock().await;
        if let Some(loaded) = &*index {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(self.loader().load().await?);
        Ok(Arc::clone(index.insert(loaded)))
    }

    /// Has the index loaded anew by whatever next needs it.
    pub(crate) async fn forget_index(&self) {
        *self.index.lock().await = None;
    }

    /// The index with everything the store has by now. Loaded anew where something has been marked or deleted since.
    pub(crate) async fn fresh_index(&self) -> Result<Arc<LoadedIndex>> {
        let mut index = self.index.lock().await;
        let loader = self.loader();
        if let Some(loaded) = &*index
            && loaded.refresh(&loader).await?
        {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(loader.load().await?);
        Ok(Arc::clone(index.insert(loaded)))
    }
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Domain").field("repository", &self.core.repository).field("domain", &self.core.domain).finish()
    }
}
