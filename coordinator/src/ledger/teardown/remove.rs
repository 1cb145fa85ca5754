//! How one thing is removed, by kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_cloud::compute::{Compute, Instance, InstanceState, Peer, SecurityGroup, TagFilter};
use haulier_domain::security_groups::parted;
use jiff::Timestamp;

use super::Stuck;
use crate::ledger::{Entry, Resource, TAG_INSTALLATION, TAG_NAME, TAG_SESSION};
use crate::services::Services;
use crate::sessions::Place;

/// Removes one thing and returns once it is confirmed gone.
pub(super) async fn one(services: &Services, entry: &Entry) -> Result<(), Stuck> {
    match &entry.resource {
        Resource::Ec2Instance => instance(services, entry).await,
        Resource::SecurityGroup { vpc_id } => group(services, entry, vpc_id).await,
        Resource::SecurityGroupMembership { instance_id, group_id } => {
            membership(services, entry, instance_id, group_id).await
        }
        Resource::DbSnapshot => snapshot(services, entry).await,
        Resource::TemporaryBucket { bucket, prefix, prepared, .. } => {
            temporary_bucket(services, entry, bucket, prefix, *prepared).await
        }
    }
}

async fn instance(services: &Services, entry: &Entry) -> Result<(), Stuck> {
    let place = place(services, entry).await?;
    let compute = services.cloud.compute(&place).await?;
    let Some(id) = instance_id(services, compute.as_ref(), entry).await? else {
        return absent(services, entry);
    };
    compute.terminate(&id).await?;
    // EC2 goes on listing what it has terminated for an hour. What it does not list a moment after the launch is not known
    // everywhere yet, so that it was terminated cannot be believed.
    let is_new = is_new(services, entry);
    let is_gone = |instance: Option<&Instance>| match instance {
        Some(instance) => (instance.state == InstanceState::Terminated).then_some(true),
        None => Some(!is_new),
    };
    match services.poller.worker(&place, &id, is_gone).await {
        true => Ok(()),
        false => Err(Stuck::NotYet("it is not listed, but was launched a moment ago")),
    }
}

/// The id of the row's instance: as it was recorded, or as the cloud lists it under the row's name.
async fn instance_id(services: &Services, compute: &dyn Compute, entry: &Entry) -> Result<Option<String>, Stuck> {
    if let Some(id) = &entry.resource_id {
        return Ok(Some(id.clone()));
    }
    let named = TagFilter::from([
        (TAG_INSTALLATION.to_owned(), vec![services.installation.to_string()]),
        (TAG_NAME.to_owned(), vec![entry.name.clone()]),
    ]);
    let listed = compute.instances(&named).await?;
    Ok(listed.into_iter().find(|instance| instance.state != InstanceState::Terminated).map(|instance| instance.id))
}

async fn group(services: &Services, entry: &Entry, vpc_id: &str) -> Result<(), Stuck> {
    let compute = services.cloud.compute(&place(services, entry).await?).await?;
    match our_group(services, &compute, entry, vpc_id).await? {
        Some(group) => Ok(compute.delete_security_group(&group.id).await?),
        None => absent(services, entry),
    }
}

/// Revokes the group's rules that name other groups.
pub(super) async fn revoke_peers(services: &Services, entry: &Entry, vpc_id: &str) -> Result<(), Stuck> {
    let compute = services.cloud.compute(&place(services, entry).await?).await?;
    let Some(group) = our_group(services, &compute, entry, vpc_id).await? else { return Ok(()) };
    for permission in group.permissions.iter().filter(|permission| matches!(permission.peer, Peer::Group(_))) {
        compute.revoke(&group.id, permission).await?;
    }
    Ok(())
}

/// The row's group, by its id or by its name; one of that name that this session did not make is none of ours.
async fn our_group(
    services: &Services,
    compute: &Arc<dyn Compute>,
    entry: &Entry,
    vpc_id: &str,
) -> Result<Option<SecurityGroup>, Stuck> {
    let found = match &entry.resource_id {
        Some(id) => compute.security_groups(std::slice::from_ref(id)).await?.pop(),
        None => compute.security_group_by_name(vpc_id, &entry.name).await?,
    };
    Ok(found.filter(|group| is_ours(services, entry, &group.tags)))
}

