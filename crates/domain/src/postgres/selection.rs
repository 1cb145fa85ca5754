//! A part of a database: some schemas, or some tables. A table comes with what belongs to it (rows, sequences,
//! indexes, constraints, triggers, privileges, partitions) and with what it cannot be created without (types,
//! functions, extensions). It does not bring other tables along: what needs one of those is left out and said.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::Entry;
use super::toc_filter::LeftOut;

/// What to restore of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Whole schemas.
    pub schemas: BTreeSet<String>,
    /// Tables, as schema and name.
    pub tables: BTreeSet<(String, String)>,
}

/// The entries of a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Numbers of the entries.
    pub entries: BTreeSet<i64>,
    /// What belongs to a selected thing and cannot be restored without another table.
    pub left_out: Vec<LeftOut>,
    /// What the archive does not have.
    pub unknown: Vec<String>,
}

/// Kinds that hold rows or show them: never brought along.
const RELATIONS: [&str; 4] = ["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"];

/// Kinds that belong to the relation they need.
const PARTS: [&str; 21] = [
    "TABLE DATA",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "DEFAULT",
    "INDEX",
    "CONSTRAINT",
    "FK CONSTRAINT",
    "CHECK CONSTRAINT",
    "TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
    "STATISTICS",
    "STATISTICS DATA",
    "COMMENT",
    "ACL",
    "SECURITY LABEL",
    "INDEX ATTACH",
    "TABLE ATTACH",
    "MATERIALIZED VIEW DATA",
];

impl Selection {
    /// Whether it is the whole database.
    pub fn is_everything(&self) -> bool {
        self.schemas.is_empty() && self.tables.is_empty()
    }

    /// Finds the entries.
    pub fn of(&self, entries: &[Entry]) -> Selected {
        if self.is_everything() {
            return Selected { entries: entries.iter().map(|entry| entry.id).collect(), ..Selected::default() };
        }
        let graph = Graph::new(entries);
        let mut seeds = self.seeds(entries);
        graph.add_partitions(entries, &mut seeds);
        let mut selected = Selected { unknown: self.unknown(entries), ..Selected::default() };
        let mut chosen = BTreeSet::new();
        let mut queue: Vec<i64> = seeds.iter().copied().collect();
        let mut seen: BTreeSet<i64> = seeds.clone();
        while let Some(id) = queue.pop() {
            let Some(entry) = graph.by_id.get(&id) else { continue };
            match graph.with_needs(id, &seeds) {
                Ok(brought) => {
                    chosen.extend(brought);
                    let parts = graph.needed_by.get(&id).into_iter().flatten().copied();
                    queue.extend(parts.filter(|part| graph.is_part(*part) && seen.insert(*part)));
                }
                Err(lost) => selected.left_out.push(LeftOut {
                    id,
                    what: entry.to_string(),
                    reason: format!("it needs {lost}, which is not among what is restored"),
                }),
            }
        }
        chosen.extend(self.schemas_of(entries, &chosen));
        // Comments and privileges of what was brought along.
        let companions: Vec<_> = entries
            .iter()
            .filter(|entry| matches!(entry.kind.as_str(), "COMMENT" | "ACL" | "SECURITY LABEL"))
            .filter(|entry| !entry.needs.is_empty() && entry.needs.iter().all(|needed| chosen.contains(needed)))
            .map(|entry| entry.id)
            .collect();
        chosen.extend(companions);
        selected.entries = chosen;
        selected.left_out.sort_by_key(|left| left.id);
        selected
    }

    fn seeds(&self, entries: &[Entry]) -> BTreeSet<i64> {
        entries
            .iter()
            .filter(|entry| match &entry.schema {
                Some(schema) if self.schemas.contains(schema) => true,
                Some(schema) => {
                    (RELATIONS.contains(&entry.kind.as_str()) || entry.kind == "SEQUENCE")
                        && self.tables.contains(&(schema.clone(), entry.tag.clone()))
                }
                None => entry.kind == "SCHEMA" && self.schemas.contains(&entry.tag),
            })
            .map(|entry| entry.id)
            .collect()
    }

