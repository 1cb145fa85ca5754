//! Export of native backups: what their files are called, what lies beside them, and how SQL Server takes them back.

use super::keys::BackupType;
use super::manifest::{Database, File, Manifest};
use crate::file_name;
use crate::id::PointId;

/// The names of the files that a database's backup goes to, in their order: `shop.bak`, `shop.differential.bak`,
/// `shop.1-of-4.bak`; of log backups `shop.3507.trn`, by RDS's number of each.
pub fn file_names(database: &Database) -> Vec<String> {
    let stem = file_name::stem(&database.name);
    let kind = if database.backup_type == BackupType::Differential { ".differential" } else { "" };
    if database.backup_type == BackupType::Log {
        return database.logs().map(|(log, _)| format!("{stem}.{}.trn", log.sequence)).collect();
    }
    let count = database.files.len();
    let number = |place: usize| if count > 1 { format!(".{}-of-{count}", place + 1) } else { String::new() };
    (0..count).map(|place| format!("{stem}{kind}{}.bak", number(place))).collect()
}

/// What lies beside a file of that name which RDS has encrypted: its name, and its contents, the metadata of its object as a
/// JSON object, as `aws s3 cp --metadata` takes it. Nothing beside other files.
pub fn metadata_file(database: &Database, file: &File, name: &str) -> Option<(String, String)> {
    let object: serde_json::Map<_, _> =
        file.metadata.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let json = format!("{:#}\n", serde_json::Value::from(object));
    database.kms_key_arn.as_ref().map(|_| (format!("{name}.metadata.json"), json))
}

/// What is to be known of the files of these databases before somebody restores them.
/// `foundation` is the point that theirs stands on: the manifest of a copied one names the original's.
pub fn remarks(manifest: &Manifest, chosen: &[&Database], foundation: Option<&PointId>) -> Vec<String> {
    let version = &manifest.server_version;
    let mut remarks = vec![format!("SQL Server must be of version {version} or a later one to read these files.")];
    for database in chosen {
        let name = &database.name;
        let is_log = database.backup_type == BackupType::Log;
        match (foundation.or(database.stands_on.as_ref()), database.backup_type) {
            (Some(full), BackupType::Log) => {
                // What RDS has encrypted, nothing else restores.
                let (without_recovery, end) = match database.kms_key_arn {
                    Some(_) => ("with @with_norecovery = 1", "rds_finish_restore"),
                    None => ("WITH NORECOVERY", "RESTORE DATABASE … WITH RECOVERY"),
                };
                remarks.push(format!(
                    "The backups of {name:?} are of its log: restore the full one of restore point {full} first, then each of \
                     these in its order, all {without_recovery}, and end with {end}."
                ));
            }
            (Some(full), BackupType::Differential) => remarks.push(format!(
                "The backup of {name:?} is differential: restore the full one of restore point {full} first, WITH NORECOVERY."
            )),
            (None, _) | (_, BackupType::Full) => {}
        }
        if database.encrypted {
            remarks.push(format!("{name:?} is encrypted: the server needs its certificate."));
        }
        if let Some(key) = &database.kms_key_arn {
            let procedure = if is_log { "rds_restore_log" } else { "rds_restore_database" };
            remarks.push(format!(
                "RDS has encrypted the backup of {name:?} with KMS key {key}, and nothing but RDS can read it: upload each file with \
                 the metadata beside it (.metadata.json), without which it is worthless, and restore it with {procedure}, \
                 @kms_master_key_arn that key."
            ));
        }
    }
    remarks
}

