//! Log backups, as far as AWS allows them for an instance at all, and the KMS key that it copies them with. RDS User Guide, "Access to
//! transaction log backups with RDS for SQL Server": copies of an instance with encrypted storage need a customer managed key,
//! and those of another one take none.

use crate::failure::Failure;

/// Stable code of the refusal.
pub const CODE: &str = "log-backups-unavailable";

/// Days for which RDS keeps log backups within reach, whatever the retention of automated backups.
pub const KEPT_DAYS: u32 = 7;

/// What decides about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// `DBInstanceIdentifier`.
    pub instance: &'a str,
    /// `BackupRetentionPeriod`.
    pub retention_days: u32,
    /// `StorageEncrypted`.
    pub encrypted: bool,
    /// `ReadReplicaSourceDBInstanceIdentifier`.
    pub replica_of: Option<&'a str>,
    /// ARN of the key that the policy names for native backups, `sqlserver.kms_key`.
    pub kms_key: Option<&'a str>,
    /// ARN of the key that it names for log backups, `sqlserver.log_kms_key`.
    pub log_kms_key: Option<&'a str>,
}

/// Whether RDS gives log backups of the instance. Gives the ARN of the KMS key that it is to copy them with: that for log backups, or
/// else that for all; `None` where it takes none.
///
/// # Errors
/// It gives none, or would copy them without a key though the policy wants native backups encrypted.
pub fn allowed(facts: Facts<'_>) -> Result<Option<&str>, Failure> {
    let instance = facts.instance;
    let refuse = |cause: String, remedy: &str| {
        let what = format!("checking whether RDS gives log backups of {instance}");
        Err(Failure::new(CODE, what, cause, remedy))
    };
    if let Some(source) = facts.replica_of {
        let cause = format!("it is a read replica of {source}, and RDS gives log backups of primary instances alone");
        return refuse(cause, "name the primary instance in the policy, or remove sqlserver.log_backups");
    }
    if facts.retention_days == 0 {
        let cause = "its automated backups are off, and RDS backs up logs only where they are on".to_owned();
        let remedy = "set the instance's backup retention to one day or more, or remove sqlserver.log_backups";
        return refuse(cause, remedy);
    }
    match (facts.encrypted, facts.log_kms_key.or(facts.kms_key)) {
        (true, None) => {
            let cause =
                "its storage is encrypted: RDS then copies log backups only with a customer managed key".to_owned();
            let remedy = "name a symmetric key of your own, in the instance's Region, as sqlserver.log_kms_key of the policy, or \
                          remove sqlserver.log_backups";
            refuse(cause, remedy)
        }
        (true, key) => Ok(key),
        (false, _) if facts.kms_key.is_some() => {
            let cause = "its storage is not encrypted: RDS then takes no key for log backups, and would copy them without the one \
                         that sqlserver.kms_key names"
                .to_owned();
            let remedy = "give the instance encrypted storage, or remove sqlserver.kms_key or sqlserver.log_backups from its policy";
            refuse(cause, remedy)
        }
        (false, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Facts<'_> = Facts {
        instance: "orders",
        retention_days: 1,
        encrypted: false,
        replica_of: None,
        kms_key: None,
        log_kms_key: None,
    };

    #[test]
    fn what_aws_does_not_allow_is_refused_with_the_reason() {
        let kms_key = Some("arn:all");
        for (facts, said, remedy) in [
            (Facts { retention_days: 0, ..FINE }, "automated backups are off", "backup retention"),
            (Facts { encrypted: true, ..FINE }, "storage is encrypted", "sqlserver.log_kms_key"),
            (Facts { kms_key, ..FINE }, "storage is not encrypted", "remove sqlserver.kms_key"),
            (Facts { kms_key, log_kms_key: Some("arn:logs"), ..FINE }, "storage is not encrypted", "encrypted storage"),
            (
                Facts { replica_of: Some("primary"), retention_days: 0, ..FINE },
                "replica of primary",
                "primary instance",
            ),
        ] {
            let failure = allowed(facts).unwrap_err();
            assert_eq!(failure.code, CODE);
            assert!(failure.cause.contains(said) && failure.remedy.contains(remedy), "{failure}");
        }
    }

    #[test]
    fn the_log_of_encrypted_storage_is_copied_with_a_key_and_no_other() {
        let (kms_key, log_kms_key) = (Some("arn:all"), Some("arn:logs"));
        for (facts, key) in [
            (FINE, None),
            (Facts { log_kms_key, ..FINE }, None),
            (Facts { encrypted: true, log_kms_key, ..FINE }, log_kms_key),
            (Facts { encrypted: true, kms_key, ..FINE }, kms_key),
            (Facts { encrypted: true, kms_key, log_kms_key, ..FINE }, log_kms_key),
        ] {
            assert_eq!(allowed(facts), Ok(key), "{facts:?}");
        }
    }
}
