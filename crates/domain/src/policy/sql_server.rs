//! What a policy may say of SQL Server, and which key and which prepared bucket are for an instance.

use super::arn::Arn;
use super::model::{SqlServer, TemporaryBucket};
use super::validate::{Faults, is_region, repeated};
use crate::native_backup::logs::KEPT_DAYS;
use crate::native_backup::temporary::{is_bucket_name, is_key_prefix};
use crate::sqlserver::keys::MOST_FILES;

const MAX_DAYS: u32 = 365;

pub(super) fn check(found: &mut Faults, sqlserver: &SqlServer, regions: &[String]) {
    if let Some(files) = sqlserver.files.filter(|files| !(1..=MOST_FILES).contains(files)) {
        let remedy = "write 1 to 10, or remove the key: the size of a database decides by default";
        found.add("sqlserver.files", format!("{files} files are out of range"), remedy);
    }
    if let Some(days) = sqlserver.full_every_days.filter(|days| !(1..=MAX_DAYS).contains(days)) {
        let remedy = "write 1 to 365, or remove the key: every backup is full by default";
        found.add("sqlserver.full_every_days", format!("{days} days are out of range"), remedy);
    }
    check_keys(found, "sqlserver.kms_key", &sqlserver.kms_key, regions);
    check_keys(found, "sqlserver.log_kms_key", &sqlserver.log_kms_key, regions);
    if sqlserver.log_backups && sqlserver.full_every_days.is_none_or(|days| days > KEPT_DAYS) {
        let cause = "log backups stand on a full one, and RDS keeps them for seven days";
        found.add("sqlserver.log_backups", cause, "set sqlserver.full_every_days to 1 to 7, or remove the key");
    }
    if !sqlserver.log_backups && !sqlserver.log_kms_key.is_empty() {
        let cause = "it is for log backups, and sqlserver.log_backups does not ask for any";
        found.add("sqlserver.log_kms_key", cause, "write sqlserver.log_backups: true, or remove the key");
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

/// RDS uses a key of the instance's own Region alone. Once keys are named, no Region goes without: its backups would silently
/// not be encrypted, or its log not be copied.
fn check_keys(found: &mut Faults, field: &str, keys: &[String], regions: &[String]) {
    for arn in keys.iter().filter(|arn| region_of_key(arn).is_none()) {
        let remedy = "write the key's own ARN, arn:aws:kms:<region>:<account>:key/<id>, of a symmetric key of yours: RDS takes no alias";
        found.add(field, format!("{arn:?} is not the ARN of a KMS key"), remedy);
    }
    let of: Vec<String> = keys.iter().filter_map(|arn| region_of_key(arn)).collect();
    for (_, region) in repeated(of.iter().cloned()) {
        found.add(field, format!("two keys of {region} are named"), "name one for each Region");
    }
    for region in regions.iter().filter(|region| !keys.is_empty() && !of.contains(region)) {
        let remedy = "list a key of each of the policy's Regions, or give those without a policy of their own";
        found.add(field, format!("no key of {region} is named"), remedy);
    }
}

fn key_in<'k>(keys: &'k [String], region: &str) -> Option<&'k str> {
    let found = keys.iter().find(|arn| region_of_key(arn).as_deref() == Some(region));
    found.map(String::as_str)
}

