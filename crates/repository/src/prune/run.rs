//! A run: survey, plan, records, deletion.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::fates::by_time;
use super::log;
use super::plan::{Object, Plan, Terms, plan};
use super::record::{Names, Record};
use super::survey::{Survey, follow, survey};
use super::sweep::{self, bury, outdated, sweep};
use super::walk::{Walk, chunk};
use super::{PruneOptions, PrunePhase, PruneReport, Teller, repack};
use crate::domain::{Core, Domain};
use crate::error::Result;
use crate::ids::{ListId, PackId};

impl Domain {
    /// Deletes what no point needs, as far as that is safe by now, and marks the rest for a later run. May be dropped or
    /// killed at any time. Needs a store that may delete.
    ///
    /// `progress` is told the phase, how much of it is done, and of how much.
    ///
    /// # Errors
    /// Where a point or the index cannot be read: nothing is deleted then. [`crate::Error::PruneOverlap`] where another run came
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
    let going: HashSet<u32> = plan.condemn.iter().chain(&plan.finish).filter_map(|object| object.pack()).collect();
    let outdated = outdated(&survey.indexes, |pack| going.contains(&pack), core.plan.index_object_rows);
    let report = |plan: &Plan| PruneReport {
        dry_run,
        points: survey.points.len() as u64,
        figures: plan.figures,
        index_objects: outdated.len() as u64,
        chunks_missing: survey.homeless,
    };
    if dry_run {
        return Ok(report(&plan));
    }
    if plan.is_empty() && outdated.is_empty() && survey.replaced.is_empty() {
        bury(core, &survey).await?;
        return Ok(report(&plan));
    }
    let unreadable = repack::repack(core, &survey, &plan.repack, tell).await?;
    plan.leave(&unreadable, &survey.packs);
    let next = stored.map_or(1, |stored| stored.record.number + 1);
    let settled = settle(core, &survey, &plan, &outdated, &Numbered { next, now }).await?;
    sweep(core, &settled, tell).await?;
    bury(core, &survey).await?;
    tracing::info!(domain = %core.domain, figures = ?plan.figures, "pruned");
    Ok(report(&plan))
}

/// The number of the next record, and the time.
struct Numbered {
    next: u64,
    now: Timestamp,
}

/// Makes known what is to go, looks whether a point has come to need it, and settles the rest. Gives the record that does.
async fn settle(
    core: &Arc<Core>,
    survey: &Survey,
    plan: &Plan,
    outdated: &[usize],
    Numbered { next, now }: &Numbered,
) -> Result<Record> {
    let marks = plan.waiting.iter().copied().chain(plan.mark.iter().map(|object| (*now, *object))).collect();
    let marked = by_time(marks, |names, object| survey.name(names, object));
    let named = |objects: &[Object]| {
        let mut names = Names::default();
        objects.iter().for_each(|object| survey.name(&mut names, *object));
        names
    };
    let (finish, mut condemned) = (named(&plan.finish), named(&plan.condemn));
    let mut number = *next;
    if !condemned.is_empty() {
        let going_on = (finish.clone(), survey.replaced.clone());
        let record = Record::new(number, *now, marked.clone(), going_on, condemned.clone());
        log::append(core, &record).await?;
        let needed = needed_since(core, survey, &condemned).await?;
        condemned = condemned.without(&needed);
        number += 1;
    }
    let gone = finish.and(condemned);
    // Whatever becomes of this run, they stay: another one may have seen them, and replaced others because of what they say.
    // What they name in vain, should that one have deleted it, the next run takes out of them.
    sweep::replace(core, survey, outdated, &gone).await?;
    let outdated = outdated.iter().map(|at| survey.indexes[*at].id);
    let replaced = survey.replaced.iter().copied().chain(outdated).collect();
    let record = Record::new(number, *now, marked, (gone, replaced), Names::default());
    log::append(core, &record).await?;
    Ok(record)
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
    for point in domain.list_points().await? {
        if survey.points.binary_search(&point).is_err() {
            new += usize::from(follow(&domain, &mut walk, &point.0).await?);
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
