//! What of ours is in an account and Region, by its tags.

use std::collections::BTreeMap;

use haulier_cloud::Result;
use haulier_cloud::compute::{InstanceState, TagFilter};
use haulier_cloud::object_store::Tags;
use haulier_cloud::{CloudError, ErrorKind};
use haulier_domain::id::{Epoch, SessionId};
use haulier_domain::native_backup::temporary;

use super::Finding;
use crate::ledger::{Resource, TAG_EPOCH, TAG_INSTALLATION, TAG_KEPT, TAG_NAME, TAG_SESSION};
use crate::services::Services;
use crate::sessions::Place;

/// Everything that carries this installation's tag and a session's, in an order in which it can be removed.
pub(super) async fn found(services: &Services, place: &Place) -> Result<Vec<Finding>> {
    let ours = TagFilter::from([(TAG_INSTALLATION.to_owned(), vec![services.installation.to_string()])]);
    let compute = services.cloud.compute(place).await?;
    let databases = services.cloud.databases(place).await?;
    let mut findings = Vec::new();
    for instance in compute.instances(&ours).await? {
        let is_gone = matches!(instance.state, InstanceState::Terminated | InstanceState::ShuttingDown);
        if !is_gone {
            findings.extend(finding(&instance.tags, &instance.id, Resource::Ec2Instance));
        }
    }
    let mut groups = BTreeMap::new();
    for group in compute.tagged_security_groups(&ours).await? {
        let resource = Resource::SecurityGroup { vpc_id: group.vpc_id.clone() };
        groups.extend(finding(&group.tags, &group.id, resource).map(|finding| (group.id.clone(), finding)));
    }
    for instance in databases.instances().await? {
        for (group_id, _) in &instance.security_groups {
            if let Some(group) = groups.get(group_id) {
                let joined =
                    Resource::SecurityGroupMembership { instance_id: instance.id.clone(), group_id: group_id.clone() };
                findings.push(Finding {
                    name: format!("{}-member", group.name),
                    resource_id: group_id.clone(),
                    resource: joined,
                    ..group.clone()
                });
            }
        }
    }
    findings.extend(groups.into_values());
    for snapshot in databases.manual_snapshots().await? {
        let is_ours = snapshot.tags.get(TAG_INSTALLATION).is_some_and(|tag| tag == services.installation.as_str());
        if is_ours {
            findings.extend(finding(&snapshot.tags, &snapshot.id, Resource::DbSnapshot));
        }
    }
    findings.extend(temporary_buckets(services, place).await.unwrap_or_else(|error| unlisted(place, &error)));
    Ok(findings)
}

async fn temporary_buckets(services: &Services, place: &Place) -> Result<Vec<Finding>> {
    let buckets = services.cloud.buckets(place).await?.buckets(&temporary::names_of(&services.installation)).await?;
    let ours = buckets
        .into_iter()
        .filter(|bucket| bucket.tags.get(TAG_INSTALLATION).is_some_and(|tag| tag == services.installation.as_str()));
    let whole = |bucket: haulier_cloud::buckets::Bucket| {
        let resource = Resource::TemporaryBucket {
            bucket: bucket.name.clone(),
            prefix: String::new(),
            prepared: false,
            logs_of: None,
        };
        finding(&bucket.tags, &bucket.name, resource)
    };
    Ok(ours.filter_map(whole).collect())
}

/// Whoever has no SQL Server need not let the coordinator list buckets. Everything else is looked after all the same.
fn unlisted(place: &Place, error: &CloudError) -> Vec<Finding> {
    let (account, region) = (&place.account.id, &place.region);
    if error.kind == ErrorKind::Denied {
        tracing::debug!(account, region, %error, "reaper may not list buckets");
    } else {
        tracing::warn!(account, region, %error, "reaper could not list buckets");
    }
    Vec::new()
}

fn finding(tags: &Tags, resource_id: &str, resource: Resource) -> Option<Finding> {
    let session: SessionId = tags.get(TAG_SESSION)?.parse().ok()?;
    let epoch = tags.get(TAG_EPOCH).and_then(|tag| tag.parse().ok()).unwrap_or_default();
    let name = tags.get(TAG_NAME).map_or(resource_id, String::as_str).to_owned();
    let kept = tags.contains_key(TAG_KEPT);
    Some(Finding { session, epoch: Epoch(epoch), name, resource_id: resource_id.to_owned(), resource, kept })
}
