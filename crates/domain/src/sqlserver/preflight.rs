//! What must be true before a backup or a restore is asked for, as far as the instance itself can tell. Windows, option
//! group and running snapshots are for the coordinator to look at: they are told by the RDS API.

use super::keys;
use super::manifest::{Database, Manifest};
use super::options::RestoreOptions;
use super::server::{self, DatabaseFacts, Edition, ServerFacts};
use crate::failure::Failure;

/// Largest database that Express takes, in bytes.
const EXPRESS_BYTES: u64 = 10 << 30;

/// Whether these databases can be backed up. Gives what an operator should know all the same.
///
/// # Errors
/// One of them cannot, or the instance is set up so that none can.
pub fn backup(server: &ServerFacts, databases: &[&DatabaseFacts]) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    match server.compression {
        Some(true) if !server.edition().compresses() => {
            return Err(Failure::new(
                "sqlserver-compression-unsupported",
                "checking how the instance compresses native backups",
                format!("compression is switched on, which {} does not have", server.edition),
                "switch it off: rdsadmin.dbo.rds_set_configuration 'S3 backup compression', 'false'",
            ));
        }
        Some(true) => warnings.push(
            "the instance compresses its native backups, so that the repository hardly finds what has not changed since \
             the last one: switch it off with rdsadmin.dbo.rds_set_configuration 'S3 backup compression', 'false'"
                .to_owned(),
        ),
        Some(false) | None => {}
    }
    for database in databases {
        let what = format!("checking database {:?}", database.name);
        if database.has_filestream {
            let remedy = "leave the database out: name the others in the policy";
            let cause = "it has FILESTREAM data, which RDS does not back up";
            return Err(Failure::new("sqlserver-filestream", what, cause, remedy));
        }
        if let Err(too_large) = keys::files_for(database.bytes, None) {
            let remedy = "leave the database out, and protect it with snapshots";
            return Err(Failure::new("sqlserver-too-large", what, too_large.to_string(), remedy));
        }
        warnings.extend(limits(database));
    }
    Ok(warnings)
}

/// Where a backup of a database cannot be restored.
fn limits(database: &DatabaseFacts) -> Vec<String> {
    let name = &database.name;
    let mut warnings = Vec::new();
    if database.encrypted {
        warnings.push(format!(
            "database {name:?} is encrypted: it can only be restored where its certificate is (rds_backup_tde_certificate)"
        ));
    }
    if !database.recovery_model.is_empty() && !database.recovery_model.eq_ignore_ascii_case("FULL") {
        let model = &database.recovery_model;
        warnings.push(format!(
            "database {name:?} has the recovery model {model}: its backup cannot be restored on a Multi-AZ instance"
        ));
    }
    warnings
}

