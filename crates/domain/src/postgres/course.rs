//! In which order the rows of a database, its indexes and constraints, and its statistics are restored.
//!
//! A server is kept busy best where nothing waits for what it does not need: an index is built as soon as its own table is
//! filled, while other tables still load, and statistics are gathered wherever a lane has nothing better to do. So the work
//! is cut into items that need others, as `pg_restore --jobs` does, and handed out largest first to as many lanes as there
//! are. What may not begin before all rows are there:
//!
//! - foreign keys, triggers, rules, policies: on a partitioned table they reach into partitions of which the archive says
//!   nothing;
//! - an index that calls a function: the function may look at other tables;
//! - every index, where rows of one table go into another (partitions by hash of an enum).
//!
//! Two items that would wait for each other's locks are not handed out together. Small items share a run of `pg_restore` or
//! one statement, since each costs a connection. Whoever carries the course out asks for the next task whenever a lane is
//! free, and says when it is done.

mod plan;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use plan::{Facts, LargeTable, Relation, RelationKind};

/// Below this weight items are handed out together.
const LIGHT: u64 = 8 << 20;

/// As many light items are always worth one run.
const FEW: usize = 24;

/// More of them in one run would only make its failure harder to read.
const MANY: usize = 400;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Load a data stream: the table's place among the large ones, the stream's place in it.
    Rows(usize, usize),
    /// Load the rows that are in the archive.
    Archive,
    /// Restore this entry, one of those after the rows.
    Entry(i64),
    /// Restore what comes last: privileges, comments, materialised views.
    Closing,
    /// Gather the statistics of a relation, by its place among the relations.
    Analyze(usize),
}

/// Steps that one lane takes one after the other. All are of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The steps; never none.
    pub steps: Vec<Step>,
    items: Vec<usize>,
}

/// How far a course has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Rows are being loaded, and perhaps indexes built.
    Data,
    /// All rows are there.
    Indexes,
    /// Nothing is left but statistics.
    Statistics,
    /// Nothing is left.
    Over,
}

/// What is to be done, and what of it has been.
#[derive(Debug)]
pub struct Course {
    items: Vec<Item>,
    /// Items that need nothing any more, the first to be handed out first.
    ready: BTreeSet<(Rank, Reverse<u64>, usize)>,
    /// Tables in use, and whether for oneself alone.
    held: BTreeMap<i64, Held>,
    lanes: usize,
    /// Items of each stage that are not done.
    open: BTreeMap<Stage, usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    shared: usize,
    alone: bool,
}

/// What goes first whatever it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Others wait for it, and it cannot be shared out.
    First,
    /// The heaviest first.
    ByWeight,
    /// Where nothing else can be done.
    Filler,
}

/// An item; one without a step is a gate, done when what it needs is.
#[derive(Debug)]
struct Item {
    step: Option<Step>,
    rank: Rank,
    weight: u64,
    /// Tables it locks.
    tables: BTreeSet<i64>,
    /// Whether nothing else may be done to them meanwhile.
    alone: bool,
    /// How many items it still needs.
    needs: usize,
    /// Items that need it.
    needed_by: Vec<usize>,
}

impl Course {
    /// What is to be done, on so many lanes.
    pub fn new(facts: &Facts<'_>, lanes: usize) -> Self {
        let items = plan::items(facts);
        let mut course =
            Self { items, ready: BTreeSet::new(), held: BTreeMap::new(), lanes: lanes.max(1), open: BTreeMap::new() };
        for item in &course.items {
            if let Some(step) = item.step {
                *course.open.entry(stage(step)).or_default() += 1;
            }
        }
        let free = course.items.iter().enumerate().filter(|(_, item)| item.needs == 0).map(|(index, _)| index);
        for index in free.collect::<Vec<_>>() {
            course.release(index);
        }
        course
    }

