//! The copy of log backups to S3: by the service itself, not by the option group's role, so that the bucket's policy decides.
//!
//! A key encrypts the files as it does those of a full backup, and there the role decides. AWS says of instances with encrypted
//! storage only that the key is needed. That the files are encrypted with it is inferred from how they are restored: with
//! `@kms_master_key_arn`.

use std::sync::Arc;

use super::super::bucket::{Bucket, S3Error};
use super::super::frames::Packer;
use super::super::log_target::LogTarget;
use super::{Failure, NOT_ENABLED, Run};

/// What RDS says of any bucket that does not let it write.
const NO_PERMISSION: &str = "There was a permissions error in processing the request. Ensure the bucket is in the same Account and Region as the DB Instance, and confirm the S3 bucket policy permissions against the template in the public documentation.";

pub(super) async fn run(run: &Run) -> Result<(), Failure> {
    let (instance, order) = (&run.instance, &run.task.order);
    let surroundings = &instance.surroundings;
    if !surroundings.is_backup_enabled(&instance.id) {
        return Err(Failure(vec![NOT_ENABLED.to_owned()]));
    }
    let target = LogTarget::parse(&order.arn)?;
    let fits = surroundings.bucket(&target.bucket).is_some_and(|bucket| {
        bucket.region == surroundings.region() && bucket.prefers_owner && !bucket.is_encrypted_by_kms
    });
    if !fits {
        return Err(Failure(vec![NO_PERMISSION.to_owned()]));
    }
    let data_keys = run.data_keys(order.logs.len()).await?;
    let bucket = Bucket::new(Arc::clone(surroundings), surroundings.log_writer(&instance.id), &target.bucket);
    for ((number, sequence), data_key) in (1_u64..).zip(&order.logs).zip(data_keys) {
        let found = instance.read(|state| {
            let database = state.get(&order.database)?;
            let backup = database.log.backups.iter().find(|backup| backup.sequence == *sequence)?;
            Some((backup.key(database), backup.contents(database)))
        });
        let missing = || Failure(vec![format!("Transaction log backup {sequence} is not there any more.")]);
        let (name, (header, records)) = found.ok_or_else(missing)?;
        let key = target.key(&name);
        let open = data_key.as_ref().map(|key| key.open);
        let packed =
            tokio::task::spawn_blocking(move || Packer::new(false, open.as_ref())?.push(records.image(&header), true));
        bucket.put(&key, packed.await??.into(), data_key.as_ref()).await.map_err(|error| match error {
            S3Error::Denied | S3Error::NoBucket => Failure(vec![NO_PERMISSION.to_owned()]),
            other => other.into(),
        })?;
        run.note(&format!("{}: S3 processing completed successfully", super::backup::name_of(&key)));
        run.progress(number, order.logs.len() as u64)?;
    }
    Ok(())
}
