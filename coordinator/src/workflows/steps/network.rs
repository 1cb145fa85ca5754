//! The security groups of one worker, and their membership on the DB instance.
//!
//! The pair lets one worker reach one port of one instance and nothing else. What a worker needs besides comes from the
//! base groups of its worker configuration, or from one that the coordinator keeps per VPC. Where the operator has
//! prepared a permanent pair, nothing is made and the instance is left as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_cloud::CloudError;
use haulier_cloud::compute::{Compute, Direction, Peer, Permission, SecurityGroup};
use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::security_groups::{Role, joined, pair_rules};
use haulier_domain::session::Severity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::assignment::Job;
use super::preflight::Source;
use super::worker::Plan;
use crate::failures;
use crate::ledger::{Intent, Resource, TAG_INSTALLATION, TAG_KEPT, short};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _, Made, SoonAfter as _, Trouble};

const ANYWHERE: &str = "0.0.0.0/0";

/// The groups of one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::workflows) struct Groups {
    /// What a worker needs besides the database, where a candidate has no prepared groups.
    pub(super) base: Option<String>,
    /// The worker's side of the pair, where there is one.
    pub(super) worker: Option<String>,
    /// To be joined to the DB instance, where there is a pair.
    pub(in crate::workflows) database: Option<String>,
}

/// Makes the groups of one worker, with their rules.
pub(in crate::workflows) async fn open(
    work: &Work,
    near: &Source,
    job: &Job,
    plan: &Plan,
    epoch: Epoch,
) -> Attempt<Groups> {
    let compute = work.services.cloud.compute(work.place()).await.during(|| "reaching EC2".to_owned())?;
    let base = if plan.needs_base_group() { Some(base(work, &compute, &plan.vpc_id).await?) } else { None };
    if plan.permanent_pair() || !job.needs_database {
        return Ok(Groups { base, worker: None, database: None });
    }
    let (database_side, _) = pair_group(work, &compute, &plan.vpc_id, epoch, Role::Database).await?;
    let (worker_side, made_at) = pair_group(work, &compute, &plan.vpc_id, epoch, Role::Worker).await?;
    let pair = [database_side.as_str(), worker_side.as_str()];
    let made = new(work, &pair, made_at);
    let id_of = |role| match role {
        Role::Database => database_side.as_str(),
        Role::Worker => worker_side.as_str(),
    };
    for rule in pair_rules(near.port) {
        let permission = Permission {
            direction: if rule.inbound { Direction::Ingress } else { Direction::Egress },
            tcp_ports: Some((rule.port, rule.port)),
            peer: Peer::Group(id_of(rule.peer).to_owned()),
        };
        let group = id_of(rule.on);
        compute
            .authorize(group, &permission)
            .await
            .soon_after(&made, || format!("opening port {} on group {group}", rule.port))?;
    }
    Ok(Groups { base, worker: Some(worker_side), database: Some(database_side) })
}

/// Joins our group to the instance's list, as it is now, and waits until it is in force.
pub(in crate::workflows) async fn join(work: &Work, source: &Source, group: &str, epoch: Epoch) -> Attempt<()> {
    let services = &work.services;
    let what = || format!("joining group {group} to DB instance {}", source.id);
    let intent = Intent {
        session: work.id().clone(),
        epoch,
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        name: format!("{}-member", group_name(work, epoch, Role::Database)),
        resource: Resource::SecurityGroupMembership { instance_id: source.id.clone(), group_id: group.to_owned() },
    };
    let entry = services.state.intend(&intent).await?;
    let databases = services.cloud.databases(work.place()).await.during(what)?;
    let gone = || Failure::new("db-not-found", what(), "the instance is gone", "check whether somebody deleted it");
    let instance = databases.instance(&source.id).await.during(what)?.ok_or_else(gone)?;
    let current: BTreeSet<String> = instance.security_groups.iter().map(|(id, _)| id.clone()).collect();
    if let Some(wanted) = joined(&current, group) {
        let changed = databases.set_security_groups(&source.id, &wanted).await;
        changed.soon_after(&new(work, &[group], entry.intended_at), what)?;
    }
    services.state.mark_created(entry.id, group).await?;
    let in_force = services.poller.database(work.place(), &source.id, |instance| match instance {
        None => Some(Err(gone().into())),
        Some(instance) => {
            let is_active = instance.security_groups.iter().any(|(id, status)| id == group && status == "active");
            is_active.then_some(Ok(()))
        }
    });
    let late = || {
        let cause = "the group did not become active in time";
        Failure::new("db-group-not-active", what(), cause, "see the instance's events, then run the session again")
            .retryable()
    };
    work.wait(services.settings.pace.available, late, in_force).await?;
    work.log(Severity::Info, &format!("{} lets the worker in", source.id)).await;
    Ok(())
}

