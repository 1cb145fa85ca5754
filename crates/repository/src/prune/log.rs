//! The prune log: numbered records, of which the newest alone counts. A run builds on the newest and creates the next
//! number, so of two runs at once one finds its number taken and stops before it has deleted anything.

use jiff::Timestamp;

use super::record::Record;
use crate::crypto::domain_keys::DomainKeys;
use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::layout::DomainLayout;
use crate::store::Store;

/// How often reading is begun anew because the record was replaced meanwhile.
const TRIES: usize = 5;

/// A record, and when the store took it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    pub(crate) modified: Timestamp,
}

/// The newest record.
pub(crate) async fn newest(store: &Store, layout: &DomainLayout, keys: &DomainKeys) -> Result<Option<Stored>> {
    let mut tries = 1;
    loop {
        let Some((number, key, modified)) = numbers(store, layout).await?.pop() else { return Ok(None) };
        match store.get(ObjectKind::Prune, &key).await {
            Ok(body) => return Ok(Some(Stored { record: Record::open(keys, number, &key, &body)?, modified })),
            Err(Error::Missing { .. }) if tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The number of the newest record.
pub(crate) async fn newest_number(store: &Store, layout: &DomainLayout) -> Result<Option<u64>> {
    Ok(numbers(store, layout).await?.pop().map(|(number, _, _)| number))
}

/// All records in order of their numbers.
async fn numbers(store: &Store, layout: &DomainLayout) -> Result<Vec<(u64, String, Timestamp)>> {
    let prefix = layout.prunes();
    let objects = store.list_all(&prefix).await?;
    objects
        .into_iter()
        .map(|object| match object.key[prefix.len()..].parse() {
            Ok(number) => Ok((number, object.key, object.modified)),
            Err(_) => Err(Error::damaged(ObjectKind::Prune, &object.key, "it has a strange name")),
        })
        .collect()
}

/// That another run has come between.
pub(super) fn overlap(core: &Core) -> Error {
    Error::PruneOverlap { domain: core.domain.clone() }
}

/// Adds the record, if it is the next one. Older ones are removed: the newest is whole. [`Error::PruneOverlap`]: another run's
/// record has the number, or a later one is there, whose writer may or may not have seen this one.
pub(super) async fn append(core: &Core, record: &Record) -> Result<()> {
    let key = core.layout.prune(record.number);
    let body = record.seal(&core.keys)?;
    if !core.store.put_loose(&key, body).await? {
        // By another run, or by this very call, if its answer was lost and the store's client repeated it.
        let stored = match core.store.get(ObjectKind::Prune, &key).await {
            Err(Error::Missing { .. }) => return Err(overlap(core)),
            stored => stored?,
        };
        if Record::open(&core.keys, record.number, &key, &stored)? != *record {
            return Err(overlap(core));
        }
    }
    let mut records = numbers(&core.store, &core.layout).await?;
    if records.pop().is_none_or(|(newest, _, _)| newest != record.number) {
        // The number was taken once and has been removed as an old one: this run slept through another.
        core.store.delete(&key).await?;
        return Err(overlap(core));
    }
    for (_, key, _) in records {
        core.store.delete(&key).await?;
    }
    Ok(())
}
