//! Locks of what lies outside the domains, and of a domain's key: a point is worth nothing without them.

use haulier_domain::id::DomainId;
use jiff::Timestamp;

use crate::error::{Error, ObjectKind, Result};
use crate::repository::UnlockedRepository;

impl UnlockedRepository {
    /// Keeps `format`, every key object and the domain's key locked at least until then, where the repository is immutable.
    /// Before a point is published that needs them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hold_keys(&self, domain: &DomainId, until: Timestamp) -> Result<()> {
        let repository = self.repository();
        let (store, layout) = (&repository.store, &repository.layout);
        if store.lock().is_none() {
            return Ok(());
        }
        store.hold(ObjectKind::Format, &layout.format(), until).await?;
        store.hold(ObjectKind::DomainKey, &layout.domain(domain).key(), until).await?;
        for key in store.list_all(&layout.keys()).await? {
            match store.hold(ObjectKind::Key, &key.key, until).await {
                // Removed since it was listed.
                Err(Error::Missing { .. } | Error::Hidden { .. }) => {}
                held => {
                    held?;
                }
            }
        }
        Ok(())
    }
}