    fn unknown(&self, entries: &[Entry]) -> Vec<String> {
        let has_schema = |schema: &String| {
            entries
                .iter()
                .any(|entry| entry.schema.as_ref() == Some(schema) || (entry.kind == "SCHEMA" && entry.tag == *schema))
        };
        let has_table = |(schema, name): &(String, String)| {
            entries.iter().any(|entry| {
                entry.schema.as_ref() == Some(schema)
                    && entry.tag == *name
                    && (RELATIONS.contains(&entry.kind.as_str()) || entry.kind == "SEQUENCE")
            })
        };
        let schemas = self.schemas.iter().filter(|schema| !has_schema(schema)).map(|schema| format!("schema {schema}"));
        let tables = self
            .tables
            .iter()
            .filter(|table| !has_table(table))
            .map(|(schema, name)| format!("table {}", super::quote::qualified(schema, name)));
        schemas.chain(tables).collect()
    }

    /// The schemas that chosen entries live in, for which an archive records no dependency.
    fn schemas_of(&self, entries: &[Entry], chosen: &BTreeSet<i64>) -> BTreeSet<i64> {
        let names: BTreeSet<_> = entries
            .iter()
            .filter(|entry| chosen.contains(&entry.id))
            .filter_map(|entry| entry.schema.as_deref())
            .collect();
        entries
            .iter()
            .filter(|entry| entry.kind == "SCHEMA" && names.contains(entry.tag.as_str()))
            .map(|entry| entry.id)
            .collect()
    }
}

struct Graph<'a> {
    by_id: BTreeMap<i64, &'a Entry>,
    needed_by: BTreeMap<i64, Vec<i64>>,
}

impl<'a> Graph<'a> {
    fn new(entries: &'a [Entry]) -> Self {
        let by_id = entries.iter().map(|entry| (entry.id, entry)).collect();
        let mut needed_by: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for entry in entries {
            for &needed in &entry.needs {
                needed_by.entry(needed).or_default().push(entry.id);
            }
        }
        Self { by_id, needed_by }
    }

    fn is_part(&self, id: i64) -> bool {
        self.by_id.get(&id).is_some_and(|entry| PARTS.contains(&entry.kind.as_str()))
    }

    /// A partitioned table comes with its partitions, and theirs.
    fn add_partitions(&self, entries: &[Entry], seeds: &mut BTreeSet<i64>) {
        let attached: Vec<_> = entries
            .iter()
            .filter(|entry| entry.kind == "TABLE ATTACH")
            .filter_map(|attach| {
                let is_child = |id: &&i64| {
                    let child = self.by_id.get(*id);
                    child.is_some_and(|child| child.tag == attach.tag && child.schema == attach.schema)
                };
                let child = *attach.needs.iter().find(is_child)?;
                let parent = *attach.needs.iter().find(|id| **id != child)?;
                Some((parent, child))
            })
            .collect();
        loop {
            let before = seeds.len();
            let more: Vec<_> =
                attached.iter().filter(|(parent, _)| seeds.contains(parent)).map(|(_, child)| *child).collect();
            seeds.extend(more);
            if seeds.len() == before {
                return;
            }
        }
    }