    /// What a free lane should do now; nothing, where everything that is left needs what others are at.
    pub fn next_task(&mut self) -> Option<Task> {
        let first = self.ready.iter().copied().find(|(_, _, index)| self.is_free(*index))?;
        let mut items = vec![first.2];
        if self.is_light(first.2) {
            let most = (self.ready.len() / (2 * self.lanes)).clamp(FEW, MANY);
            let alike = |index: usize| kind(&self.items[index]) == kind(&self.items[first.2]);
            let others = self.ready.iter().map(|(_, _, index)| *index).filter(|index| *index != first.2);
            let fit = others.filter(|index| self.is_light(*index) && alike(*index) && self.is_free(*index));
            items.extend(fit.take(most - 1));
        }
        // In the archive's order, in which `pg_restore` would have done them.
        items.sort_unstable();
        for &index in &items {
            let item = &self.items[index];
            self.ready.remove(&(item.rank, Reverse(item.weight), index));
        }
        self.hold(&items);
        let steps = items.iter().filter_map(|index| self.items[*index].step).collect();
        Some(Task { steps, items })
    }

    /// A task has been done.
    pub fn done(&mut self, task: &Task) {
        self.let_go(&task.items);
        for &index in &task.items {
            if let Some(open) = self.items[index].step.and_then(|step| self.open.get_mut(&stage(step))) {
                *open -= 1;
            }
            self.finish(index);
        }
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        let left = self.open.iter().find(|(_, open)| **open > 0);
        left.map_or(Stage::Over, |(stage, _)| *stage)
    }

    /// What needs this item may come nearer.
    fn finish(&mut self, index: usize) {
        let mut finished = vec![index];
        while let Some(index) = finished.pop() {
            for next in std::mem::take(&mut self.items[index].needed_by) {
                self.items[next].needs -= 1;
                if self.items[next].needs > 0 {
                    continue;
                }
                match self.items[next].step {
                    Some(_) => self.release(next),
                    None => finished.push(next),
                }
            }
        }
    }

    /// An item needs nothing any more.
    fn release(&mut self, index: usize) {
        let item = &self.items[index];
        if item.step.is_none() {
            return self.finish(index);
        }
        self.ready.insert((item.rank, Reverse(item.weight), index));
    }

    fn is_light(&self, index: usize) -> bool {
        let item = &self.items[index];
        item.weight < LIGHT && matches!(item.step, Some(Step::Entry(_) | Step::Analyze(_)))
    }

    fn is_free(&self, index: usize) -> bool {
        let item = &self.items[index];
        item.tables.iter().all(|table| {
            let held = self.held.get(table).copied().unwrap_or_default();
            !held.alone && (!item.alone || held.shared == 0)
        })
    }

    /// A task holds what any of its items does.
    fn hold(&mut self, items: &[usize]) {
        for (table, alone) in self.tables(items) {
            let held = self.held.entry(table).or_default();
            if alone { held.alone = true } else { held.shared += 1 }
        }
    }

    fn let_go(&mut self, items: &[usize]) {
        for (table, alone) in self.tables(items) {
            let Some(held) = self.held.get_mut(&table) else { continue };
            if alone { held.alone = false } else { held.shared -= 1 }
        }
    }

    fn tables(&self, items: &[usize]) -> BTreeMap<i64, bool> {
        let mut tables = BTreeMap::new();
        for item in items.iter().map(|index| &self.items[*index]) {
            for table in &item.tables {
                *tables.entry(*table).or_default() |= item.alone;
            }
        }
        tables
    }
}

fn stage(step: Step) -> Stage {
    match step {
        Step::Rows(..) | Step::Archive => Stage::Data,
        Step::Entry(_) | Step::Closing => Stage::Indexes,
        Step::Analyze(_) => Stage::Statistics,
    }
}

fn kind(item: &Item) -> Option<std::mem::Discriminant<Step>> {
    item.step.as_ref().map(std::mem::discriminant)
}

#[cfg(test)]
mod tests;