/// The statements by which SQL Server restores a database from these files: one for each log backup.
pub fn restore_statements(database: &str, backup_type: BackupType, files: &[String]) -> Vec<String> {
    let name = database.replace(']', "]]");
    let disk = |file: &String| format!("DISK = N'{}'", file.replace('\'', "''"));
    match backup_type {
        BackupType::Log => {
            files.iter().map(|file| format!("RESTORE LOG [{name}] FROM {} WITH NORECOVERY", disk(file))).collect()
        }
        BackupType::Full | BackupType::Differential => {
            let disks: Vec<_> = files.iter().map(disk).collect();
            vec![format!("RESTORE DATABASE [{name}] FROM {}", disks.join(", "))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::tests::{differential, full};
    use super::super::log_chain::tests::log;
    use super::super::manifest::tests::{database, manifest};
    use super::*;

    #[test]
    fn every_file_has_a_name_of_its_own() {
        let base = full(1);
        let mut striped = database("a/b", base.clone());
        striped.files = vec![striped.files[0].clone(), striped.files[0].clone()];
        assert_eq!(file_names(&striped), ["a%2Fb.1-of-2.bak", "a%2Fb.2-of-2.bak"]);
        assert_eq!(file_names(&database("shop", base.clone())), ["shop.bak"]);
        assert_eq!(file_names(&database("shop", differential(2, &base))), ["shop.differential.bak"]);
    }

    #[test]
    fn metadata_lies_beside_encrypted_files_alone() {
        let mut shop = database("shop", full(1));
        shop.files[0].metadata = [("x-amz-iv".to_owned(), "a\"b".to_owned())].into();
        assert_eq!(metadata_file(&shop, &shop.files[0], "shop.bak"), None);
        shop.kms_key_arn = Some("arn:aws:kms:eu-central-1:111122223333:key/1".to_owned());
        let (name, json) = metadata_file(&shop, &shop.files[0], "shop.bak").unwrap();
        assert_eq!((name.as_str(), json.as_str()), ("shop.bak.metadata.json", "{\n  \"x-amz-iv\": \"a\\\"b\"\n}\n"));
    }

    #[test]
    fn what_a_restore_needs_is_said() {
        let base = full(1);
        let mut shop = database("shop", differential(2, &base));
        shop.encrypted = true;
        shop.kms_key_arn = Some("arn:aws:kms:eu-central-1:111122223333:key/1".to_owned());
        let manifest = manifest(vec![shop, database("crm", base)]);
        let chosen: Vec<_> = manifest.databases.iter().collect();
        let told = remarks(&manifest, &chosen, None);
        for (remark, part) in told.iter().skip(1).zip(["pnt-full", "certificate", "key/1"]) {
            assert!(remark.contains(part), "{remark}");
        }
        assert_eq!(told.len(), 4);
        let files = ["it's.1".to_owned(), "2".to_owned()];
        let of = |backup_type| restore_statements("a]b", backup_type, &files);
        assert_eq!(of(BackupType::Full), ["RESTORE DATABASE [a]]b] FROM DISK = N'it''s.1', DISK = N'2'"]);
        let each = |file: &str| format!("RESTORE LOG [a]]b] FROM DISK = N'{file}' WITH NORECOVERY");
        assert_eq!(of(BackupType::Log), [each("it''s.1"), each("2")]);
        let logs = super::super::manifest::tests::logs("shop", &[log(3507, 1, 2), log(3508, 2, 3)]);
        let copy = "pnt-copy".parse().ok();
        for (foundation, full) in [(None, "pnt-full"), (copy.as_ref(), "pnt-copy")] {
            let told = &remarks(&manifest, &[&logs], foundation)[1];
            assert!(told.contains("of its log") && told.contains(full) && !told.contains("  "), "{told}");
            assert!(told.contains("WITH RECOVERY"), "{told}");
        }
        let encrypted =
            Database { kms_key_arn: Some("arn:aws:kms:eu-central-1:111122223333:key/1".into()), ..logs.clone() };
        let told = remarks(&manifest, &[&encrypted], None);
        assert!(told[1].contains("rds_finish_restore") && !told[1].contains("WITH RECOVERY"), "{told:?}");
        assert!(told[2].contains("key/1") && told[2].contains("rds_restore_log"), "{told:?}");
        assert_eq!(file_names(&logs), ["shop.3507.trn", "shop.3508.trn"]);
    }
}
