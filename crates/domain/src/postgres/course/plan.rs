//! From an archive's entries and the tables' streams to items and what they need.

use std::collections::{BTreeMap, BTreeSet};

use super::super::archive::Entry;
use super::{Item, Rank, Step};

/// What there is to restore once the structure is there.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// All entries of the archive, in its order.
    pub entries: &'a [Entry],
    /// Numbers of those that are restored one by one after the rows: indexes, constraints, triggers.
    pub after_rows: &'a BTreeSet<i64>,
    /// Tables with data streams of their own.
    pub tables: &'a [LargeTable],
    /// Bytes of the archive, where rows are restored from it.
    pub archive: Option<u64>,
    /// Relations that statistics are gathered of.
    pub relations: &'a [Relation],
}

/// A table with data streams of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeTable {
    /// Schema and name.
    pub name: (String, String),
    /// Bytes of each stream.
    pub streams: Vec<u64>,
    /// Whether its rows go into another table, to find their partition.
    pub elsewhere: bool,
}

/// A relation of the restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Schema and name.
    pub name: (String, String),
    /// What it is.
    pub kind: RelationKind,
}

/// What a relation is, as far as statistics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationKind {
    /// A table; with those of its partitions, theirs included, which are done along with it.
    Table(Vec<(String, String)>),
    /// A materialised view, filled at the end.
    View,
    /// A table whose statistics tell of more than its own rows: one that others inherit from, or one of the system catalogue.
    Late,
}

/// Kinds that need their own table's rows alone.
const EARLY: [&str; 3] = ["INDEX", "CONSTRAINT", "STATISTICS"];

/// Kinds that may be at work beside others of them on one table.
const SHARING: [&str; 2] = ["INDEX", "STATISTICS"];

struct Plan<'a> {
    facts: &'a Facts<'a>,
    by_number: BTreeMap<i64, &'a Entry>,
    table_numbers: BTreeMap<(&'a str, &'a str), i64>,
    large: BTreeMap<i64, usize>,
    items: Vec<Item>,
    entry_items: BTreeMap<i64, usize>,
    /// Indexes, constraints and objects of statistics, by the table they are on.
    on_table: BTreeMap<i64, Vec<usize>>,
    rows: Vec<Vec<usize>>,
    archive: Option<usize>,
}

/// The items of all there is to do.
pub(super) fn items(facts: &Facts<'_>) -> Vec<Item> {
    let is_table = |entry: &&Entry| entry.kind == "TABLE";
    let mut plan = Plan {
        facts,
        by_number: facts.entries.iter().map(|entry| (entry.id, entry)).collect(),
        table_numbers: facts.entries.iter().filter(is_table).map(|entry| (name_of(entry), entry.id)).collect(),
        large: BTreeMap::new(),
        items: Vec::new(),
        entry_items: BTreeMap::new(),
        on_table: BTreeMap::new(),
        rows: Vec::new(),
        archive: None,
    };
    let all_rows = plan.rows();
    let all_entries = plan.entries(all_rows);
    let closing = plan.add(Some(Step::Closing), Rank::First, 0, &[all_entries]);
    plan.statistics(all_entries, closing);
    plan.items
}

impl<'a> Plan<'a> {
    fn add(&mut self, step: Option<Step>, rank: Rank, weight: u64, needs: &[usize]) -> usize {
        let index = self.items.len();
        let needs: BTreeSet<usize> = needs.iter().copied().collect();
        for need in &needs {
            self.items[*need].needed_by.push(index);
        }
        let tables = BTreeSet::new();
        let item = Item { step, rank, weight, tables, alone: false, needs: needs.len(), needed_by: Vec::new() };
        self.items.push(item);
        index
    }

    /// Streams and archive. Answers the gate behind all of them.
    fn rows(&mut self) -> usize {
        for (place, table) in self.facts.tables.iter().enumerate() {
            if let Some(number) = self.table_number(&table.name) {
                self.large.insert(number, place);
            }
            // A table whose streams run together is filled early, and its indexes can begin.
            let weight = table.streams.iter().sum();
            let streams = 0..table.streams.len();
            let items = streams.map(|stream| self.add(Some(Step::Rows(place, stream)), Rank::ByWeight, weight, &[]));
            let items = items.collect();
            self.rows.push(items);
        }
        self.archive = self.facts.archive.map(|bytes| self.add(Some(Step::Archive), Rank::ByWeight, bytes, &[]));
        let all: Vec<usize> = self.rows.iter().flatten().copied().chain(self.archive).collect();
        self.add(None, Rank::First, 0, &all)
    }

