//! DescribeDBInstances and DescribeDBSnapshots, a page at a time.

use std::sync::Arc;

use super::render;
use crate::front::context::Context;
use crate::front::decisions::databases::DbInstance;
use crate::front::decisions::filters::Filters;
use crate::front::decisions::snapshots::Snapshot;
use crate::front::wire::{Answer, AwsError, Params};

/// DescribeDBInstances.
pub(super) fn instances(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let filters = Filters::new(params.filters());
    context.read(|world| {
        let mut found: Vec<&DbInstance> = Vec::new();
        match params.get("DBInstanceIdentifier").filter(|id| !id.is_empty()) {
            Some(id) => found.push(world.databases.get(id.rsplit(':').next().unwrap_or(id))?),
            None => {
                for instance in world.databases.iter() {
                    if filters.pass(&instance.tags, |name| instance_values(instance, name))? {
                        found.push(instance);
                    }
                }
            }
        }
        let (found, marker) = page(found, params, |instance| &instance.id)?;
        let groups = &world.option_groups;
        Ok(Answer::query("rds", "DescribeDBInstances", |xml| {
            xml.optional("Marker", marker);
            xml.list("DBInstances", "DBInstance", found, |xml, instance| {
                render::instance_in(xml, context, groups, instance);
            });
        }))
    })
}

/// DescribeDBSnapshots. There are manual ones only.
pub(super) fn snapshots(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let filters = Filters::new(params.filters());
    let manual = params.get("SnapshotType").is_none_or(|kind| kind == "manual");
    let of_instance = params.get("DBInstanceIdentifier").filter(|id| !id.is_empty());
    context.read(|world| {
        let mut found: Vec<&Snapshot> = Vec::new();
        let asked = params.get("DBSnapshotIdentifier").filter(|id| !id.is_empty());
        if let Some(id) = asked {
            found.push(world.snapshots.get(id.rsplit(':').next().unwrap_or(id))?);
        } else {
            found.extend(world.snapshots.iter());
        }
        let mut kept = Vec::new();
        for snapshot in found {
            let matches = manual && of_instance.is_none_or(|id| id.eq_ignore_ascii_case(&snapshot.instance_id));
            if matches && filters.pass(&snapshot.tags, |name| snapshot_values(snapshot, name))? {
                kept.push(snapshot);
            }
        }
        let (kept, marker) = page(kept, params, |snapshot| &snapshot.id)?;
        Ok(Answer::query("rds", "DescribeDBSnapshots", |xml| {
            xml.optional("Marker", marker);
            xml.list("DBSnapshots", "DBSnapshot", kept, |xml, snapshot| render::snapshot(xml, context, snapshot));
        }))
    })
}

fn instance_values(instance: &DbInstance, filter: &str) -> Option<Vec<String>> {
    match filter {
        "db-instance-id" => Some(vec![instance.id.clone()]),
        "dbi-resource-id" => Some(vec![instance.resource_id.clone()]),
        "engine" => Some(vec![instance.settings.engine.name().to_owned()]),
        "db-cluster-id" | "domain" => Some(Vec::new()),
        _ => None,
    }
}

fn snapshot_values(snapshot: &Snapshot, filter: &str) -> Option<Vec<String>> {
    match filter {
        "db-instance-id" => Some(vec![snapshot.instance_id.clone()]),
        "db-snapshot-id" => Some(vec![snapshot.id.clone()]),
        "dbi-resource-id" => Some(vec![snapshot.resource_id.clone()]),
        "snapshot-type" => Some(vec!["manual".to_owned()]),
        "engine" => Some(vec![snapshot.settings.engine.name().to_owned()]),
        _ => None,
    }
}

/// `MaxRecords` (20 to 100) and `Marker`, which names the last one answered; items come sorted by their key.
fn page<'a, T>(
    items: Vec<&'a T>,
    params: &Params,
    key: impl Fn(&T) -> &str,
) -> Result<(Vec<&'a T>, Option<String>), AwsError> {
    let most: usize = params.parsed("MaxRecords")?.unwrap_or(100);
    if !(20..=100).contains(&most) {
        let text = format!("Invalid value {most} for MaxRecords. Must be between 20 and 100");
        return Err(AwsError::new("InvalidParameterValue", text));
    }
    let after = params.get("Marker").filter(|marker| !marker.is_empty());
    let rest: Vec<&T> = items.into_iter().filter(|item| after.is_none_or(|after| key(item) > after)).collect();
    let more = rest.len() > most;
    let page: Vec<&T> = rest.into_iter().take(most).collect();
    let marker = page.last().filter(|_| more).map(|item| key(item).to_owned());
    Ok((page, marker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_on_one_page() {
        let names: Vec<String> = (0..45).map(|number| format!("db-{number:02}")).collect();
        let mut seen = Vec::new();
        let mut marker = String::new();
        loop {
            let params = Params::from([("MaxRecords", "20"), ("Marker", &marker)]);
            let (found, next) = page(names.iter().collect(), &params, |name| name).unwrap();
            seen.extend(found.into_iter().cloned());
            match next {
                Some(next) => marker = next,
                None => break,
            }
        }
        assert_eq!(seen, names);
        let few = page(names.iter().collect(), &Params::from([("MaxRecords", "19")]), |name| name);
        assert_eq!(few.unwrap_err().code, "InvalidParameterValue");
    }
}
