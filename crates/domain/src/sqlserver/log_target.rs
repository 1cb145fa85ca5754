//! An instance that may still copy log backups to a session's place, since nobody could put back what was there, and how that
//! is said.

use std::fmt::Display;

use crate::failure::Failure;
use crate::native_backup::temporary::{FOLDER_ROLE, NAME_PREFIX};

/// Code of the failure.
pub const CODE: &str = "sqlserver-log-target-left";

/// The failure of a session that would have ended without one. `before` is the ARN that the instance had, `why` what kept it
/// from being put back. The remedy is the statement to run.
pub fn left(instance: &str, before: &str, why: impl Display) -> Failure {
    let literal = before.replace('\'', "''");
    Failure::new(
        CODE,
        format!("having {instance} copy log backups to {before} again"),
        format!("{instance} may still copy them to the temporary bucket, and not to {before}: {why}"),
        format!("run on the instance: exec msdb.dbo.rds_tlog_copy_setup @target_s3_arn = N'{literal}'"),
    )
}

/// Whether a text says it: the warning of a backup that is complete all the same.
pub fn is_said_in(warning: &str) -> bool {
    warning.contains(&format!("[{CODE}]: "))
}

/// Says in the failure that a session ends with what is left.
#[must_use]
pub fn add_to(mut failure: Failure, left: &Failure) -> Failure {
    failure.cause.push_str(&format!("; and then, {}: {}", left.what, left.cause));
    failure.remedy = format!("{}; {}", left.remedy, failure.remedy);
    failure
}

/// Whether a place is one that a session had log backups copied to: in a bucket that the coordinator has made, or in a session's
/// folder of one that was prepared. Once that session is over nothing is there any more.
pub fn is_of_session(arn: &str) -> bool {
    let Some((_, place)) = arn.split_once(":::") else { return false };
    let (bucket, key) = place.trim().split_once('/').unwrap_or((place, ""));
    let folder = key.trim_end_matches('/').strip_suffix("/log").and_then(|key| key.rsplit('/').next());
    let is_folder = |folder: &str| {
        folder.starts_with("haulier-") && folder.strip_suffix(FOLDER_ROLE).is_some_and(|rest| rest.ends_with('-'))
    };
    bucket.starts_with(NAME_PREFIX) || folder.is_some_and(is_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_session_that_is_over_is_nobodys() {
        for (arn, expected) in [
            ("arn:aws:s3:::haulier-temporary-0123-1-eu/haulier-0123-native/log", true),
            ("arn:aws-cn:s3:::haulier-temporary-0123", true),
            ("arn:aws:s3:::prepared/haulier-0123-native/log", true),
            ("arn:aws:s3:::prepared/backups/haulier-0123-native/log/", true),
            ("arn:aws:s3:::our-logs/haulier-temporary-", false),
            ("arn:aws:s3:::our-logs/haulier-0123-native", false),
            ("arn:aws:s3:::our-logs/haulier-0123-native/log/shop", false),
            ("arn:aws:s3:::our-logs/log", false),
            ("arn:aws:s3:::our-logs", false),
            ("", false),
        ] {
            assert_eq!(is_of_session(arn), expected, "{arn}");
        }
    }

    #[test]
    fn the_place_is_named_with_the_statement_to_run() {
        let left = left("orders", "arn:aws:s3:::it's/logs", "it was not done in time");
        assert!(left.cause.contains("it's/logs: it was not done in time"), "{left}");
        assert!(is_said_in(&left.to_string()) && !is_said_in(&left.cause), "{left}");
        assert!(left.remedy.ends_with("exec msdb.dbo.rds_tlog_copy_setup @target_s3_arn = N'arn:aws:s3:::it''s/logs'"));
        let said = add_to(Failure::new("x", "backing up", "no", "see there").retryable(), &left);
        assert!(said.code == "x" && said.retryable && said.cause.starts_with("no; and then, "), "{said}");
        assert!(said.cause.ends_with(&left.cause) && said.remedy == format!("{}; see there", left.remedy), "{said}");
    }
}
