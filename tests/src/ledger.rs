//! What sessions made in the cloud, and what became of it: the coordinator's ledger held against the cloud's own listing.

use std::collections::{BTreeMap, BTreeSet};

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

/// The DB snapshots that belong to restore points.
///
/// # Errors
/// Where the coordinator does not answer with a list.
pub fn snapshots_of_points(haulier: &Haulier) -> Result<BTreeSet<String>> {
    let points = haulier.json(&["point", "list"])?;
    let points = points.as_array().context("the points are no list")?;
    let named = points.iter().filter_map(|point| point["snapshot_id"].as_str());
    Ok(named.filter(|snapshot| !snapshot.is_empty()).map(str::to_owned).collect())
}

/// What the cloud lists after and did not list before, except what is kept on purpose: the snapshots that belong to restore
/// points, and in each VPC the one group that all workers share, with its rules. What is kept is known by its name, not by
/// what the product says of it.
pub fn leftovers(before: &[String], after: &[String], snapshots: &BTreeSet<String>) -> Vec<String> {
    let before: BTreeSet<&String> = before.iter().collect();
    let mut base_groups: BTreeMap<&str, &str> = BTreeMap::new();
    // One that another installation has left is there before.
    for line in after.iter().filter(|line| !before.contains(line)) {
        if let Some((id, vpc)) = base_group(line) {
            base_groups.entry(vpc).or_insert(id);
        }
    }
    let is_kept = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["security_groups", id, _] => base_group(line).is_some_and(|(_, vpc)| base_groups.get(vpc) == Some(&id)),
        ["security_group_rules", group, ..] => base_groups.values().any(|base| *base == group),
        ["snapshots", id] => snapshots.contains(id),
        _ => false,
    };
    after.iter().filter(|line| !before.contains(line) && !is_kept(line)).cloned().collect()
}

/// Id and VPC of a group, where the line is one of a base group: `security_groups sg-1 haulier-0123456789ab-base-vpc-1`.
fn base_group(line: &str) -> Option<(&str, &str)> {
    let (id, name) = line.strip_prefix("security_groups ")?.split_once(' ')?;
    let (installation, vpc) = name.strip_prefix("haulier-")?.split_once("-base-")?;
    (installation.len() == 12 && vpc.starts_with("vpc-")).then_some((id, vpc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_is_new_and_not_kept_on_purpose_is_left_over() {
        let before = lines(&["buckets b", "database_security_groups prod sg-0", "databases prod"]);
        let base = lines(&[
            "security_groups sg-1 haulier-0123456789ab-base-vpc-1",
            "security_group_rules sg-1 egress tcp 443 0.0.0.0/0",
            "security_groups sg-2 haulier-0123456789ab-base-vpc-2",
            "snapshots haulier-1-snapshot",
        ]);
        let left = lines(&[
            "database_security_groups prod sg-3",
            "instances i-9",
            "security_groups sg-3 haulier-0123456789ab-1-database",
            "security_group_rules sg-3 ingress tcp 5432 sg-4",
            "security_groups sg-5 haulier-0123456789ab-base-vpc-1",
            "snapshots haulier-2-snapshot",
        ]);
        let snapshots = BTreeSet::from(["haulier-1-snapshot".to_owned()]);
        let after = [before.clone(), base.clone(), left.clone()].concat();
        assert_eq!(leftovers(&before, &after, &snapshots), left);
        assert_eq!(leftovers(&before, &[before.clone(), base].concat(), &snapshots), [""; 0]);
    }
}
