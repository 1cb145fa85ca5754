//! What an instance's metadata service answers: identity document, placement, role credentials.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::credentials::Session;
use crate::front::context::{Context, iso, now};
use crate::front::decisions::instances::Instance;

const IDENTITY_DOCUMENT: &str = "dynamic/instance-identity/document";
const ROLES: &str = "meta-data/iam/security-credentials/";

/// Everything that is known before the instance boots.
pub(super) fn entries(context: &Context, instance: &Instance) -> BTreeMap<String, String> {
    let groups: Vec<String> = context.read(|world| {
        let name = |id: &String| world.groups.get(id).ok().map(|group| group.name.clone());
        instance.group_ids.iter().filter_map(name).collect()
    });
    let mut entries: BTreeMap<String, String> = [
        ("meta-data/instance-id", instance.id.clone()),
        ("meta-data/ami-id", instance.image_id.clone()),
        ("meta-data/instance-type", instance.instance_type.clone()),
        ("meta-data/reservation-id", instance.reservation_id.clone()),
        ("meta-data/security-groups", groups.join("\n")),
        ("meta-data/placement/availability-zone", instance.subnet.zone.clone()),
        ("meta-data/placement/region", context.config.region.clone()),
        (IDENTITY_DOCUMENT, identity_document(context, instance, None)),
    ]
    .map(|(path, body)| (path.to_owned(), body))
    .into();
    if let Some((profile, role)) = instance.profile.as_ref().and_then(|profile| Some((profile, profile.role.as_ref()?)))
    {
        let info = json!({
            "Code": "Success",
            "LastUpdated": iso(now()),
            "InstanceProfileArn": context.iam_arn(&format!("instance-profile/{}", profile.name)),
            "InstanceProfileId": profile.id,
        });
        entries.insert("meta-data/iam/info".to_owned(), info.to_string());
        entries.insert(ROLES.to_owned(), role.clone());
        entries.insert(ROLES.trim_end_matches('/').to_owned(), role.clone());
        if let Some(credentials) = role_credentials(context, instance, role, now()) {
            entries.insert(format!("{ROLES}{role}"), credentials);
        }
    }
    entries
}

/// Adds the address, which the machine room gave it at boot.
pub(super) async fn name_address(context: &Context, instance: &Instance, address: Ipv4Addr) {
    let document = identity_document(context, instance, Some(address));
    for (path, body) in [("meta-data/local-ipv4", address.to_string()), (IDENTITY_DOCUMENT, document)] {
        set(context, &instance.id, path, body).await;
    }
}

/// Renews the role's credentials long before they end, until the instance does.
pub(super) fn keep_credentials_fresh(context: &Arc<Context>, instance: &Instance) {
    let Some(role) = instance.profile.as_ref().and_then(|profile| profile.role.clone()) else { return };
    let (context, instance) = (Arc::clone(context), instance.clone());
    context.clone().tasks.spawn(async move {
        let period = context.config.instance_credential_lifetime / 2;
        let ended = context.wait_for(|world| {
            world.instances.get(&instance.id).map_or(Some(()), |instance| (!instance.exists()).then_some(()))
        });
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = &mut ended => return,
                () = context.stop.cancelled() => return,
            }
            if let Some(credentials) = role_credentials(&context, &instance, &role, now()) {
                set(&context, &instance.id, &format!("{ROLES}{role}"), credentials).await;
            }
        }
    });
}

async fn set(context: &Context, instance_id: &str, path: &str, body: String) {
    if let Err(error) = context.computers.set_metadata(instance_id, path, body).await {
        tracing::warn!(
            instance = instance_id,
            path,
            error = format!("{error:#}"),
            "cannot change an instance's metadata"
        );
    }
}

fn role_credentials(context: &Context, instance: &Instance, role: &str, now: Timestamp) -> Option<String> {
    let lifetime = SignedDuration::try_from(context.config.instance_credential_lifetime).ok()?;
    let expires = now + lifetime;
    let session = Session { role: role.to_owned(), name: instance.id.clone(), policy: None, expires };
    let credential = context.credentials.issue_session(session)?;
    Some(
        json!({
            "Code": "Success",
            "LastUpdated": iso(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": credential.access_key_id,
            "SecretAccessKey": credential.secret_access_key,
            "Token": credential.session_token,
            "Expiration": iso(expires),
        })
        .to_string(),
    )
}

fn identity_document(context: &Context, instance: &Instance, address: Option<Ipv4Addr>) -> String {
    json!({
        "accountId": context.credentials.account(),
        "architecture": "x86_64",
        "availabilityZone": instance.subnet.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": null,
        "pendingTime": instance.launched_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "privateIp": address,
        "ramdiskId": null,
        "region": context.config.region,
        "version": "2017-09-30",
    })
    .to_string()
}
