//! A run: survey, plan, record, deletion.

use std::collections::HashSet;
use std::sync::Arc;

use super::fates::by_time;
use super::log::{self, Stored};
use super::plan::{Object, Plan, Terms, plan};
use super::record::{Names, Record};
use super::survey::{Survey, survey};
use super::sweep::{outdated, sweep};
use super::walk::{Walk, chunk};
use super::{PruneOptions, PrunePhase, PruneReport, Teller, repack};
use crate::domain::{Core, Domain};
use crate::error::{Error, Result};
use crate::ids::{ListId, PackId};

impl Domain {
    /// Deletes what no point needs, as far as that is safe by now, and marks the rest for a later run. May be dropped or
    /// killed at any time. Needs a store that may delete.
    ///
    /// `progress` is told the phase, how much of it is done, and of how much.
    ///
    /// # Errors
    /// Where a point or the index cannot be read: nothing is deleted then. [`Error::PruneOverlap`] where another run came
    /// between.
    pub async fn prune(
        &self,
        options: &PruneOptions,
        progress: impl Fn(PrunePhase, u64, u64) + Send + Sync,
    ) -> Result<PruneReport> {
        prune(&self.core, options, &progress).await
    }
}

async fn prune(core: &Arc<Core>, options: &PruneOptions, tell: &Teller<'_>) -> Result<PruneReport> {
    let stored = log::newest(&core.store, &core.layout, &core.keys).await?;
    core.fresh_index().await?;
    let survey = survey(core, stored.as_ref(), tell).await?;
    let PruneOptions { now, grace, oldest_session, dry_run } = *options;
    let mut plan = plan(&survey.packs, &survey.lists, &Terms { now, grace, oldest_session });
    let condemned: HashSet<u32> = plan.condemn.iter().filter_map(|object| object.pack()).collect();
    let outdated = outdated(&survey.indexes, |pack| condemned.contains(&pack), core.plan.index_object_rows);
    let report = |plan: &Plan| PruneReport {
        dry_run,
        points: survey.points.len() as u64,
        figures: plan.figures,
        index_objects: outdated.len() as u64,
        chunks_missing: survey.homeless,
    };
    if dry_run || (plan.is_empty() && outdated.is_empty()) {
        return Ok(report(&plan));
    }
    let unreadable = repack::repack(core, &survey, &plan.repack, tell).await?;
    plan.leave(&unreadable, &survey.packs);
    let record = record(&survey, &plan, stored.as_ref(), options);
    log::append(core, &record).await?;
    let condemned = look_again(core, &survey, record).await?;
    sweep(core, &survey, &outdated, &condemned, tell).await?;
    tracing::info!(domain = %core.domain, figures = ?plan.figures, "pruned");
    Ok(report(&plan))
}

/// The record of what the plan decides.
fn record(survey: &Survey, plan: &Plan, stored: Option<&Stored>, options: &PruneOptions) -> Record {
    let number = stored.map_or(0, |stored| stored.record.number) + 1;
    let marks = plan.waiting.iter().copied().chain(plan.mark.iter().map(|object| (options.now, *object))).collect();
    let add = |names: &mut Names, object| match object {
        Object::Pack(number) => names.packs.push(survey.packs[number as usize].id),
        Object::List(number) => names.lists.push(survey.lists[number as usize].id),
    };
    let marked = by_time(marks, add);
    let mut condemned = Names::default();
    plan.condemn.iter().for_each(|object| add(&mut condemned, *object));
    Record::new(number, options.now, marked, condemned)
}

/// What may be deleted, now that the record is there for everybody to see: points that were published since the survey keep
/// what they need.
async fn look_again(core: &Arc<Core>, survey: &Survey, record: Record) -> Result<Names> {
    let needed = needed_since(core, survey, &record.condemned).await?;
    if needed.is_empty() {
        return Ok(record.condemned);
    }
    let mut condemned = record.condemned;
    condemned.packs.retain(|id| !needed.packs.contains(id));
    condemned.lists.retain(|id| !needed.lists.contains(id));
    let next = Record::new(record.number + 1, record.written, record.marked, condemned);
    log::append(core, &next).await?;
    Ok(next.condemned)
}

/// What of the condemned is needed by points that the survey has not seen.
async fn needed_since(core: &Arc<Core>, survey: &Survey, condemned: &Names) -> Result<Names> {
    let mut needed = Names::default();
    if condemned.is_empty() {
        return Ok(needed);
    }
    let domain = Domain { core: Arc::clone(core) };
    let mut walk = Walk::new(core, core.plan.filter / 4);
    let mut new = 0;
    for (id, _) in domain.list_points().await? {
        if survey.points.binary_search(&id).is_ok() {
            continue;
        }
        new += 1;
        if let Err(error) = walk.point(&id).await {
            match domain.read_point(&id).await {
                // Taken back by whoever published it.
                Err(Error::Missing { .. }) => {}
                _ => return Err(error),
            }
        }
    }
    if new == 0 {
        return Ok(needed);
    }
    let needs = walk.finish().await?;
    needed.lists = condemned.lists.iter().copied().filter(|id: &ListId| needs.page(id)).collect();
    let packs: HashSet<PackId> = condemned.packs.iter().copied().collect();
    let index = Arc::clone(&core.fresh_index().await?.index);
    let look_up = move || {
        let mut found = HashSet::new();
        for record in needs.ids.iter() {
            let record = record.map_err(|source| index.failed(source))?;
            let Some(located) = index.find(&chunk(record))? else { continue };
            found.insert(index.pack(located.pack)?.id);
            if let Some(base) = located.record.base
                && let Some(base) = index.find(&base)?
            {
                found.insert(index.pack(base.pack)?.id);
            }
        }
        Ok(packs.intersection(&found).copied().collect())
    };
    needed.packs = core.pool.run(look_up).await?;
    Ok(needed)
}
