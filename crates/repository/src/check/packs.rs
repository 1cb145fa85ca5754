//! Checking packs: there, of the right length, with a table that opens, and if wanted every chunk of them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Checked;
use super::points::PackSet;
use super::report::{CheckDepth, Reporter};
use crate::crypto::seal::{HEADER_LENGTH, SealedKind, read_header};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::PackId;
use crate::index::object::PackEntry;
use crate::pack::builder::TRAILER_LENGTH;
use crate::pack::open::PackOpener;

/// Above this many packs the listing is taken in 256 parts, so that memory stays bounded.
const PACKS_AT_ONCE: u32 = 100_000;
/// Packs whose tables are read at once, and packs that are read in full at once.
const TABLES_AT_ONCE: usize = 8;
const FULL_AT_ONCE: usize = 2;

/// Checks the packs in `wanted`, or all that the index knows.
pub(super) async fn check(
    core: &Checked,
    reporter: &Arc<Reporter>,
    rows: &[u32],
    wanted: Option<PackSet>,
    depth: CheckDepth,
) -> Result<()> {
    let count = core.index().await?.index.pack_count();
    let wanted = wanted.as_ref();
    let total = (0..count).filter(|number| wanted.is_none_or(|wanted| wanted.contains(*number))).count();
    reporter.expect_packs(total as u64);
    if count <= PACKS_AT_ONCE {
        return part(core, reporter, rows, wanted, depth, None).await;
    }
    for first in 0..=u8::MAX {
        part(core, reporter, rows, wanted, depth, Some(first)).await?;
    }
    Ok(())
}

/// Checks the packs whose name starts with `first`, or all.
async fn part(
    core: &Checked,
    reporter: &Arc<Reporter>,
    rows: &[u32],
    wanted: Option<&PackSet>,
    depth: CheckDepth,
    first: Option<u8>,
) -> Result<()> {
    let index = Arc::clone(&core.index().await?.index);
    let entries = core.pool.run(move || index.packs(first)).await?;
    let mut expected: HashMap<PackId, (u32, PackEntry)> = entries
        .into_iter()
        .filter(|(number, _)| wanted.is_none_or(|wanted| wanted.contains(*number)))
        .map(|(number, entry)| (entry.id, (number, entry)))
        .collect();
    let mut present = Vec::new();
    let root = core.layout.packs();
    let prefix = first.map_or_else(|| root.clone(), |first| format!("{root}{first:02x}/"));
    let mut after: Option<String> = None;
    loop {
        let (objects, next) = core.store.page(&prefix, after.as_deref()).await?;
        for object in objects {
            let id = object.key[root.len()..].split_once('/').and_then(|(_, name)| name.parse::<PackId>().ok());
            let Some((number, entry)) = id.and_then(|id| expected.remove(&id)) else { continue };
            if object.size == entry.size {
                present.push((number, entry));
            } else {
                let what = format!("it has {} bytes instead of {}", object.size, entry.size);
                reporter.add(&Error::damaged(ObjectKind::Pack, &object.key, what), consequence(rows, number));
                reporter.pack_done(0);
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    for (id, (number, _)) in expected {
        let error = Error::Missing { kind: ObjectKind::Pack, object: core.layout.pack(&id) };
        reporter.add(&error, consequence(rows, number));
        reporter.pack_done(0);
    }
    if depth == CheckDepth::Reachable {
        present.iter().for_each(|_| reporter.pack_done(0));
        return Ok(());
    }
    let at_once = if depth == CheckDepth::Full { FULL_AT_ONCE } else { TABLES_AT_ONCE };
    stream::iter(present)
        .map(|(number, entry)| async move {
            let expected = rows.get(number as usize).copied().unwrap_or_default();
            let bytes = match depth {
                CheckDepth::Full => full(core, reporter, entry, expected).await,
                _ => table(core, entry, expected).await,
            };
            let bytes = reporter.take(bytes, consequence(rows, number))?;
            reporter.pack_done(bytes.unwrap_or_default());
            Ok::<_, Error>(())
        })
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await
}

fn consequence(rows: &[u32], number: u32) -> String {
    let chunks = rows.get(number as usize).map_or_else(|| "chunks".to_owned(), |rows| format!("{rows} chunk(s)"));
    format!("its {chunks}, or those of them that are hit, are lost to every restore point that needs them")
}

/// Reads header and table. Gives the number of bytes read.
async fn table(core: &Checked, entry: PackEntry, expected: u32) -> Result<u64> {
    let object = core.layout.pack(&entry.id);
    let get = |range| core.store.get_range(ObjectKind::Pack, &object, range);
    let header = get(0..(HEADER_LENGTH as u64).min(entry.size)).await?;
    let opener = opener(core, &object, &header, &entry)?;
    let trailer = get(entry.size.saturating_sub(TRAILER_LENGTH as u64)..entry.size).await?;
    let (range, count) = opener.table_range(entry.size, &trailer)?;
    let sealed = get(range).await?;
    let read = (header.len() + trailer.len() + sealed.len()) as u64;
    core.pool.run(move || opener.table(&sealed, count)).await?;
    agree(&object, expected, count)?;
    Ok(read)
}

/// Reads the whole pack and every chunk in it.
async fn full(core: &Checked, reporter: &Arc<Reporter>, entry: PackEntry, expected: u32) -> Result<u64> {
    let object = core.layout.pack(&entry.id);
    let body = core.store.get(ObjectKind::Pack, &object).await?;
    let (core, reporter) = (Arc::clone(core), Arc::clone(reporter));
    let pool = core.pool.clone();
    pool.run(move || {
        let intact = blake3::hash(&body).as_bytes() == &entry.id.0;
        let opener = opener(&core, &object, &body, &entry)?;
        let trailer = body.get(body.len().saturating_sub(TRAILER_LENGTH)..).unwrap_or_default();
        let (range, count) = opener.table_range(body.len() as u64, trailer)?;
        let records = opener.table(&body[range.start as usize..range.end as usize], count)?;
        let mut plain = Vec::new();
        let mut damaged = false;
        for record in &records {
            plain.clear();
            let chunk = opener.slice(&body, record).and_then(|sealed| opener.chunk(record, sealed, &mut plain));
            damaged |= reporter.take(chunk, "every stream with this chunk is damaged there")?.is_none();
        }
        agree(&object, expected, count)?;
        if !intact && !damaged {
            return Err(Error::damaged(ObjectKind::Pack, &object, "its content does not match its name"));
        }
        Ok(body.len() as u64)
    })
    .await
}

fn opener(core: &Checked, object: &str, header: &Bytes, entry: &PackEntry) -> Result<PackOpener> {
    let salt = read_header(SealedKind::Pack, object, header)?;
    if salt != entry.salt {
        return Err(Error::damaged(ObjectKind::Pack, object, "its salt is not the one the index has"));
    }
    PackOpener::new(Arc::clone(&core.keys), salt, object.to_owned())
}

fn agree(object: &str, expected: u32, count: u32) -> Result<()> {
    if expected == count {
        Ok(())
    } else {
        Err(Error::damaged(ObjectKind::Pack, object, format!("it has {count} chunks, the index says {expected}")))
    }
}
