//! Checking packs: there, of the right length, with a table that opens, and if wanted every chunk of them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Checked;
use super::points::PackSet;
use super::report::{CheckDepth, Reporter};
use crate::codec::DeltaDecoder;
use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::random;
use crate::crypto::seal::{HEADER_LENGTH, SealedKind, read_header};
use crate::error::{Error, ObjectKind, Result};
use crate::fetch::{Answer, Bases, Purpose};
use crate::ids::PackId;
use crate::index::object::PackEntry;
use crate::pack::builder::TRAILER_LENGTH;
use crate::pack::open::PackOpener;
use crate::pack::record::ChunkRecord;
use crate::reader::open_on;

/// Above this many packs the listing is taken in 256 parts, so that memory stays bounded.
const PACKS_AT_ONCE: u32 = 100_000;
/// Packs whose tables are read at once, and packs that are read in full at once.
const TABLES_AT_ONCE: usize = 8;
const FULL_AT_ONCE: usize = 2;
/// Plain bytes that are opened in one go.
const BATCH: usize = 4 << 20;

/// Checks the packs in `wanted`, or all that the index knows.
pub(super) async fn check(
    core: &Checked,
    reporter: &Arc<Reporter>,
    rows: &[u32],
    wanted: Option<PackSet>,
    depth: CheckDepth,
) -> Result<()> {
    let count = core.index().await?.index.pack_count();
    let numbers = || (0..count).filter(|number| wanted.as_ref().is_none_or(|wanted| wanted.contains(*number)));
    let total = numbers().count() as u64;
    reporter.expect_packs(total);
    let sample = match depth {
        CheckDepth::Sampled { percent } => Some(choose(numbers(), total, percent, &random()?)),
        _ => None,
    };
    let task = Task { rows, wanted: wanted.as_ref(), depth, sample };
    if count <= PACKS_AT_ONCE {
        return part(core, reporter, &task, None).await;
    }
    for first in 0..=u8::MAX {
        part(core, reporter, &task, Some(first)).await?;
    }
    Ok(())
}

/// What is to be done with which packs.
struct Task<'a> {
    rows: &'a [u32],
    wanted: Option<&'a PackSet>,
    depth: CheckDepth,
    /// What a sampled check reads in full.
    sample: Option<PackSet>,
}

impl Task<'_> {
    /// Whether every byte of this pack is read.
    fn reads(&self, number: u32) -> bool {
        self.depth == CheckDepth::Full || self.sample.as_ref().is_some_and(|sample| sample.contains(number))
    }
}

/// Chooses so many in a hundred, rounded up, each set of them as likely as any other.
fn choose(numbers: impl Iterator<Item = u32>, total: u64, percent: u32, seed: &[u8; 32]) -> PackSet {
    let mut random = blake3::Hasher::new_keyed(seed).finalize_xof();
    let (mut left, mut missing) = (total, (total * u64::from(percent)).div_ceil(100));
    let mut chosen = PackSet::default();
    for number in numbers {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        if u64::from_le_bytes(bytes) % left.max(1) < missing {
            chosen.insert(number);
            missing -= 1;
        }
        left = left.saturating_sub(1);
    }
    chosen
}

