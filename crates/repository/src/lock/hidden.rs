//! What delete markers hide, and how it comes back.

use std::sync::Arc;

use haulier_cloud::object_lock::Hidden;
use haulier_cloud::object_store::ObjectStore;

use crate::domain::Domain;
use crate::error::Result;
use crate::layout::Layout;
use crate::repository::Repository;
use crate::store::Store;

/// Hidden objects of which is told; more of them tell nothing new.
pub(crate) const MOST: usize = 1_000;

/// What to bring back into sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelete {
    /// Index objects and keys, too, which Haulier hides itself when they are replaced or removed.
    pub all: bool,
    /// Only tell.
    pub dry_run: bool,
}

/// Brings back into sight what delete markers hide under this prefix, whether or not a repository can be opened there, and
/// tells it. Needs a store that may delete versions: it removes the markers, and nothing else.
///
/// # Errors
/// Those of the store. Repeating it goes on with what is left.
pub async fn undelete(bucket: Arc<dyn ObjectStore>, prefix: &str, options: Undelete) -> Result<Vec<Hidden>> {
    let layout = Layout::new(prefix);
    let store = Store::new(bucket);
    let (keys, domains) = (layout.keys(), layout.domains());
    let is_own = |key: &str| {
        let in_domain = key.strip_prefix(&domains).and_then(|rest| rest.split_once('/'));
        key.starts_with(&keys) || in_domain.is_some_and(|(_, name)| name.starts_with("index/"))
    };
    let mut hidden = store.hidden(&layout.root(), usize::MAX).await?;
    hidden.retain(|hidden| options.all || !is_own(&hidden.key));
    if !options.dry_run {
        for hidden in &hidden {
            store.reveal(&hidden.key).await?;
        }
    }
    Ok(hidden)
}

impl Domain {
    /// Objects of the domain that delete markers hide, up to 1,000. In an immutable repository, index objects
    /// that prunes have replaced are among them; anything else has been hidden by somebody else.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hidden(&self) -> Result<Vec<Hidden>> {
        self.core.store.hidden(self.core.layout.root(), MOST).await
    }
}

impl Repository {
    /// Objects of the whole repository that delete markers hide, up to 1,000.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hidden(&self) -> Result<Vec<Hidden>> {
        self.store.hidden(&self.layout.root(), MOST).await
    }
}
