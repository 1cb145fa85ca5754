//! Whether RDS can encrypt native backups with a key of KMS: it takes a symmetric key of the customer's own, enabled, and not the
//! account's default key. Whether the option group's role may use the key lies in two policies, that of the role and that of the
//! key; RDS says so where they do not allow it.

use crate::failure::Failure;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// RDS encrypts native backups with it.
    Backups,
    /// RDS copies log backups with it.
    Logs,
}

impl Purpose {
    /// The key of a policy that names it, and what it is named for.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Backups => ("sqlserver.kms_key", "native backups"),
            Self::Logs => ("sqlserver.log_kms_key", "log backups"),
        }
    }
}

/// A key as KMS describes it, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// `Enabled`, `Disabled`, `PendingDeletion`, …
    pub state: String,
    /// `SYMMETRIC_DEFAULT`, which does nothing but encrypt and decrypt; `RSA_4096`, `HMAC_256`, …
    pub spec: String,
    /// `CUSTOMER`, or `AWS` for the keys that services make.
    pub manager: String,
}

/// Decides from what KMS says of the key of that ARN; `None` where there is none.
///
/// # Errors
/// RDS cannot use it.
pub fn usable(instance: &str, purpose: Purpose, arn: &str, found: Option<&KeyFacts>) -> Result<(), Failure> {
    let (field, backups) = purpose.words();
    let other = format!("name a symmetric key of your own, in the instance's Region, as {field} of the policy");
    let what = || format!("checking the KMS key of the {backups} of {instance}");
    let Some(key) = found else {
        return Err(Failure::new("sqlserver-key-missing", what(), format!("key {arn} does not exist"), other));
    };
    let unfit = |cause: String, remedy: &str| Err(Failure::new("sqlserver-key-unfit", what(), cause, remedy));
    if key.spec != "SYMMETRIC_DEFAULT" {
        return unfit(format!("key {arn} is of the kind {}, and RDS takes symmetric keys", key.spec), &other);
    }
    if key.manager != "CUSTOMER" {
        return unfit(format!("key {arn} is managed by {}, and RDS takes no such key", key.manager), &other);
    }
    if key.state != "Enabled" {
        let remedy = "enable the key, or cancel its deletion, then run again; or name another";
        return unfit(format!("key {arn} cannot be used: KMS says that it is {}", key.state), remedy);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rds_takes_enabled_symmetric_keys_of_the_customer() {
        type Break = fn(&mut KeyFacts);
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/1";
        let key = KeyFacts {
            state: "Enabled".to_owned(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            manager: "CUSTOMER".to_owned(),
        };
        let cases: [(Break, Option<&str>); 5] = [
            (|_| {}, None),
            (|key| key.state = "Disabled".into(), Some("it is Disabled")),
            (|key| key.state = "PendingDeletion".into(), Some("it is PendingDeletion")),
            (|key| key.spec = "RSA_2048".into(), Some("RSA_2048")),
            (|key| key.manager = "AWS".into(), Some("managed by AWS")),
        ];
        for (change, expected) in cases {
            let mut key = key.clone();
            change(&mut key);
            match (usable("crm", Purpose::Backups, arn, Some(&key)), expected) {
                (Ok(()), None) => {}
                (Err(failure), Some(part)) => {
                    assert!(failure.code == "sqlserver-key-unfit" && failure.cause.contains(part), "{failure}");
                }
                (other, _) => panic!("{key:?}: {other:?}"),
            }
        }
        for (purpose, field) in [(Purpose::Backups, "sqlserver.kms_key"), (Purpose::Logs, "sqlserver.log_kms_key")] {
            let failure = usable("crm", purpose, arn, None).unwrap_err();
            assert!(failure.code == "sqlserver-key-missing" && failure.remedy.contains(field), "{failure}");
        }
    }
}