/// Checks the packs whose name starts with `first`, or all.
async fn part(core: &Checked, reporter: &Arc<Reporter>, task: &Task<'_>, first: Option<u8>) -> Result<()> {
    let Task { rows, wanted, depth, .. } = *task;
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
    let bases = Arc::new(Bases::new(Arc::clone(core), Arc::clone(&core.index().await?.index), Purpose::Reading));
    let bases = &bases;
    let at_once = if depth > CheckDepth::Structure { FULL_AT_ONCE } else { TABLES_AT_ONCE };
    stream::iter(present)
        .map(|(number, entry)| async move {
            let expected = rows.get(number as usize).copied().unwrap_or_default();
            let bytes = if task.reads(number) {
                reporter.pack_read();
                full(core, reporter, bases, entry, expected).await
            } else {
                table(core, entry, expected).await
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

/// Reads the whole pack and every chunk in it, those that are deltas with their bases.
async fn full(
    core: &Checked,
    reporter: &Arc<Reporter>,
    bases: &Arc<Bases>,
    entry: PackEntry,
    expected: u32,
) -> Result<u64> {
    let object = core.layout.pack(&entry.id);
    let body = core.store.get(ObjectKind::Pack, &object).await?;
    let opener = opener(core, &object, &body, &entry)?;
    let trailer = body.get(body.len().saturating_sub(TRAILER_LENGTH)..).unwrap_or_default();
    let (range, count) = opener.table_range(body.len() as u64, trailer)?;
    let records = opener.table(&body[range.start as usize..range.end as usize], count)?;
    let opener = Arc::new(opener);
    let mut damaged = false;
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch(rest));
        rest = later;
        let asked = bases.ask(now.iter().filter_map(|record| Some((record.base?, record.plain))));
        let mut answers = Vec::with_capacity(asked.len());
        for asked in asked {
            answers.push(asked.answer().await);
        }
        let (now, body, opener) = (now.to_vec(), body.clone(), Arc::clone(&opener));
        let (keys, reporter) = (Arc::clone(&core.keys), Arc::clone(reporter));
        damaged |= core.pool.run(move || open_all(&opener, &keys, &reporter, &body, &now, answers)).await?;
    }
    agree(&object, expected, count)?;
    let hashing = body.clone();
    let intact = damaged || core.pool.run(move || Ok(blake3::hash(&hashing).as_bytes() == &entry.id.0)).await?;
    if intact {
        Ok(body.len() as u64)
    } else {
        Err(Error::damaged(ObjectKind::Pack, &object, "its content does not match its name"))
    }
}

/// How many chunks to open in one go, by what they and their bases take in memory.
fn batch(records: &[ChunkRecord]) -> usize {
    let mut plain = 0;
    let fits = records.iter().take_while(|record| {
        plain += record.plain as usize;
        plain <= BATCH
    });
    fits.count().max(1)
}

/// Opens chunks. Says whether one is damaged.
fn open_all(
    opener: &PackOpener,
    keys: &DomainKeys,
    reporter: &Reporter,
    body: &Bytes,
    records: &[ChunkRecord],
    answers: Vec<Answer>,
) -> Result<bool> {
    let (mut plain, mut damaged) = (Vec::new(), false);
    let mut answers = answers.into_iter();
    for record in records {
        plain.clear();
        let base = match record.base.and_then(|base| Some((base, answers.next()?))) {
            Some((_, Ok(found))) => Ok(Some(found.base)),
            Some((base, Err(cause))) => Err(Error::BaseUnreadable { chunk: record.id, base, cause }),
            None => Ok(None),
        };
        let chunk = base.and_then(|base| {
            let mut decoder = DeltaDecoder::default();
            let base = base.as_deref().map(|base| (&mut decoder, base));
            open_on(opener, keys, record, base, opener.slice(body, record)?, &mut plain)
        });
        // A base that cannot be read is no damage of this pack.
        let elsewhere = matches!(chunk, Err(Error::BaseUnreadable { .. }));
        let opened = reporter.take(chunk, "every stream with this chunk is damaged there")?;
        damaged |= opened.is_none() && !elsewhere;
    }
    Ok(damaged)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_and_every_pack_its_turn() {
        for (total, percent, expected) in [(0, 50, 0), (1, 1, 1), (40, 10, 4), (41, 10, 5), (40, 100, 40), (40, 0, 0)] {
            let mut met = PackSet::default();
            for turn in 0..100 {
                let chosen: Vec<u32> = choose(0..total, total.into(), percent, &[turn; 32]).iter().collect();
                assert_eq!(chosen.len(), expected, "{percent} of {total}");
                chosen.into_iter().for_each(|number| met.insert(number));
            }
            assert_eq!(met.iter().count(), if expected == 0 { 0 } else { total as usize });
        }
    }
}
