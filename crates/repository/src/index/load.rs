//! Filling the local index from the store: a few objects at a time, each forgotten once its rows are on disk.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::doubtful::Doubt;
use super::listing::PackListing;
use super::local::LocalIndex;
use super::object::IndexTable;
use crate::crypto::domain_keys::DomainKeys;
use crate::error::{Error, ObjectKind, Result};
use crate::layout::DomainLayout;
use crate::memory::Plan;
use crate::pack::record::FIXED_LENGTH;
use crate::pool::Pool;
use crate::prune::marks::Marks;
use crate::store::Store;

/// Index objects fetched at once.
const AT_ONCE: usize = 4;
/// How often loading begins anew because index objects were replaced meanwhile.
const TRIES: usize = 5;

/// What loading needs to know of a domain.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) store: Store,
    pub(crate) layout: DomainLayout,
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) pool: Pool,
    pub(crate) plan: Plan,
    pub(crate) folder: std::path::PathBuf,
}

/// The local index and the index objects it holds.
pub(crate) struct LoadedIndex {
    pub(crate) index: Arc<LocalIndex>,
    /// What was marked when loading began: not to be relied on by anything new.
    marks: Arc<Marks>,
    seen: tokio::sync::Mutex<HashSet<String>>,
}

impl Loader {
    /// Loads every index object of the domain. Nothing new relies on what is marked for deletion: see `crate::prune`.
    pub(crate) async fn load(&self) -> Result<LoadedIndex> {
        let mut tries = 1;
        loop {
            match self.load_once().await {
                // A prune has replaced it since it was listed.
                Err(Error::Missing { kind: ObjectKind::Index, .. } | Error::Hidden { kind: ObjectKind::Index, .. })
                    if tries < TRIES =>
                {
                    tries += 1;
                }
                loaded => return loaded,
            }
        }
    }

    async fn load_once(&self) -> Result<LoadedIndex> {
        let marks = Marks::read(&self.store, &self.layout, &self.keys).await?;
        if let Err(error) = marks.known() {
            tracing::warn!(%error, "what is stored can be read, and nothing stored anew or deleted");
        }
        let objects = self.store.list_all(&self.layout.indexes()).await?;
        let bytes: u64 = objects.iter().map(|object| object.size).sum();
        let loaded = self.empty(bytes).await?.with_marks(marks);
        let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
        let count = keys.len();
        let packs = PackListing::read(&self.store, &self.layout).await?;
        loaded.add(self, keys, Some(Arc::new(packs))).await?;
        let index = Arc::clone(&loaded.index);
        self.pool.run(move || index.compact()).await?;
        tracing::debug!(objects = count, bytes, "loaded the chunk index");
        Ok(loaded)
    }

    /// An empty index with room for what that many bytes of index objects hold, and for what a session adds: half as much
    /// again, and a million.
    pub(crate) async fn empty(&self, bytes: u64) -> Result<LoadedIndex> {
        let rows = bytes / FIXED_LENGTH as u64;
        let expected = rows + rows / 2 + (1 << 20);
        let (folder, plan) = (self.folder.clone(), self.plan);
        let index = self.pool.run(move || LocalIndex::new(&folder, expected, plan.index_rows, plan.filter)).await?;
        Ok(LoadedIndex { index: Arc::new(index), marks: Arc::default(), seen: tokio::sync::Mutex::default() })
    }
}

impl LoadedIndex {
    pub(crate) fn with_marks(self, marks: Marks) -> Self {
        Self { marks: Arc::new(marks), ..self }
    }

    /// What is marked, for whoever means to add something, or to say that something can be relied on.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Unsupported`] where the prune record could not be read.
    pub(crate) fn marks(&self) -> Result<&Arc<Marks>> {
        self.marks.known().map(|()| &self.marks)
    }

    /// Loads the index objects that have appeared since. `false`: a prune has come between, so that what is loaded here may
    /// name what is gone.
    pub(crate) async fn refresh(&self, loader: &Loader) -> Result<bool> {
        let marks = Marks::read(&loader.store, &loader.layout, &loader.keys).await?;
        if !marks.are_as(&self.marks) {
            return Ok(false);
        }
        let objects = loader.store.list_all(&loader.layout.indexes()).await?;
        match self.add(loader, objects.into_iter().map(|object| object.key).collect(), None).await {
            Err(Error::Missing { kind: ObjectKind::Index, .. } | Error::Hidden { kind: ObjectKind::Index, .. }) => {
                Ok(false)
            }
            added => added.map(|()| true),
        }
    }

    /// Takes note of an index object that this process wrote and added itself.
    pub(crate) async fn note(&self, key: String) {
        self.seen.lock().await.insert(key);
    }

    async fn add(&self, loader: &Loader, keys: Vec<String>, packs: Option<Arc<PackListing>>) -> Result<()> {
        let mut seen = self.seen.lock().await;
        let new: Vec<String> = keys.into_iter().filter(|key| !seen.contains(key)).collect();
        let mut added = stream::iter(new)
            .map(|key| {
                let packs = packs.clone();
                async move {
                    let body = loader.store.get(ObjectKind::Index, &key).await?;
                    let (keys, index) = (Arc::clone(&loader.keys), Arc::clone(&self.index));
                    let marks = Arc::clone(&self.marks);
                    let job = move || {
                        let table = IndexTable::open(&keys, &key, &body)?;
                        index.add(&table, |pack| {
                            if packs.as_ref().is_some_and(|packs| !packs.has(pack)) {
                                Some(Doubt::Missing)
                            } else {
                                marks.has_pack(&pack.id).then_some(Doubt::Marked)
                            }
                        })?;
                        Ok(key)
                    };
                    loader.pool.run(job).await
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some(key) = added.try_next().await? {
            seen.insert(key);
        }
        Ok(())
    }
}