    /// Entries, each with what it needs of rows and of other entries. Answers the gate behind all of them.
    fn entries(&mut self, all_rows: usize) -> usize {
        let rows_wander = self.facts.tables.iter().any(|table| table.elsewhere);
        let mut gate = vec![all_rows];
        for entry in self.facts.entries.iter().filter(|entry| self.facts.after_rows.contains(&entry.id)) {
            let tables = self.tables_of(entry);
            let is_early = !rows_wander && self.is_early(entry);
            let mut needs = if is_early { self.rows_of(&tables) } else { vec![all_rows] };
            // What stands later in the archive cannot be needed: no circle.
            needs.extend(entry.needs.iter().filter_map(|number| self.entry_items.get(number)));
            let weight = tables.iter().map(|table| self.weight(*table)).max().unwrap_or_default();
            let index = self.add(Some(Step::Entry(entry.id)), Rank::ByWeight, weight, &needs);
            if EARLY.contains(&entry.kind.as_str()) {
                for table in &tables {
                    self.on_table.entry(*table).or_default().push(index);
                }
            }
            let item = &mut self.items[index];
            item.alone = !SHARING.contains(&entry.kind.as_str()) || entry.alters;
            item.tables = tables;
            self.entry_items.insert(entry.id, index);
            gate.push(index);
        }
        self.add(None, Rank::First, 0, &gate)
    }

    /// Statistics of tables once nothing of what they depend on is to come, of those that tell of more than their own rows
    /// once everything is full, of materialised views at the very end.
    fn statistics(&mut self, all_entries: usize, closing: usize) {
        for (place, relation) in self.facts.relations.iter().enumerate() {
            let step = Some(Step::Analyze(place));
            let RelationKind::Table(partitions) = &relation.kind else {
                let need = if relation.kind == RelationKind::View { closing } else { all_entries };
                self.add(step, Rank::Filler, 0, &[need]);
                continue;
            };
            let names = partitions.iter().chain([&relation.name]);
            let tables: BTreeSet<i64> = names.filter_map(|name| self.table_number(name)).collect();
            let weight = tables.iter().map(|table| self.weight(*table)).sum();
            let mut needs = self.rows_of(&tables);
            needs.extend(tables.iter().filter_map(|table| self.on_table.get(table)).flatten());
            let index = self.add(step, Rank::Filler, weight, &needs);
            self.items[index].tables = tables;
            self.items[index].alone = true;
        }
    }

    /// An entry that needs the rows of its own table and nothing else of the database's rows.
    fn is_early(&self, entry: &Entry) -> bool {
        let needed = || entry.needs.iter().filter_map(|number| self.by_number.get(number));
        EARLY.contains(&entry.kind.as_str())
            && needed().any(|needed| needed.kind == "TABLE")
            && !needed().any(|needed| matches!(needed.kind.as_str(), "FUNCTION" | "AGGREGATE" | "OPERATOR"))
    }

    /// Tables that an entry is on: those it needs, and those of the indexes it needs.
    fn tables_of(&self, entry: &Entry) -> BTreeSet<i64> {
        let needed = |entry: &Entry| -> Vec<&'a Entry> {
            entry.needs.iter().filter_map(|number| self.by_number.get(number).copied()).collect()
        };
        let direct = needed(entry);
        let parts = direct.iter().filter(|needed| matches!(needed.kind.as_str(), "INDEX" | "CONSTRAINT"));
        let indirect: Vec<_> = parts.flat_map(|part| needed(part)).collect();
        direct.iter().chain(&indirect).filter(|needed| needed.kind == "TABLE").map(|table| table.id).collect()
    }

    /// Items that fill these tables. Rows of a small one are in the archive.
    fn rows_of(&self, tables: &BTreeSet<i64>) -> Vec<usize> {
        let of_table = |table: &i64| match self.large.get(table) {
            Some(place) => self.rows[*place].clone(),
            None => self.archive.into_iter().collect(),
        };
        if tables.is_empty() { self.archive.into_iter().collect() } else { tables.iter().flat_map(of_table).collect() }
    }

    fn weight(&self, table: i64) -> u64 {
        self.large.get(&table).map_or(0, |place| self.facts.tables[*place].streams.iter().sum())
    }

    fn table_number(&self, (schema, name): &(String, String)) -> Option<i64> {
        self.table_numbers.get(&(schema.as_str(), name.as_str())).copied()
    }
}

fn name_of(entry: &Entry) -> (&str, &str) {
    (entry.schema.as_deref().unwrap_or_default(), entry.tag.as_str())
}
