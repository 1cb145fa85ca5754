//! Which of the instances that were found a run of a policy backs up, and why not the others. Pure.

use haulier_domain::native_backup::Engine;
use haulier_domain::policy::{Policy, owners};

use super::places::{Found, Missed};

/// What a run of a policy comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution<'f> {
    /// Instances to back up, in the order they were found.
    pub chosen: Vec<&'f Found>,
    /// What the policy names and does not get, with the reason: `shop: belongs to policy nightly`.
    pub skipped: Vec<String>,
}

/// Resolves a policy among all policies, against the instances of its accounts and Regions.
pub fn resolve<'f>(
    policy: &Policy,
    all: &[Policy],
    found: &'f [Found],
    own_account: &str,
    missed: &[Missed],
) -> Resolution<'f> {
    let mut resolution = Resolution { chosen: Vec::new(), skipped: Vec::new() };
    for found in found.iter().filter(|found| policy.names(&found.resource(), own_account)) {
        match reason_against(policy, all, found, own_account) {
            None => resolution.chosen.push(found),
            Some(reason) => resolution.skipped.push(format!("{}: {reason}", found.instance.id)),
        }
    }
    // Where a place could not be looked into, an instance that was not found may be there.
    if missed.is_empty() {
        for id in policy.resources.named_ids() {
            if !found.iter().any(|found| found.instance.id.eq_ignore_ascii_case(id)) {
                resolution
                    .skipped
                    .push(format!("{id}: there is no such DB instance in the policy's accounts and Regions"));
            }
        }
    }
    resolution
}

fn reason_against(policy: &Policy, all: &[Policy], found: &Found, own_account: &str) -> Option<String> {
    let owner = owners(all, &found.resource(), own_account).map(|ownership| ownership.policy);
    if let Some(owner) = owner.filter(|owner| owner.name != policy.name) {
        return Some(format!("belongs to policy {} of priority {}", owner.name, owner.priority));
    }
    let instance = &found.instance;
    if let Some(cluster) = &instance.cluster_id {
        return Some(format!("is a member of cluster {cluster}, and clusters are not supported"));
    }
    if Engine::of(&instance.engine).is_none() {
        return Some(format!("runs {}, and only postgres and SQL Server are supported", instance.engine));
    }
    // States that pass by themselves are waited out by the session; out of these an instance does not come by itself.
    let gone = ["deleting", "failed", "stopped", "stopping", "restore-error", "storage-full", "incompatible-network"];
    gone.contains(&instance.status.as_str()).then(|| format!("is {}", instance.status))
}

#[cfg(test)]
mod tests {
    use haulier_cloud::databases::DbInstance;
    use haulier_domain::failure::Failure;

    use super::super::places;
    use super::*;
    use crate::policies::document;

    const OWN: &str = "111122223333";

    fn policy(name: &str, priority: u32, resources: &str) -> Policy {
        document::read(&format!(
            "version: 1\nname: {name}\npriority: {priority}\nregions: [eu-central-1]\nresources: {resources}\n\
             repository: main\ncredentials: rds_managed\nschedule: manual\n"
        ))
        .unwrap()
    }

    fn found(id: &str, change: impl FnOnce(&mut DbInstance)) -> Found {
        let mut instance = DbInstance {
            id: id.to_owned(),
            arn: format!("arn:aws:rds:eu-central-1:{OWN}:db:{id}"),
            resource_id: format!("db-{id}"),
            engine: "postgres".to_owned(),
            engine_version: "15.18".to_owned(),
            status: "available".to_owned(),
            host: None,
            port: None,
            vpc_id: None,
            subnets: Vec::new(),
            availability_zone: None,
            security_groups: Vec::new(),
            master_user: "postgres".to_owned(),
            master_secret_arn: None,
            iam_authentication: false,
            allocated_gib: 20,
            additional_volumes: Vec::new(),
            backup_retention_days: 0,
            encrypted: false,
            backup_window: None,
            maintenance_window: None,
            option_groups: Vec::new(),
            cluster_id: None,
            replica_of: None,
            tags: Default::default(),
        };
        change(&mut instance);
        Found { place: places::own(OWN, "eu-central-1"), instance }
    }

    fn ids<'f>(resolution: &Resolution<'f>) -> Vec<&'f str> {
        resolution.chosen.iter().map(|found| found.instance.id.as_str()).collect()
    }

    #[test]
    fn what_belongs_to_another_policy_is_passed_over_with_its_name() {
        let (low, high) = (policy("low", 1, "{include: all}"), policy("high", 2, "{include: [{ids: [shop]}]}"));
        let all = [low.clone(), high.clone()];
        let found = [found("shop", |_| {}), found("crm", |_| {})];
        let of_low = resolve(&low, &all, &found, OWN, &[]);
        assert_eq!(ids(&of_low), ["crm"]);
        assert_eq!(of_low.skipped, ["shop: belongs to policy high of priority 2"]);
        assert_eq!(ids(&resolve(&high, &all, &found, OWN, &[])), ["shop"]);
    }

    #[test]
    fn what_cannot_be_backed_up_is_told_with_the_reason() {
        let all = policy("p", 1, "{include: all, exclude: [{ids: [out]}]}");
        let found = [
            found("a", |i| i.engine = "mysql".into()),
            found("b", |i| i.cluster_id = Some("c1".into())),
            found("c", |i| i.status = "stopped".into()),
            found("d", |i| i.status = "backing-up".into()),
            found("e", |i| i.engine = "sqlserver-web".into()),
            found("out", |_| {}),
        ];
        let resolution = resolve(&all, std::slice::from_ref(&all), &found, OWN, &[]);
        assert_eq!(ids(&resolution), ["d", "e"]);
        assert_eq!(
            resolution.skipped,
            [
                "a: runs mysql, and only postgres and SQL Server are supported",
                "b: is a member of cluster c1, and clusters are not supported",
                "c: is stopped",
            ]
        );
    }

    #[test]
    fn an_id_that_is_nowhere_is_told_unless_not_everything_was_seen() {
        let policy = policy("p", 1, "{include: [{ids: [shop, gone]}]}");
        let found = [found("shop", |_| {})];
        let all = std::slice::from_ref(&policy);
        let resolution = resolve(&policy, all, &found, OWN, &[]);
        assert_eq!(resolution.skipped, ["gone: there is no such DB instance in the policy's accounts and Regions"]);
        let missed = Missed { place: places::own(OWN, "eu-west-1"), failure: Failure::new("x", "y", "z", "w") };
        assert_eq!(resolve(&policy, all, &found, OWN, &[missed]).skipped, Vec::<String>::new());
    }
}