    /// The entry and all it needs, or the relation it would need that is not selected.
    fn with_needs(&self, id: i64, seeds: &BTreeSet<i64>) -> Result<BTreeSet<i64>, String> {
        let mut all = BTreeSet::from([id]);
        let mut queue = vec![id];
        while let Some(next) = queue.pop() {
            let Some(entry) = self.by_id.get(&next) else { continue };
            if RELATIONS.contains(&entry.kind.as_str()) && !seeds.contains(&next) {
                return Err(entry.to_string());
            }
            queue.extend(entry.needs.iter().copied().filter(|needed| all.insert(*needed)));
        }
        all.retain(|id| self.by_id.contains_key(id));
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<Entry> {
        let public = Some("public");
        vec![
            Entry::sample(1, "SCHEMA", None, "app", &[]),
            Entry::sample(2, "TYPE", Some("app"), "mood", &[]),
            Entry::sample(3, "FUNCTION", public, "stamp()", &[]),
            Entry::sample(10, "TABLE", Some("app"), "orders", &[2]),
            Entry::sample(11, "SEQUENCE", Some("app"), "orders_id_seq", &[10]),
            Entry::sample(12, "SEQUENCE OWNED BY", Some("app"), "orders_id_seq", &[11]),
            Entry::sample(13, "DEFAULT", Some("app"), "orders id", &[11, 10]),
            Entry::sample(14, "TABLE DATA", Some("app"), "orders", &[10]),
            Entry::sample(15, "SEQUENCE SET", Some("app"), "orders_id_seq", &[11]),
            Entry::sample(16, "CONSTRAINT", Some("app"), "orders orders_pkey", &[10]),
            Entry::sample(17, "TRIGGER", Some("app"), "orders stamp", &[10, 3]),
            Entry::sample(18, "ACL", Some("app"), "TABLE orders", &[10]),
            Entry::sample(20, "TABLE", public, "customers", &[]),
            Entry::sample(21, "TABLE DATA", public, "customers", &[20]),
            Entry::sample(22, "CONSTRAINT", public, "customers customers_pkey", &[20]),
            Entry::sample(23, "FK CONSTRAINT", Some("app"), "orders orders_customer", &[10, 22, 20]),
            Entry::sample(30, "VIEW", public, "overview", &[10]),
            Entry::sample(40, "TABLE", public, "log", &[]),
            Entry::sample(41, "TABLE", public, "log_2026", &[]),
            Entry::sample(42, "TABLE ATTACH", public, "log_2026", &[40, 41]),
            Entry::sample(43, "TABLE DATA", public, "log_2026", &[41]),
        ]
    }

    fn tables(names: &[(&str, &str)]) -> Selection {
        Selection {
            tables: names.iter().map(|&(schema, name)| (schema.to_owned(), name.to_owned())).collect(),
            ..Selection::default()
        }
    }

    #[test]
    fn a_table_comes_with_its_parts_and_needs_but_no_other_table() {
        let selected = tables(&[("app", "orders")]).of(&archive());
        let expected = [1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18];
        assert_eq!(selected.entries.into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(selected.left_out.len(), 1);
        assert_eq!(selected.left_out[0].id, 23);
        assert!(selected.left_out[0].reason.contains("public.customers"), "{:?}", selected.left_out);
    }

    #[test]
    fn with_both_tables_the_foreign_key_comes_too() {
        let selected = tables(&[("app", "orders"), ("public", "customers")]).of(&archive());
        assert!(selected.entries.contains(&23) && selected.left_out.is_empty());
        assert!(!selected.entries.contains(&30), "a view was not asked for");
    }

    #[test]
    fn a_partitioned_table_comes_with_its_partitions_and_a_partition_without_its_parent() {
        let whole = tables(&[("public", "log")]).of(&archive());
        assert_eq!(whole.entries.into_iter().collect::<Vec<_>>(), [40, 41, 42, 43]);
        let alone = tables(&[("public", "log_2026")]).of(&archive());
        assert_eq!(alone.entries.into_iter().collect::<Vec<_>>(), [41, 43]);
        assert_eq!(alone.left_out[0].id, 42);
    }

    #[test]
    fn a_schema_is_everything_in_it() {
        let selection = Selection { schemas: BTreeSet::from(["app".to_owned()]), ..Selection::default() };
        let selected = selection.of(&archive());
        assert!([1, 2, 3, 10, 14, 17].iter().all(|id| selected.entries.contains(id)));
        assert!(!selected.entries.contains(&20) && selected.left_out[0].id == 23);
    }

    #[test]
    fn what_the_archive_does_not_have_is_named() {
        assert_eq!(tables(&[("app", "nothing")]).of(&archive()).unknown, ["table \"app\".\"nothing\""]);
        assert!(Selection::default().of(&archive()).unknown.is_empty());
    }
}
