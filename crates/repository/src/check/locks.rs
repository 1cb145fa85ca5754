//! What an immutable repository adds to a check: whether locks hold as long as they should, and what delete markers hide.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::Checked;
use super::points::{PackSet, needed_packs};
use super::report::{Finding, Reporter};
use crate::crypto::random;
use crate::error::{Error, ObjectKind, Result};
use crate::lock::hidden::MOST;
use crate::point::PointRoot;

/// Locks that are looked at at once.
const AT_ONCE: usize = 64;
/// Packs whose locks are looked at before a point is published: if one in twenty fell short, this finds one of them in
/// 24 of 25 cases.
const SAMPLE: usize = 64;

/// Looks at the lock of every pack that these points need, and of the points themselves, as long as they should hold.
pub(super) async fn check(core: &Checked, reporter: &Reporter, points: &[PointRoot]) -> Result<()> {
    let Some(lock) = core.store.lock() else { return Ok(()) };
    let now = lock.clock.now();
    for root in points {
        // As long as the longest lock of those that need it.
        let above = points.iter().filter(|other| other.stands_on.as_ref() == Some(&root.point));
        let until = above.chain([root]).filter_map(|point| point.locked_until).max();
        let Some(until) = until.filter(|until| *until > now) else { continue };
        short(core, reporter, ObjectKind::Point, core.layout.point(&root.point), until).await?;
        let packs = needed_packs(core, &root.catalogue).await?;
        each(core, reporter, packs.iter().collect(), until).await?;
    }
    Ok(())
}

/// Looks at the locks of some of these packs: S3 is the one witness that a stolen worker cannot bring to lie.
pub(super) async fn sample(core: &Checked, reporter: &Reporter, packs: &PackSet, until: Timestamp) -> Result<()> {
    if core.store.lock().is_none() {
        return Ok(());
    }
    let numbers: Vec<u32> = packs.iter().collect();
    let drawn = if numbers.len() <= SAMPLE { numbers } else { draw(&numbers)? };
    each(core, reporter, drawn, until).await
}

fn draw(numbers: &[u32]) -> Result<Vec<u32>> {
    let dice: [u8; 4 * SAMPLE] = random()?;
    let drawn = dice.chunks_exact(4).map(|four| {
        let number = four.iter().fold(0_usize, |number, byte| (number << 8) | usize::from(*byte));
        numbers[number % numbers.len()]
    });
    Ok(drawn.collect())
}

async fn each(core: &Checked, reporter: &Reporter, packs: Vec<u32>, until: Timestamp) -> Result<()> {
    let loaded = core.index().await?;
    let index = &loaded.index;
    stream::iter(packs)
        .map(|number| async move {
            let key = core.layout.pack(&index.pack(number)?.id);
            short(core, reporter, ObjectKind::Pack, key, until).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Tells of a lock that ends too early. An object that is not there is told of by whoever looks for it.
async fn short(core: &Checked, reporter: &Reporter, kind: ObjectKind, object: String, until: Timestamp) -> Result<()> {
    let ends = match core.store.retention(kind, &object).await {
        Err(error) if error.is_absent() => return Ok(()),
        retention => retention?.map(|retention| retention.until),
    };
    if ends.is_some_and(|ends| ends >= until) {
        return Ok(());
    }
    let is = ends.map_or_else(|| "is not locked".to_owned(), |ends| format!("is locked until {ends} alone"));
    reporter.put(Finding {
        kind,
        what: format!("the {kind} {object} {is}, and should be until {until}"),
        object,
        consequence: "whoever may delete in the bucket can destroy it, and points that need it, before that".to_owned(),
    });
    Ok(())
}

/// Says of what is missing that it is hidden, where it is; and in a check of the whole domain of everything else that is
/// hidden, too. Index objects are hidden by prunes that replace them: they count only where chunks are missing.
pub(super) async fn tell_hidden(core: &Checked, reporter: &Reporter, whole: bool) -> Result<()> {
    if core.store.lock().is_none() || (!whole && !reporter.has_findings()) {
        return Ok(());
    }
    let root = core.layout.root();
    let found = core.store.hidden(root, MOST).await?;
    let indexes = core.layout.indexes();
    let replaced = found.iter().filter(|hidden| hidden.key.starts_with(&indexes)).count();
    let mut hidden: BTreeMap<String, Timestamp> = found.into_iter().map(|hidden| (hidden.key, hidden.since)).collect();
    reporter.reword(|finding| {
        if let Some(since) = hidden.remove(&finding.object) {
            let Finding { kind, object, .. } = &*finding;
            finding.what = Error::Hidden { kind: *kind, object: object.clone(), since }.to_string();
        } else if finding.object == indexes && replaced > 0 {
            finding.what += &format!("; {replaced} index object(s) are hidden by delete markers");
        }
    });
    for (object, since) in hidden.into_iter().filter(|(key, _)| whole && !key.starts_with(&indexes)) {
        let kind = kind_of(&object[root.len()..]);
        let what = Error::Hidden { kind, object: object.clone(), since }.to_string();
        let consequence = "it is out of sight for every reader, until the marker is removed".to_owned();
        reporter.put(Finding { kind, object, what, consequence });
    }
    Ok(())
}

fn kind_of(name: &str) -> ObjectKind {
    match name.split('/').next().unwrap_or_default() {
        "packs" => ObjectKind::Pack,
        "index" => ObjectKind::Index,
        "lists" => ObjectKind::List,
        "points" => ObjectKind::Point,
        "proofs" => ObjectKind::Proof,
        "prune" => ObjectKind::Prune,
        _ => ObjectKind::DomainKey,
    }
}