/// Whether a database of a point can be restored on this server. Gives what an operator should know all the same.
///
/// # Errors
/// It cannot.
pub fn restore(
    target: &ServerFacts,
    source: &Manifest,
    database: &Database,
    options: RestoreOptions,
) -> Result<Vec<String>, Failure> {
    let what = format!("restoring database {:?}", database.name);
    if let (Some(from), Some(to)) = (server::major(&source.server_version), target.major())
        && from > to
    {
        let cause = format!(
            "the point is of SQL Server {}, the target runs {}, and SQL Server reads no backup of a later version",
            source.server_version, target.version
        );
        let remedy = "restore into an instance of the same version or a newer one";
        return Err(Failure::new("restore-into-older-major", what, cause, remedy));
    }
    let edition = target.edition();
    if edition == Edition::Express && database.server_bytes > EXPRESS_BYTES {
        let bytes = database.server_bytes;
        let cause = format!("it has {bytes} bytes, and the target's edition takes {EXPRESS_BYTES} at most");
        return Err(Failure::new("sqlserver-edition", what, cause, "restore into an instance of another edition"));
    }
    if database.encrypted && !edition.compresses() {
        let cause = format!("it is encrypted (TDE), which {} does not have", target.edition);
        return Err(Failure::new("sqlserver-edition", what, cause, "restore into an instance of another edition"));
    }
    if options.keep_cdc && !edition.captures_changes() {
        let cause = format!("change data capture is to be kept, which {} does not have", target.edition);
        let remedy = "restore without --keep-cdc, or into an instance of another edition";
        return Err(Failure::new("sqlserver-edition", what, cause, remedy));
    }
    let mut warnings = Vec::new();
    if source.utc_offset_minutes != target.utc_offset_minutes {
        warnings.push(format!(
            "database {:?} comes from a server whose clock was {} minutes ahead of UTC, and the target's is {}: where that \
             is more than summer time, what it stores in local time means another moment here",
            database.name, source.utc_offset_minutes, target.utc_offset_minutes
        ));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::super::chain::tests::full;
    use super::super::manifest::tests as manifests;
    use super::super::server::tests::{database, server};
    use super::*;

    #[test]
    fn what_cannot_be_backed_up_is_refused_and_named() {
        type Break = fn(&mut ServerFacts, &mut DatabaseFacts);
        let cases: [(&str, Option<&str>, &str, Break); 9] = [
            ("Standard", None, "", |_, _| {}),
            ("Web", None, "", |_, _| {}),
            ("Web", Some("sqlserver-compression-unsupported"), "", |server, _| server.compression = Some(true)),
            ("Express", Some("sqlserver-compression-unsupported"), "", |server, _| server.compression = Some(true)),
            ("Enterprise", None, "compresses", |server, _| server.compression = Some(true)),
            ("Standard", Some("sqlserver-filestream"), "", |_, database| database.has_filestream = true),
            ("Standard", Some("sqlserver-too-large"), "", |_, database| database.bytes = 51_000_000_000_000),
            ("Standard", None, "certificate", |_, database| database.encrypted = true),
            ("Standard", None, "SIMPLE", |_, database| database.recovery_model = "SIMPLE".into()),
        ];
        for (edition, code, warned, change) in cases {
            let (mut server, mut database) = (server("15.0", edition), database("shop"));
            change(&mut server, &mut database);
            match backup(&server, &[&database]) {
                Ok(warnings) => {
                    assert_eq!((code, warnings.len()), (None, usize::from(!warned.is_empty())), "{warnings:?}");
                    assert!(warnings.iter().all(|warning| warning.contains(warned)), "{warnings:?}");
                }
                Err(failure) => assert_eq!(code, Some(failure.code.as_str()), "{failure}"),
            }
        }
    }

    #[test]
    fn a_target_must_be_able_to_take_it() {
        type Break = fn(&mut Manifest, &mut ServerFacts);
        let plain = RestoreOptions::default();
        let cases: [(&str, &str, Result<usize, &str>, Break); 8] = [
            ("15.0.1", "Standard", Ok(0), |_, _| {}),
            ("16.0.1", "Standard", Ok(0), |_, _| {}),
            ("14.0.1", "Standard", Err("restore-into-older-major"), |_, _| {}),
            ("15.0.1", "Express", Ok(0), |_, _| {}),
            ("15.0.1", "Express", Err("sqlserver-edition"), |point, _| point.databases[0].server_bytes = 11 << 30),
            ("15.0.1", "Web", Err("sqlserver-edition"), |point, _| point.databases[0].encrypted = true),
            ("15.0.1", "Standard", Ok(0), |point, _| point.databases[0].encrypted = true),
            ("15.0.1", "Standard", Ok(1), |_, target| target.utc_offset_minutes = 0),
        ];
        for (version, edition, expected, change) in cases {
            let mut point = manifests::manifest(vec![manifests::database("shop", full(1))]);
            let mut target = server(version, edition);
            change(&mut point, &mut target);
            let told = restore(&target, &point, &point.databases[0], plain);
            let told = told.map(|warnings| warnings.len()).map_err(|failure| failure.code);
            assert_eq!(told, expected.map_err(str::to_owned), "{version} {edition}");
        }
        let keep_cdc = RestoreOptions { keep_cdc: true, ..plain };
        let point = manifests::manifest(vec![manifests::database("shop", full(1))]);
        for (edition, expected) in [("Standard", None), ("Web", Some("sqlserver-edition"))] {
            let told = restore(&server("15.0.1", edition), &point, &point.databases[0], keep_cdc);
            assert_eq!(told.err().map(|failure| failure.code).as_deref(), expected, "{edition}");
        }
    }
}
