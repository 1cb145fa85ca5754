//! From a policy to what its sessions are asked to do.

use haulier_domain::placement::{Prepared, prepared_for};
use haulier_domain::policy::{Databases, Login as Written, Policy};

use super::places::Found;
use crate::sessions::{
    BackupRequest, InstanceRef, Login, NativeOptions, Place, PreparedBucket, WorkerConfiguration, WorkerNetwork,
};

/// The backup of one instance.
pub(super) fn backup(policy: &Policy, found: &Found) -> BackupRequest {
    let zone = found.instance.availability_zone.as_deref();
    BackupRequest {
        policy: Some(policy.name.clone()),
        instance: InstanceRef { place: found.place.clone(), id: found.instance.id.clone() },
        repository: policy.repository.clone(),
        login: login_of(policy),
        databases: match &policy.databases {
            Databases::All => Vec::new(),
            Databases::Listed(names) => names.clone(),
        },
        snapshot: policy.snapshot,
        worker: worker_for(policy, &found.place, zone),
        concurrency: policy.concurrency,
        parallel_streams: policy.transfer.parallel_streams.unwrap_or_default(),
        compression_level: policy.transfer.compression_level.unwrap_or_default(),
        large_table_bytes: policy.transfer.large_table_bytes.unwrap_or_default(),
        split_table_bytes: policy.transfer.split_table_bytes.unwrap_or_default(),
        native: NativeOptions {
            files: policy.sqlserver.files.unwrap_or_default(),
            kms_key_arn: policy.sqlserver.key_in(&found.place.region).map(str::to_owned),
            log_kms_key_arn: policy.sqlserver.log_key_in(&found.place.region).map(str::to_owned),
            full_every_days: policy.sqlserver.full_every_days.unwrap_or_default(),
            log_backups: policy.sqlserver.log_backups,
            bucket: bucket_for(policy, &found.place),
        },
    }
}

/// The bucket that the operator has prepared for native backups in an account and Region.
pub fn bucket_for(policy: &Policy, place: &Place) -> Option<PreparedBucket> {
    let found = policy.sqlserver.bucket_in(&place.account.id, &place.region)?;
    Some(PreparedBucket { bucket: found.bucket.clone(), prefix: found.prefix.clone().unwrap_or_default() })
}

/// How the policy's sessions log in.
pub fn login_of(policy: &Policy) -> Login {
    match &policy.credentials {
        Written::Secret { arn } => Login::Secret(arn.clone()),
        Written::RdsManaged => Login::MasterSecret,
        Written::Iam { user } => Login::Iam(user.clone()),
    }
}

/// How a worker of the policy is made in an account and Region, for an instance in this zone. The networks of all zones
/// go along: the instance may fail over before its turn comes.
pub fn worker_for(policy: &Policy, place: &Place, availability_zone: Option<&str>) -> WorkerConfiguration {
    let configurations = policy.configurations_in(&place.account.id, &place.region);
    let prepared: Vec<Prepared<'_>> = configurations
        .iter()
        .map(|configuration| Prepared {
            availability_zone: configuration.availability_zone.as_deref(),
            subnet_id: configuration.subnet_id.as_deref(),
            permanent_pair: configuration.permanent_pair,
        })
        .collect();
    let shape = match prepared_for(&prepared, availability_zone) {
        Some(index) => policy.worker.narrowed_by(&configurations[index].worker),
        None => policy.worker.clone(),
    };
    let network = |configuration: &&haulier_domain::policy::WorkerConfiguration| WorkerNetwork {
        availability_zone: configuration.availability_zone.clone(),
        subnet_id: configuration.subnet_id.clone(),
        security_group_ids: configuration.security_groups.clone(),
        permanent_pair: configuration.permanent_pair,
    };
    WorkerConfiguration {
        image_id: shape.image_id,
        instance_types: shape.instance_types,
        root_volume_gib: None,
        instance_profile: shape.instance_profile,
        role_arn: shape.role_arn,
        networks: configurations.iter().map(network).collect(),
        tags: shape.tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::document;

    #[test]
    fn the_configuration_of_the_instances_zone_shapes_the_worker_and_all_networks_go_along() {
        let policy = document::read(include_str!("../../../docs/examples/policy.yaml")).unwrap();
        let account = crate::sessions::Account { id: "111122223333".into(), role_arn: None, external_id: None };
        let place = Place { account, region: "eu-central-1".into() };
        let worker = worker_for(&policy, &place, Some("eu-central-1a"));
        assert_eq!(worker.instance_types, ["m7i.xlarge", "m6i.xlarge"]);
        assert_eq!(worker.instance_profile.as_deref(), Some("haulier-worker"));
        assert_eq!(worker.image_id.as_deref(), Some("ami-0123456789abcdef0"));
        assert_eq!(worker.tags["cost-center"], "4711");
        assert_eq!(worker.networks[0].security_group_ids, ["sg-0123456789abcdef0"]);
        let elsewhere = Place { region: "us-east-1".into(), ..place };
        let plain = worker_for(&policy, &elsewhere, None);
        assert_eq!(plain.instance_types, ["m7i.large"]);
        assert!(plain.networks.is_empty());
    }
}
