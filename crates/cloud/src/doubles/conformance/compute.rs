//! The suite of [`Compute`].

use super::wait_for;
use crate::compute::{Compute, Direction, InstanceState, LaunchSpec, Peer, Permission, SecurityGroup, TagFilter};
use crate::error::ErrorKind;
use crate::object_store::Tags;

/// What the suite of [`Compute`] finds in place.
#[derive(Debug, Clone)]
pub struct ComputeFixture {
    /// VPC.
    pub vpc_id: String,
    /// A subnet of it.
    pub subnet_id: String,
    /// An image that boots.
    pub image_id: String,
    /// An instance type it boots on.
    pub instance_type: String,
    /// An instance profile, where the image needs one.
    pub instance_profile: Option<String>,
    /// User-data under which the image stays up for a minute.
    pub user_data: String,
    /// Start of every name and token, unique to this run.
    pub prefix: String,
}

/// Runs EC2 through its suite.
pub async fn compute<C: Compute + ?Sized>(compute: &C, fixture: &ComputeFixture) {
    describes_what_exists(compute, fixture).await;
    let (first, second) = groups(compute, fixture).await;
    let instance_id = launches_once(compute, fixture, &first).await;
    refuses_to_delete_what_is_used(compute, &first, &second).await;
    ends(compute, &instance_id).await;
    for group in [&second, &first] {
        wait_for("deletion of a group", async || match compute.delete_security_group(group).await {
            Ok(()) => Ok(Some(())),
            Err(error) if error.kind == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        })
        .await;
        compute.delete_security_group(group).await.unwrap();
    }
    assert_eq!(compute.security_groups(&[first, second]).await.unwrap(), Vec::new());
}

fn tags(fixture: &ComputeFixture) -> Tags {
    Tags::from([("haulier-conformance".to_owned(), fixture.prefix.clone())])
}

fn filter(fixture: &ComputeFixture) -> TagFilter {
    TagFilter::from([("haulier-conformance".to_owned(), vec!["nobody".to_owned(), fixture.prefix.clone()])])
}

async fn describes_what_exists<C: Compute + ?Sized>(compute: &C, fixture: &ComputeFixture) {
    let subnets = compute.subnets(std::slice::from_ref(&fixture.subnet_id)).await.unwrap();
    assert_eq!(subnets.iter().map(|one| one.vpc_id.as_str()).collect::<Vec<_>>(), [fixture.vpc_id.as_str()]);
    assert!(compute.images(&TagFilter::new()).await.unwrap().iter().any(|image| image.id == fixture.image_id));
    assert!(compute.instances(&filter(fixture)).await.unwrap().is_empty(), "the prefix is not unique");
    assert_eq!(compute.instance("i-00000000000000000").await.unwrap(), None);
    compute.terminate("i-00000000000000000").await.unwrap();
    compute.delete_security_group("sg-00000000000000000").await.unwrap();
}

async fn group<C: Compute + ?Sized>(compute: &C, id: &str) -> SecurityGroup {
    wait_for("description of a new group", async || Ok(compute.security_groups(&[id.to_owned()]).await?.pop())).await
}

