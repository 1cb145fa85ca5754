//! What exists: for leak checks, straight from the front's own state and from S3's own listing.

use serde::Serialize;

use super::context::Context;
use super::decisions::Tags;

/// Everything that costs money or is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// EC2 instances before `terminated`.
    pub instances: Vec<Item>,
    /// Security groups other than the VPCs' default ones.
    pub security_groups: Vec<Item>,
    /// Rules of security groups, besides the egress rule that every group has from the start.
    pub security_group_rules: Vec<Item>,
    /// DB instances.
    pub databases: Vec<Item>,
    /// Security groups in the lists of DB instances.
    pub database_security_groups: Vec<Item>,
    /// DB snapshots.
    pub snapshots: Vec<Item>,
    /// S3 buckets.
    pub buckets: Vec<String>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Its state, or for a group its name, for a rule what it lets pass, for a DB instance's membership the group.
    pub state: String,
    /// Its tags.
    pub tags: Tags,
}

/// Lists everything.
pub(crate) async fn take(context: &Context) -> anyhow::Result<Listing> {
    let buckets = context.s3.buckets().await?;
    Ok(context.read(|world| {
        let groups = || world.groups.iter().filter(|group| group.name != "default");
        let item = |id: &str, state: &str, tags: &Tags| Item {
            id: id.to_owned(),
            state: state.to_owned(),
            tags: tags.clone(),
        };
        Listing {
            instances: world
                .instances
                .iter()
                .filter(|instance| instance.exists())
                .map(|instance| item(&instance.id, instance.state.code_and_name().1, &instance.tags))
                .collect(),
            security_groups: groups().map(|group| item(&group.id, &group.name, &group.tags)).collect(),
            security_group_rules: groups()
                .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
                .filter(|(_, rule)| !rule.permission.is_default_egress())
                .map(|(group, rule)| item(&rule.id, &format!("{}: {}", group.id, rule.permission), &rule.tags))
                .collect(),
            databases: world
                .databases
                .iter()
                .map(|database| item(&database.id, database.status.name(), &database.tags))
                .collect(),
            database_security_groups: world
                .databases
                .iter()
                .flat_map(|database| database.group_ids.iter().map(move |group| (database, group)))
                .map(|(database, group)| item(&database.id, group, &Tags::default()))
                .collect(),
            snapshots: world
                .snapshots
                .iter()
                .map(|snapshot| item(&snapshot.id, snapshot.status.name(), &snapshot.tags))
                .collect(),
            buckets,
        }
    }))
}
