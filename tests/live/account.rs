//! The AWS account: guarded, listed, cleared.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::ledger::Resource;
use e2e::wait;
use haulier_cloud::aws::AwsCloud;
use haulier_cloud::compute::{InstanceState, TagFilter};
use haulier_cloud::object_store::Tags;
use tokio::runtime::Runtime;

/// Everything that Haulier makes carries it.
const TAG: &str = "haulier:installation";

/// How long AWS may take to let go of something.
const LIMIT: Duration = Duration::from_secs(900);

/// The account that the credentials in the environment belong to, in one Region.
pub(crate) struct Account {
    runtime: Runtime,
    cloud: AwsCloud,
    region: String,
}

impl Account {
    /// Finds out whose credentials these are before anything else is done, and goes no further where it is another account.
    pub(crate) fn guarded(region: &str, wanted: &str) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new()?;
        let cloud = runtime.block_on(AwsCloud::from_environment(region));
        let actual = runtime.block_on(cloud.identity().caller())?.account;
        ensure!(actual == wanted, "these credentials are of account {actual}, not of {wanted}: nothing was done");
        Ok(Self { runtime, cloud, region: region.to_owned() })
    }

    /// Everything in the Region that carries a tag of Haulier's, of this installation or another, and the groups of these DB
    /// instances; in the words of the local cloud's listing.
    pub(crate) fn listing(&self, instances: &[String]) -> Result<Vec<String>> {
        let (compute, databases) = (self.cloud.compute(&self.region), self.cloud.databases(&self.region));
        self.runtime.block_on(async {
            let tagged = TagFilter::from([(TAG.to_owned(), vec!["*".to_owned()])]);
            let is_tagged = |tags: &Tags| tags.contains_key(TAG);
            let mut lines = BTreeSet::new();
            for instance in compute.instances(&tagged).await? {
                if is_tagged(&instance.tags) && instance.state != InstanceState::Terminated {
                    lines.insert(format!("instances {}", instance.id));
                }
            }
            for group in
                compute.tagged_security_groups(&tagged).await?.into_iter().filter(|group| is_tagged(&group.tags))
            {
                lines.insert(format!("security_groups {} {}", group.id, group.name));
            }
            for snapshot in databases.manual_snapshots().await?.into_iter().filter(|it| is_tagged(&it.tags)) {
                lines.insert(format!("snapshots {}", snapshot.id));
            }
            for id in instances {
                let instance =
                    databases.instance(id).await?.with_context(|| format!("there is no DB instance {id}"))?;
                for (group, _) in instance.security_groups {
                    lines.insert(format!("database_security_groups {id} {group}"));
                }
            }
            Ok(lines.into_iter().collect())
        })
    }

    /// Removes what a coordinator's ledger names, kept or not: instances first, then what they used.
    pub(crate) fn remove(&self, resources: &[Resource]) -> Result<()> {
        let (compute, databases) = (self.cloud.compute(&self.region), self.cloud.databases(&self.region));
        let of_kind = |kind: &'static str, prefix: &'static str| {
            resources.iter().filter(move |it| it.kind == kind && it.state != "removed" && it.id.starts_with(prefix))
        };
        for instance in of_kind("ec2-instance", "i-") {
            self.runtime.block_on(compute.terminate(&instance.id))?;
        }
        for group in of_kind("security-group", "sg-") {
            wait::until(LIMIT, &format!("{} to be free", group.id), || {
                match self.runtime.block_on(compute.delete_security_group(&group.id)) {
                    Err(error) if error.is_transient() => Ok(false),
                    answer => Ok(answer.map(|()| true)?),
                }
            })?;
        }
        for snapshot in of_kind("db-snapshot", "") {
            self.runtime.block_on(databases.delete_snapshot(&snapshot.id))?;
        }
        Ok(())
    }

    /// Deletes every object under the prefix of a bucket.
    pub(crate) fn empty(&self, bucket: &str, prefix: &str) -> Result<()> {
        let store = self.cloud.object_store(bucket, &self.region);
        self.runtime.block_on(async {
            let mut after = None;
            loop {
                let page = store.list(&format!("{prefix}/"), after.as_deref()).await?;
                for object in &page.objects {
                    store.delete(&object.key).await?;
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => return Ok(()),
                }
            }
        })
    }
}
