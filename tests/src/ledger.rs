//! What sessions made in the cloud, and what became of it: the coordinator's ledger held against the cloud's own listing.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::haulier::Haulier;

/// One row of the coordinator's ledger.
#[derive(Debug, Clone)]
pub struct Resource {
    /// What it is.
    pub kind: String,
    /// AWS's id of it, or its name before it has one.
    pub id: String,
    /// What became of it.
    pub state: String,
}

/// Every row of the ledger.
///
/// # Errors
/// Where the coordinator does not answer with a list.
pub fn of(haulier: &Haulier) -> Result<Vec<Resource>> {
    let answer = haulier.json(&["ledger", "list"])?;
    let rows = answer.as_array().or_else(|| answer["entries"].as_array()).context("the ledger is no list")?;
    Ok(rows.iter().map(resource).collect())
}

fn resource(row: &Value) -> Resource {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let id = text("resource_id");
    Resource { kind: text("kind"), id: if id.is_empty() { text("name") } else { id }, state: text("state") }
}

/// What the cloud lists after and did not list before, except what the ledger says is kept on purpose: the snapshots that
/// belong to restore points, and the group that every worker of a VPC shares.
pub fn leftovers(before: &[String], after: &[String], resources: &[Resource]) -> Vec<String> {
    let before: BTreeSet<&String> = before.iter().collect();
    let kept: Vec<&Resource> = resources.iter().filter(|resource| resource.state == "kept").collect();
    let is_kept = |line: &str| kept.iter().any(|resource| line.split_whitespace().any(|word| word == resource.id));
    after.iter().filter(|line| !before.contains(line) && !is_kept(line)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_is_new_and_not_kept_is_left_over() {
        let resources = [("sg-1", "removed"), ("snap-1", "kept")].map(|(id, state)| Resource {
            kind: "any".into(),
            id: id.into(),
            state: state.into(),
        });
        let before = lines(&["buckets b"]);
        let after = lines(&["buckets b", "security_groups sg-1", "db_snapshots snap-1", "instances i-9"]);
        assert_eq!(leftovers(&before, &after, &resources), lines(&["security_groups sg-1", "instances i-9"]));
    }
}