fn region_of_key(arn: &str) -> Option<String> {
    arn.parse::<Arn>().ok().filter(Arn::is_kms_key).map(|arn| arn.region)
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
    /// ARN of the KMS key for instances of a Region.
    pub fn key_in(&self, region: &str) -> Option<&str> {
        key_in(&self.kms_key, region)
    }

    /// ARN of the KMS key that is named for copies of log backups of instances of a Region.
    pub fn log_key_in(&self, region: &str) -> Option<&str> {
        key_in(&self.log_kms_key, region)
    }

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
            kms_key: vec!["alias/mine".into()],
            log_kms_key: vec!["alias/logs".into()],
            log_backups: true,
            temporary_buckets: vec![
                bucket(Some("1"), "here", "B", Some("/x")),
                bucket(None, "eu-central-1", "fine", None),
                bucket(None, "eu-central-1", "again", Some("fine/too")),
            ],
        };
        let mut found = Faults::default();
        check(&mut found, &sqlserver, &[]);
        let at = "sqlserver.temporary_buckets";
        assert_eq!(
            found.fields(),
            [
                "sqlserver.files".to_owned(),
                "sqlserver.full_every_days".to_owned(),
                "sqlserver.kms_key".to_owned(),
                "sqlserver.log_kms_key".to_owned(),
                format!("{at}[0].account"),
                format!("{at}[0].region"),
                format!("{at}[0].bucket"),
                format!("{at}[0].prefix"),
                format!("{at}[2]"),
            ]
        );
        let mut none = Faults::default();
        let fine = SqlServer { files: Some(10), full_every_days: Some(7), ..SqlServer::default() };
        check(&mut none, &fine, &["eu-central-1".to_owned()]);
        assert_eq!(none.fields(), [""; 0]);
    }

    #[test]
    fn once_keys_are_named_each_region_has_one() {
        let key = |region: &str| format!("arn:aws:kms:{region}:111122223333:key/mrk-1");
        let regions = ["eu-central-1".to_owned(), "eu-west-1".to_owned()];
        let (here, there) = (key("eu-central-1"), key("eu-west-1"));
        let no_key = |arn: &str| format!("{arn:?} is not the ARN of a KMS key");
        let lacks = |region: &str| format!("no key of {region} is named");
        let others = [
            here.replace("key/", "alias/"),
            here.replace(":kms:", ":s3:"),
            here.replace("111122223333", ""),
            here.replace("mrk-1", ""),
            "1234abcd-12ab-34cd-56ef-1234567890ab".to_owned(),
        ];
        let mut cases = vec![
            (vec![], vec![]),
            (vec![here.clone(), there.clone()], vec![]),
            (vec![here.clone(), there.clone(), key("us-east-1")], vec![]),
            (vec![here.clone()], vec![lacks("eu-west-1")]),
            (vec![here.clone(), here.clone(), there.clone()], vec!["two keys of eu-central-1 are named".to_owned()]),
        ];
        cases.extend(others.map(|other| {
            let told = vec![no_key(&other), lacks("eu-central-1")];
            (vec![other, there.clone()], told)
        }));
        for (keys, expected) in cases {
            let logs = SqlServer { full_every_days: Some(7), log_backups: true, ..SqlServer::default() };
            for (field, sqlserver) in [
                ("sqlserver.kms_key", SqlServer { kms_key: keys.clone(), ..SqlServer::default() }),
                ("sqlserver.log_kms_key", SqlServer { log_kms_key: keys.clone(), ..logs }),
            ] {
                let mut found = Faults::default();
                check(&mut found, &sqlserver, &regions);
                assert!(found.fields().iter().all(|told| *told == field), "{found:?}");
                assert_eq!(found.messages(), expected, "{sqlserver:?}");
            }
        }
        let sqlserver =
            SqlServer { kms_key: vec![here.clone()], log_kms_key: vec![here, there.clone()], ..SqlServer::default() };
        assert_eq!((sqlserver.key_in("eu-west-1"), sqlserver.log_key_in("eu-west-1")), (None, Some(there.as_str())));
        assert_eq!((sqlserver.key_in("us-east-1"), sqlserver.log_key_in("us-east-1")), (None, None));
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
            check(&mut found, &SqlServer { full_every_days, log_backups, ..SqlServer::default() }, &[]);
            assert_eq!(found.fields(), faults, "{full_every_days:?}");
        }
    }

    #[test]
    fn a_key_for_log_backups_is_for_log_backups_alone() {
        let (regions, kms_key) =
            (["eu-central-1".to_owned()], vec!["arn:aws:kms:eu-central-1:111122223333:key/1".into()]);
        let logs = SqlServer { full_every_days: Some(7), log_backups: true, ..SqlServer::default() };
        let keys = SqlServer { kms_key: kms_key.clone(), log_kms_key: kms_key, ..logs };
        for (log_backups, faults) in [(true, &[][..]), (false, &["sqlserver.log_kms_key"])] {
            let mut found = Faults::default();
            check(&mut found, &SqlServer { log_backups, ..keys.clone() }, &regions);
            assert_eq!(found.fields(), faults);
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
