//! The suite of [`Databases`].

use std::collections::BTreeSet;

use super::wait_for;
use crate::databases::{Databases, DbInstance};
use crate::error::ErrorKind;
use crate::object_store::Tags;

/// What the suite of [`Databases`] finds in place.
#[derive(Debug, Clone)]
pub struct DatabasesFixture {
    /// An instance that is available and that nobody else touches meanwhile.
    pub instance_id: String,
    /// A security group of its VPC that it does not have.
    pub spare_group_id: String,
    /// An option group that exists, where there is one.
    pub option_group: Option<String>,
    /// Start of every name, unique to this run.
    pub prefix: String,
}

/// Runs RDS through its suite.
pub async fn databases<D: Databases + ?Sized>(databases: &D, fixture: &DatabasesFixture) {
    let id = &fixture.instance_id;
    assert_eq!(databases.instance("there-is-none").await.unwrap(), None);
    let instance = settled(databases, id).await;
    assert!(databases.instances().await.unwrap().iter().any(|one| one.id == *id));
    assert!(instance.host.is_some() && instance.port.is_some() && instance.vpc_id.is_some(), "{instance:?}");
    knows_option_groups(databases, fixture).await;
    replaces_groups(databases, fixture, &instance).await;
    takes_snapshots(databases, fixture).await;
}

/// The instance, once it is available and each of its groups is active.
async fn settled<D: Databases + ?Sized>(databases: &D, id: &str) -> DbInstance {
    wait_for("an available instance", async || {
        let instance = databases.instance(id).await?;
        Ok(instance.filter(|one| one.status == "available" && one.security_groups.iter().all(|(_, s)| s == "active")))
    })
    .await
}

async fn knows_option_groups<D: Databases + ?Sized>(databases: &D, fixture: &DatabasesFixture) {
    assert_eq!(databases.option_group("there-is-none").await.unwrap(), None);
    let Some(name) = &fixture.option_group else { return };
    let group = databases.option_group(name).await.unwrap().unwrap();
    assert_eq!(group.name, *name);
    assert!(group.arn.ends_with(&format!(":og:{}", group.name)), "{group:?}");
}

fn groups_of(instance: &DbInstance) -> BTreeSet<String> {
    instance.security_groups.iter().map(|(id, _)| id.clone()).collect()
}

async fn replaces_groups<D: Databases + ?Sized>(databases: &D, fixture: &DatabasesFixture, instance: &DbInstance) {
    let id = &fixture.instance_id;
    let before = groups_of(instance);
    let more: BTreeSet<String> = before.iter().chain([&fixture.spare_group_id]).cloned().collect();
    assert_ne!(before, more, "the spare group is not spare");
    databases.set_security_groups(id, &more).await.unwrap();
    assert_eq!(groups_of(&settled(databases, id).await), more);
    // The whole list is replaced: what is not named goes.
    databases.set_security_groups(id, &before).await.unwrap();
    assert_eq!(groups_of(&settled(databases, id).await), before);
    let unknown = databases.set_security_groups("there-is-none", &before).await.unwrap_err();
    assert!(unknown.is_not_found(), "{unknown:?}");
}

async fn takes_snapshots<D: Databases + ?Sized>(databases: &D, fixture: &DatabasesFixture) {
    let name = format!("{}-snapshot", fixture.prefix);
    let tags = Tags::from([("haulier-conformance".to_owned(), fixture.prefix.clone())]);
    assert_eq!(databases.snapshot(&name).await.unwrap(), None);
    databases.delete_snapshot(&name).await.unwrap();

    databases.create_snapshot(&fixture.instance_id, &name, &tags).await.unwrap();
    let again = databases.create_snapshot(&fixture.instance_id, &name, &tags).await.unwrap_err();
    assert!(
        again.is_already_exists() || again.kind == ErrorKind::Conflict,
        "a taken name, or an instance that is backing up: {again:?}"
    );
    let done = wait_for("an available snapshot", async || {
        Ok(databases.snapshot(&name).await?.filter(|snapshot| snapshot.status == "available"))
    })
    .await;
    assert_eq!((done.instance_id.as_str(), &done.tags, done.percent), (fixture.instance_id.as_str(), &tags, 100));
    settled(databases, &fixture.instance_id).await;
    let taken = databases.create_snapshot(&fixture.instance_id, &name, &tags).await.unwrap_err();
    assert!(taken.is_already_exists(), "{taken:?}");
    assert!(databases.manual_snapshots().await.unwrap().iter().any(|snapshot| snapshot.id == name));
    let of_instance = databases.snapshots_of(&fixture.instance_id).await.unwrap();
    assert!(of_instance.iter().any(|snapshot| snapshot.id == name));
    assert!(of_instance.iter().all(|snapshot| snapshot.instance_id == fixture.instance_id));
    assert_eq!(databases.snapshots_of("there-is-none").await.unwrap(), []);

    databases.delete_snapshot(&name).await.unwrap();
    wait_for("deletion of the snapshot", async || Ok(databases.snapshot(&name).await?.is_none().then_some(()))).await;
    databases.delete_snapshot(&name).await.unwrap();
    let unknown = databases.create_snapshot("there-is-none", &name, &tags).await.unwrap_err();
    assert!(unknown.is_not_found(), "{unknown:?}");
}