fn group_name(work: &Work, epoch: Epoch, role: Role) -> String {
    let role = match role {
        Role::Database => "database",
        Role::Worker => "worker-side",
    };
    work.naming.of_epoch(epoch, role)
}

fn new<'a>(work: &Work, ids: &'a [&'a str], at: Timestamp) -> Made<'a> {
    Made { ids, at, settle: work.services.settings.pace.settle }
}

/// One group of the pair, and when it was asked for. A new group lets everything out; that rule is revoked at once.
async fn pair_group(
    work: &Work,
    compute: &Arc<dyn Compute>,
    vpc_id: &str,
    epoch: Epoch,
    role: Role,
) -> Attempt<(String, Timestamp)> {
    let name = group_name(work, epoch, role);
    let tags = work.naming.tags(epoch, &name);
    let entry = work.services.state.intend(&group_intent(work, epoch, &name, vpc_id)).await?;
    let what = || format!("making security group {name}");
    let description = format!("Haulier session {}", work.id());
    let made = compute.create_security_group(vpc_id, &name, &description, &tags).await;
    let id = made_or_found(work, compute, vpc_id, &name, made, what).await?;
    work.services.state.mark_created(entry.id, &id).await?;
    compute.revoke(&id, &all_out()).await.soon_after(&new(work, &[&id], entry.intended_at), what)?;
    Ok((id, entry.intended_at))
}

/// The base group that the coordinator keeps in a VPC: out to AWS and to the coordinator, nothing in. Sessions share it;
/// each makes sure that it is there and complete.
async fn base(work: &Work, compute: &Arc<dyn Compute>, vpc_id: &str) -> Attempt<String> {
    let services = &work.services;
    let name = format!("haulier-{}-base-{vpc_id}", short(services.installation.as_str()));
    let what = || format!("making base group {name}");
    let entry = services.state.intend(&group_intent(work, Epoch(0), &name, vpc_id)).await?;
    services.state.mark_kept(entry.id).await?;
    let mut tags = work.naming.tags(Epoch(0), &name);
    tags.insert(TAG_KEPT.to_owned(), "base-group".to_owned());
    let asked = Timestamp::now();
    let answer =
        compute.create_security_group(vpc_id, &name, "Haulier workers: out to AWS and the coordinator", &tags).await;
    let is_new = answer.is_ok();
    let id = made_or_found(work, compute, vpc_id, &name, answer, what).await?;
    services.state.mark_created(entry.id, &id).await?;
    // The row is as old as the installation; the group may be as new as this call.
    let ids = [id.as_str()];
    let made = new(work, &ids, if is_new { asked } else { entry.intended_at });
    compute.revoke(&id, &all_out()).await.soon_after(&made, what)?;
    let coordinator = services.worker_endpoint.get().and_then(|endpoint| endpoint.rsplit(':').next()?.parse().ok());
    let ports: BTreeSet<u16> = services.settings.worker.egress_ports.iter().copied().chain(coordinator).collect();
    for port in ports {
        let out = Permission {
            direction: Direction::Egress,
            tcp_ports: Some((port, port)),
            peer: Peer::Cidr(ANYWHERE.to_owned()),
        };
        compute.authorize(&id, &out).await.soon_after(&made, what)?;
    }
    Ok(id)
}

/// The id of a group that was made now, or that an earlier attempt made under the same name.
async fn made_or_found(
    work: &Work,
    compute: &Arc<dyn Compute>,
    vpc_id: &str,
    name: &str,
    made: Result<String, CloudError>,
    what: impl Fn() -> String,
) -> Attempt<String> {
    let taken = match made {
        Err(error) if error.is_already_exists() => error,
        made => return made.during(what),
    };
    let ours = |group: &SecurityGroup| {
        group.tags.get(TAG_INSTALLATION).is_some_and(|tag| tag == work.services.installation.as_str())
    };
    match compute.security_group_by_name(vpc_id, name).await.during(&what)? {
        Some(group) if ours(&group) => Ok(group.id),
        Some(_) => Err(taken).during(what),
        // The name is taken and the group not listed: the listing lags behind.
        None => Err(Trouble::Again(failures::cloud(&what(), &taken))),
    }
}

fn group_intent(work: &Work, epoch: Epoch, name: &str, vpc_id: &str) -> Intent {
    Intent {
        session: work.id().clone(),
        epoch,
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        name: name.to_owned(),
        resource: Resource::SecurityGroup { vpc_id: vpc_id.to_owned() },
    }
}

fn all_out() -> Permission {
    Permission { direction: Direction::Egress, tcp_ports: None, peer: Peer::Cidr(ANYWHERE.to_owned()) }
}
