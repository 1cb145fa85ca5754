//! How long S3 keeps what nothing needs any more.

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::plan::{ListFacts, PackFacts};
use crate::domain::Core;
use crate::error::{ObjectKind, Result};

/// Locks that are looked at at once.
const AT_ONCE: usize = 64;

/// Looks at the locks of packs and list pages that nothing needs, where the repository is immutable.
pub(super) async fn look(core: &Core, packs: &mut [PackFacts], lists: &mut [ListFacts]) -> Result<()> {
    if core.store.lock().is_none() {
        return Ok(());
    }
    let dead = (0..packs.len()).filter(|at| packs[*at].used == 0).collect();
    let keys = |at: usize| core.layout.pack(&packs[at].id);
    for (at, until) in untils(core, ObjectKind::Pack, dead, &keys).await? {
        packs[at].locked = until;
    }
    let dead = (0..lists.len()).filter(|at| !lists[*at].live).collect();
    let keys = |at: usize| core.layout.list(&lists[at].id);
    for (at, until) in untils(core, ObjectKind::List, dead, &keys).await? {
        lists[at].locked = until;
    }
    Ok(())
}

/// Looks at the locks of the objects at these places.
async fn untils(
    core: &Core,
    kind: ObjectKind,
    places: Vec<usize>,
    key: &(impl Fn(usize) -> String + Sync),
) -> Result<Vec<(usize, Option<Timestamp>)>> {
    stream::iter(places)
        .map(|at| async move { Ok((at, until(core, kind, &key(at)).await?)) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn until(core: &Core, kind: ObjectKind, key: &str) -> Result<Option<Timestamp>> {
    match core.store.locked_until(kind, key).await {
        // Another run was faster.
        Err(error) if error.is_absent() => Ok(None),
        until => until,
    }
}