async fn groups<C: Compute + ?Sized>(compute: &C, fixture: &ComputeFixture) -> (String, String) {
    let tags = tags(fixture);
    let name = |number: u8| format!("{}-{number}", fixture.prefix);
    assert_eq!(compute.security_group_by_name(&fixture.vpc_id, &name(1)).await.unwrap(), None);
    let first = compute.create_security_group(&fixture.vpc_id, &name(1), "conformance", &tags).await.unwrap();
    let again = compute.create_security_group(&fixture.vpc_id, &name(1), "conformance", &tags).await.unwrap_err();
    assert!(again.is_already_exists(), "{again:?}");
    let second = compute.create_security_group(&fixture.vpc_id, &name(2), "conformance", &tags).await.unwrap();

    let all_out = Permission { direction: Direction::Egress, tcp_ports: None, peer: Peer::Cidr("0.0.0.0/0".into()) };
    let fresh = group(compute, &first).await;
    assert_eq!((fresh.name, fresh.vpc_id, fresh.tags), (name(1), fixture.vpc_id.clone(), tags));
    assert_eq!(fresh.permissions, [all_out.clone()].into());
    compute.revoke(&first, &all_out).await.unwrap();
    compute.revoke(&first, &all_out).await.unwrap();

    let peer = Peer::Group(second.clone());
    let inward = Permission { direction: Direction::Ingress, tcp_ports: Some((5432, 5432)), peer: peer.clone() };
    let outward =
        Permission { direction: Direction::Egress, tcp_ports: Some((443, 444)), peer: Peer::Cidr("10.0.0.0/8".into()) };
    for permission in [&inward, &inward, &outward] {
        compute.authorize(&first, permission).await.unwrap();
    }
    assert_eq!(group(compute, &first).await.permissions, [inward.clone(), outward.clone()].into());
    compute.revoke(&first, &outward).await.unwrap();
    assert_eq!(group(compute, &first).await.permissions, [inward.clone()].into());
    let nowhere = compute.authorize("sg-00000000000000000", &inward).await.unwrap_err();
    assert!(nowhere.is_not_found(), "{nowhere:?}");
    let nowhere = compute.revoke("sg-00000000000000000", &inward).await.unwrap_err();
    assert!(nowhere.is_not_found(), "{nowhere:?}");

    let named = compute.security_group_by_name(&fixture.vpc_id, &name(2)).await.unwrap();
    assert_eq!(named.map(|group| group.id), Some(second.clone()));
    let mut tagged: Vec<String> =
        compute.tagged_security_groups(&filter(fixture)).await.unwrap().into_iter().map(|group| group.id).collect();
    tagged.sort();
    let mut both = vec![first.clone(), second.clone()];
    both.sort();
    assert_eq!(tagged, both);
    (first, second)
}

async fn launches_once<C: Compute + ?Sized>(compute: &C, fixture: &ComputeFixture, group: &str) -> String {
    let spec = LaunchSpec {
        client_token: format!("{}-token", fixture.prefix),
        image_id: fixture.image_id.clone(),
        instance_type: fixture.instance_type.clone(),
        subnet_id: fixture.subnet_id.clone(),
        security_group_ids: vec![group.to_owned()],
        instance_profile: fixture.instance_profile.clone(),
        user_data: fixture.user_data.clone(),
        tags: tags(fixture),
        root_volume_gib: None,
    };
    let launched = compute.launch(&spec).await.unwrap();
    assert_eq!(compute.launch(&spec).await.unwrap().id, launched.id);
    let other = LaunchSpec { user_data: "other".into(), ..spec.clone() };
    assert_eq!(compute.launch(&other).await.unwrap_err().kind, ErrorKind::IdempotencyMismatch);

    let running = wait_for("start of the instance", async || {
        let instance = compute.instance(&launched.id).await?;
        Ok(instance.filter(|instance| instance.state == InstanceState::Running))
    })
    .await;
    assert_eq!(running.security_group_ids, [group.to_owned()].into());
    assert_eq!(running.tags, spec.tags);
    assert!(running.private_ip.is_some() && running.availability_zone.is_some() && running.launched_at.is_some());
    let tagged = compute.instances(&filter(fixture)).await.unwrap();
    assert!(tagged.len() == 1 && tagged[0].id == launched.id, "{tagged:?}");
    launched.id
}

async fn refuses_to_delete_what_is_used<C: Compute + ?Sized>(compute: &C, used: &str, named: &str) {
    for (group, why) in [(used, "an instance uses it"), (named, "a rule names it")] {
        let refusal = compute.delete_security_group(group).await.unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Conflict, "{why}: {refusal:?}");
        assert_eq!(refusal.code.as_deref(), Some("DependencyViolation"), "{why}: {refusal:?}");
    }
    let rule = Permission {
        direction: Direction::Ingress,
        tcp_ports: Some((5432, 5432)),
        peer: Peer::Group(named.to_owned()),
    };
    compute.revoke(used, &rule).await.unwrap();
}

async fn ends<C: Compute + ?Sized>(compute: &C, instance_id: &str) {
    compute.terminate(instance_id).await.unwrap();
    compute.terminate(instance_id).await.unwrap();
    wait_for("end of the instance", async || {
        let instance = compute.instance(instance_id).await?;
        Ok(instance.is_none_or(|instance| instance.state == InstanceState::Terminated).then_some(()))
    })
    .await;
}
