//! Whether RDS may back up and restore natively for an instance: its option group must have the option, in sync, with a role.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// The option.
pub const OPTION: &str = "SQLSERVER_BACKUP_RESTORE";
/// Its setting with the role that RDS assumes.
pub const ROLE: &str = "IAM_ROLE_ARN";

/// An option group of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Name.
    pub group: String,
    /// ARN.
    pub arn: String,
    /// How the instance stands to it, as RDS spells it: `in-sync`, `applying`.
    pub status: String,
    /// Settings of the option in it, by name; `None` where it does not have the option.
    pub settings: Option<BTreeMap<String, String>>,
}

/// What RDS may do for the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It may.
    Ready {
        /// Name of the group.
        group: String,
        /// ARN of the group.
        group_arn: String,
        /// ARN of the role that RDS assumes.
        role_arn: String,
    },
    /// It may once the group is applied, which needs no hand.
    Soon {
        /// Name of the group.
        group: String,
    },
}

/// Decides from the instance's option groups.
///
/// # Errors
/// A failure with the remedy, where somebody must change something first.
pub fn readiness(instance: &str, memberships: &[Membership]) -> Result<Readiness, Failure> {
    let what = format!("checking the option group of {instance}");
    let Some((membership, settings)) =
        memberships.iter().find_map(|membership| Some((membership, membership.settings.as_ref()?)))
    else {
        let names: Vec<&str> = memberships.iter().map(|membership| membership.group.as_str()).collect();
        let cause = format!("its option group ({}) does not have the option {OPTION}", names.join(", "));
        let remedy = format!(
            "add the option {OPTION} with a role to the instance's option group, apply it immediately, and let the role trust the instance: see docs/permissions.md"
        );
        return Err(Failure::new("native-backup-off", what, cause, remedy));
    };
    let group = membership.group.clone();
    let role_arn = settings.get(ROLE).filter(|role| !role.is_empty());
    match (membership.status.as_str(), role_arn) {
        (_, None) => {
            let cause = format!("the option {OPTION} of group {group} names no role");
            Err(Failure::new("native-backup-off", what, cause, format!("set {ROLE} of the option")))
        }
        ("in-sync", Some(role_arn)) => {
            Ok(Readiness::Ready { group_arn: membership.arn.clone(), role_arn: role_arn.clone(), group })
        }
        ("applying" | "pending-apply", Some(_)) => Ok(Readiness::Soon { group }),
        (status, Some(_)) => {
            let cause = format!("option group {group} is not in force: RDS reports it as {status:?}");
            let remedy = "apply the option group immediately, see the instance's events, then run the session again";
            Err(Failure::new("native-backup-not-in-sync", what, cause, remedy).retryable())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKUP_ROLE: &str = "arn:aws:iam::111122223333:role/native-backups";

    fn membership(group: &str, status: &str, settings: Option<&[(&str, &str)]>) -> Membership {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let arn = format!("arn:aws:rds:eu-central-1:111122223333:og:{group}");
        Membership { group: group.into(), arn, status: status.into(), settings: settings.map(owned) }
    }

    #[test]
    fn what_rds_may_do_and_what_must_be_done_first() {
        let with_role: &[_] = &[(ROLE, BACKUP_ROLE)];
        let table: [(Vec<Membership>, &str); 9] = [
            (vec![membership("backups", "in-sync", Some(with_role))], "ready"),
            (vec![membership("backups", "applying", Some(with_role))], "soon"),
            (vec![membership("backups", "pending-apply", Some(with_role))], "soon"),
            // On its way from one group to another.
            (
                vec![
                    membership("default", "pending-removal", None),
                    membership("backups", "applying", Some(with_role)),
                ],
                "soon",
            ),
            (vec![membership("backups", "pending-maintenance-apply", Some(with_role))], "native-backup-not-in-sync"),
            (vec![membership("backups", "failed", Some(with_role))], "native-backup-not-in-sync"),
            (vec![membership("backups", "in-sync", Some(&[(ROLE, "")]))], "native-backup-off"),
            (vec![membership("default:sqlserver-se-15-00", "in-sync", None)], "native-backup-off"),
            (Vec::new(), "native-backup-off"),
        ];
        for (memberships, expected) in table {
            let found = match readiness("crm", &memberships) {
                Ok(Readiness::Ready { role_arn, .. }) => {
                    assert_eq!(role_arn, BACKUP_ROLE);
                    "ready".to_owned()
                }
                Ok(Readiness::Soon { .. }) => "soon".to_owned(),
                Err(failure) => {
                    assert!(!failure.remedy.is_empty(), "{failure}");
                    failure.code
                }
            };
            assert_eq!(found, expected, "{memberships:?}");
        }
    }
}
