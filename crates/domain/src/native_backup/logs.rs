//! Log backups, as far as AWS allows them for an instance at all. RDS User Guide, "Access to transaction log backups with RDS for
//! SQL Server".

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
}

/// Whether RDS gives log backups of the instance.
///
/// # Errors
/// It does not.
pub fn allowed(facts: Facts<'_>) -> Result<(), Failure> {
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
    if facts.encrypted {
        let cause = "its storage is encrypted: RDS then copies log backups only with a customer managed key, which Haulier does \
                     not support yet"
            .to_owned();
        return refuse(cause, "remove sqlserver.log_backups from the policies of this instance");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_does_not_allow_is_refused_with_the_reason() {
        let fine = Facts { instance: "orders", retention_days: 1, encrypted: false, replica_of: None };
        assert_eq!(allowed(fine), Ok(()));
        for (facts, said) in [
            (Facts { retention_days: 0, ..fine }, "automated backups are off"),
            (Facts { encrypted: true, ..fine }, "not support yet"),
            (Facts { replica_of: Some("primary"), retention_days: 0, ..fine }, "replica of primary"),
        ] {
            let failure = allowed(facts).unwrap_err();
            assert_eq!(failure.code, CODE);
            assert!(failure.cause.contains(said) && !failure.remedy.is_empty(), "{failure}");
        }
    }
}
