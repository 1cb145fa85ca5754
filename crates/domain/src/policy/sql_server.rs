//! What a policy may say of SQL Server, and which prepared bucket is for an instance.

use super::model::{SqlServer, TemporaryBucket};
use super::validate::{Faults, is_region, repeated};
use crate::native_backup::logs::KEPT_DAYS;
use crate::native_backup::temporary::{is_bucket_name, is_key_prefix};

/// Files of one backup that RDS writes and reads at most.
const MAX_FILES: u32 = 10;
const MAX_DAYS: u32 = 365;

pub(super) fn check(found: &mut Faults, sqlserver: &SqlServer) {
    if let Some(files) = sqlserver.files.filter(|files| !(1..=MAX_FILES).contains(files)) {
        let remedy = "write 1 to 10, or remove the key: the size of a database decides by default";
        found.add("sqlserver.files", format!("{files} files are out of range"), remedy);
    }
    if let Some(days) = sqlserver.full_every_days.filter(|days| !(1..=MAX_DAYS).contains(days)) {
        let remedy = "write 1 to 365, or remove the key: every backup is full by default";
        found.add("sqlserver.full_every_days", format!("{days} days are out of range"), remedy);
    }
    if sqlserver.log_backups && sqlserver.full_every_days.is_none_or(|days| days > KEPT_DAYS) {
        let cause = "log backups stand on a full one, and RDS keeps them for seven days";
        found.add("sqlserver.log_backups", cause, "set sqlserver.full_every_days to 1 to 7, or remove the key");
    }
    for (index, bucket) in sqlserver.temporary_buckets.iter().enumerate() {
        check_bucket(found, &format!("sqlserver.temporary_buckets[{index}]"), bucket);
    }
    let places = sqlserver.temporary_buckets.iter().map(|bucket| (bucket.region.clone(), bucket.account.clone()));
    for (index, (region, _)) in repeated(places) {
        let at = format!("sqlserver.temporary_buckets[{index}]");
        found.add(at, format!("a bucket for {region} stands above already"), "name one for each account and Region");
    }
}

fn check_bucket(found: &mut Faults, at: &str, bucket: &TemporaryBucket) {
    let TemporaryBucket { account, region, bucket, prefix } = bucket;
    let digits = |id: &&String| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(id) = account.as_ref().filter(|id| !digits(id)) {
        let remedy = "write twelve digits, in quotes";
        found.add(format!("{at}.account"), format!("{id:?} is not an account number"), remedy);
    }
    if !is_region(region) {
        found.add(format!("{at}.region"), format!("{region:?} is not a Region"), "write it as in eu-central-1");
    }
    if !is_bucket_name(bucket) {
        let remedy = "use 3 to 63 of a-z, 0-9, '.' and '-', with a letter or digit at both ends";
        found.add(format!("{at}.bucket"), format!("{bucket:?} is not a name of a bucket"), remedy);
    }
    if let Some(prefix) = prefix.as_ref().filter(|prefix| !is_key_prefix(prefix)) {
        let remedy = "use 1 to 200 letters, digits and any of ! - _ . ' ( ) /, without a slash at either end";
        found.add(format!("{at}.prefix"), format!("{prefix:?} is not a prefix"), remedy);
    }
}

impl SqlServer {
    /// The prepared bucket for instances of an account and Region: one for the account rather than one for all.
    pub fn bucket_in(&self, account: &str, region: &str) -> Option<&TemporaryBucket> {
        let fits = |bucket: &&TemporaryBucket| {
            bucket.region == region && bucket.account.as_deref().is_none_or(|wanted| wanted == account)
        };
        self.temporary_buckets.iter().filter(fits).max_by_key(|bucket| bucket.account.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(account: Option<&str>, region: &str, bucket: &str, prefix: Option<&str>) -> TemporaryBucket {
        let (account, prefix) = (account.map(str::to_owned), prefix.map(str::to_owned));
        TemporaryBucket { account, region: region.into(), bucket: bucket.into(), prefix }
    }

    #[test]
    fn every_fault_has_its_place() {
        let sqlserver = SqlServer {
            files: Some(11),
            full_every_days: Some(0),
            log_backups: false,
            temporary_buckets: vec![
                bucket(Some("1"), "here", "B", Some("/x")),
                bucket(None, "eu-central-1", "fine", None),
                bucket(None, "eu-central-1", "again", Some("fine/too")),
            ],
        };
        let mut found = Faults::default();
        check(&mut found, &sqlserver);
        let at = "sqlserver.temporary_buckets";
        assert_eq!(
            found.fields(),
            [
                "sqlserver.files".to_owned(),
                "sqlserver.full_every_days".to_owned(),
                format!("{at}[0].account"),
                format!("{at}[0].region"),
                format!("{at}[0].bucket"),
                format!("{at}[0].prefix"),
                format!("{at}[2]"),
            ]
        );
        let mut none = Faults::default();
        let fine = SqlServer { files: Some(10), full_every_days: Some(7), ..SqlServer::default() };
        check(&mut none, &fine);
        assert_eq!(none.fields(), [""; 0]);
    }

    #[test]
    fn log_backups_need_a_full_one_every_week() {
        for (full_every_days, log_backups, faults) in [
            (Some(7), true, &[][..]),
            (Some(8), true, &["sqlserver.log_backups"]),
            (None, true, &["sqlserver.log_backups"]),
            (None, false, &[]),
        ] {
            let mut found = Faults::default();
            check(&mut found, &SqlServer { full_every_days, log_backups, ..SqlServer::default() });
            assert_eq!(found.fields(), faults, "{full_every_days:?}");
        }
    }

    #[test]
    fn the_bucket_of_the_account_goes_before_that_of_all() {
        let everybodys = bucket(None, "eu-central-1", "everybodys", None);
        let own = bucket(Some("111122223333"), "eu-central-1", "own", None);
        let sqlserver = SqlServer { temporary_buckets: vec![own, everybodys], ..SqlServer::default() };
        let name = |account, region| sqlserver.bucket_in(account, region).map(|bucket| bucket.bucket.as_str());
        assert_eq!(name("111122223333", "eu-central-1"), Some("own"));
        assert_eq!(name("444455556666", "eu-central-1"), Some("everybodys"));
        assert_eq!(name("111122223333", "eu-west-1"), None);
    }
}