/// Takes our group off the DB instance's list, and nothing else: the list is read now, and goes back without our group.
async fn membership(services: &Services, entry: &Entry, instance_id: &str, group_id: &str) -> Result<(), Stuck> {
    let place = place(services, entry).await?;
    let databases = services.cloud.databases(&place).await?;
    let Some(instance) = databases.instance(instance_id).await? else { return Ok(()) };
    let current: BTreeSet<String> = instance.security_groups.iter().map(|(id, _)| id.clone()).collect();
    let Some(wanted) = parted(&current, group_id) else { return Ok(()) };
    if instance.status != "available" {
        services
            .poller
            .database(&place, instance_id, |it| it.is_none_or(|it| it.status == "available").then_some(()))
            .await;
        return Err(Stuck::NotYet("the DB instance was not available"));
    }
    databases.set_security_groups(instance_id, &wanted).await?;
    services
        .poller
        .database(&place, instance_id, |instance| {
            let is_joined = instance.is_some_and(|it| it.security_groups.iter().any(|(id, _)| id == group_id));
            (!is_joined).then_some(())
        })
        .await;
    Ok(())
}

async fn snapshot(services: &Services, entry: &Entry) -> Result<(), Stuck> {
    let place = place(services, entry).await?;
    let databases = services.cloud.databases(&place).await?;
    match databases.snapshot(&entry.name).await? {
        Some(snapshot) if is_ours(services, entry, &snapshot.tags) => {
            databases.delete_snapshot(&entry.name).await?;
            services.poller.snapshot(&place, &entry.name, |snapshot| snapshot.is_none().then_some(())).await;
            Ok(())
        }
        _ => absent(services, entry),
    }
}

/// Removes what the session has in the bucket, and the bucket too, where nobody else uses it and we have made it. Whether
/// somebody does is decided while nobody can begin to: the row of the next user is written before or after this, and the row of
/// this one is closed within it, so that of two that leave together one is the last.
async fn temporary_bucket(
    services: &Services,
    entry: &Entry,
    bucket: &str,
    prefix: &str,
    prepared: bool,
) -> Result<(), Stuck> {
    let buckets = services.cloud.buckets(&place(services, entry).await?).await?;
    if !prefix.is_empty() {
        buckets.empty(bucket, &format!("{prefix}/")).await?;
    }
    if prepared {
        return Ok(());
    }
    let _alone = services.temporary_buckets.lock().await;
    let is_used = services.state.bucket_uses(&entry.account, &entry.region, bucket, Some(entry.id)).await? > 0;
    if !is_used {
        // Whatever RDS put there after its session had ended goes, too.
        buckets.empty(bucket, "").await?;
        buckets.delete(bucket).await?;
        if entry.resource_id.is_none() {
            // Its making was never answered: it may still appear.
            absent(services, entry)?;
        }
    }
    Ok(services.state.mark_removed(entry.id).await?)
}

/// What the cloud does not list is gone, unless it may only not be listed yet.
fn absent(services: &Services, entry: &Entry) -> Result<(), Stuck> {
    if is_new(services, entry) {
        return Err(Stuck::NotYet("it is not listed, but may have been made a moment ago"));
    }
    Ok(())
}

/// Whether listings may lag behind its making.
fn is_new(services: &Services, entry: &Entry) -> bool {
    Timestamp::now().duration_since(entry.intended_at).unsigned_abs() < services.settings.pace.settle
}

fn is_ours(services: &Services, entry: &Entry, tags: &haulier_cloud::object_store::Tags) -> bool {
    let tagged = |key: &str, value: &str| tags.get(key).is_some_and(|tag| tag == value);
    tagged(TAG_INSTALLATION, services.installation.as_str()) && tagged(TAG_SESSION, entry.session.as_str())
}

async fn place(services: &Services, entry: &Entry) -> Result<Place, Stuck> {
    Ok(services.state.place(&entry.account, &entry.region).await?)
}
