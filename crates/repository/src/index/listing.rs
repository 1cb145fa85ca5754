//! Which packs the store really has. An index object may name a pack that has been lost since: its chunks are then stored
//! again by the next backup that needs them, and a reader prefers any other place a chunk has. So a lost or cut-off pack
//! heals as far as the data still exists at its source.

use super::object::PackEntry;
use crate::error::Result;
use crate::ids::PackId;
use crate::layout::DomainLayout;
use crate::store::Store;

/// The packs of a domain with their sizes, as eight bytes each: sorted fingerprints. A collision, one in 10^13 for a
/// million packs, would make a lost pack pass for present, as if there were no listing.
#[derive(Debug)]
pub(crate) struct PackListing(Vec<u64>);

fn fingerprint(id: &PackId, size: u64) -> u64 {
    let head = id.0[..8].iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    head ^ size.rotate_left(32)
}

impl PackListing {
    /// Lists the packs. To be called after the index objects have been listed: every pack they name is older.
    pub(crate) async fn read(store: &Store, layout: &DomainLayout) -> Result<Self> {
        let prefix = layout.packs();
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let (objects, next) = store.page(&prefix, after.as_deref()).await?;
            for object in objects {
                let name = object.key[prefix.len()..].split_once('/').and_then(|(_, name)| name.parse::<PackId>().ok());
                found.extend(name.map(|id| fingerprint(&id, object.size)));
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        found.sort_unstable();
        Ok(Self(found))
    }

    /// Whether the pack is there, with its right length.
    pub(crate) fn has(&self, pack: &PackEntry) -> bool {
        self.0.binary_search(&fingerprint(&pack.id, pack.size)).is_ok()
    }
}
