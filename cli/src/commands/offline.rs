//! `point list`, `point show` and `point export` without a coordinator.

mod meter;

use std::io::Write;
use std::path::Path;

use haulier_domain::native_backup::Engine;
use haulier_domain::sqlserver::export::restore_statements;
use haulier_proto::control::v1 as control;

use super::point::print;
use crate::Io;
use crate::args::place::{ExportArguments, Place};
use crate::exit::{CliError, Exit};
use crate::export::native::{ExportedBackup, ExportedNatively};
use crate::export::{self, Exported, ExportedDatabase};
use crate::offline::{Opened, latest_proof};
use crate::output::{self, Format, Row};
use crate::view::{PointView, ProofView};
use meter::Meter;

/// A command that asks no coordinator: it reads the repository itself.
pub(super) enum OfflineCommand {
    /// The points, or those of one DB instance.
    List { place: Place, resource: Option<String> },
    /// One point.
    Show { place: Place, id: String },
    /// One point as archives.
    Export(Box<ExportArguments>),
}

pub(super) async fn run(command: OfflineCommand, format: Format, io: &mut Io) -> Result<Exit, CliError> {
    tokio::select! {
        exit = async {
            match command {
                OfflineCommand::List { place, resource } => list(&place, resource.as_deref(), format, io).await,
                OfflineCommand::Show { place, id } => show(&place, &id, format, io).await,
                OfflineCommand::Export(arguments) => export(&arguments, format, io).await,
            }
        } => exit,
        // What is half-written goes away.
        signal = interrupted() => Err(CliError::new(
            Exit::Failure,
            "interrupted",
            "reading the repository",
            format!("somebody ended the command ({signal})"),
            "run it again; what was complete is named above",
        )),
    }
}

async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => "SIGINT",
        Some(()) = terminated.recv() => "SIGTERM",
        else => std::future::pending().await,
    }
}

async fn list(place: &Place, resource: Option<&str>, format: Format, io: &mut Io) -> Result<Exit, CliError> {
    let opened = Opened::at(place).await?;
    let repository = opened.repository.repository().id().to_string();
    let points = opened.points().await?;
    let views: Vec<_> = points
        .found
        .into_iter()
        .map(|root| PointView::of_root(root, &repository))
        .filter(|view| resource.is_none_or(|resource| view.resource == resource))
        .collect();
    output::list(&mut io.out, format, &views)?;
    for error in &points.unreadable {
        error.write(&mut io.err, format)?;
    }
    Ok(if points.unreadable.is_empty() { Exit::Success } else { Exit::Incomplete })
}

async fn show(place: &Place, id: &str, format: Format, io: &mut Io) -> Result<Exit, CliError> {
    let opened = Opened::at(place).await?;
    let repository = opened.repository.repository().id().to_string();
    let (domain, root) = opened.point(id, &std::env::temp_dir()).await?;
    let proof = latest_proof(&domain, &root.point).await?;
    let latest_proof = proof.map(control::Proof::from).map(ProofView::from);
    let view = PointView { latest_proof, ..PointView::of_root(root, &repository) };
    print(io, format, &view)?;
    Ok(Exit::Success)
}

async fn export(arguments: &ExportArguments, format: Format, io: &mut Io) -> Result<Exit, CliError> {
    let ExportArguments { id, place, databases, to } = arguments;
    let opened = Opened::at(place).await?;
    let (domain, root) = opened.point(id, &std::env::temp_dir()).await?;
    let mut meter = Meter::new(&mut io.err, io.err_is_terminal);
    if Engine::of_point(&root.engine) == Some(Engine::SqlServer) {
        let exported = export::native::run(&domain, &root, databases, to, &mut meter).await;
        meter.end();
        let exported = exported?;
        match format {
            Format::Json => output::json(&mut io.out, &exported)?,
            Format::Table => {
                output::table(&mut io.out, &exported.databases)?;
                advise_natively(&mut io.err, &exported)?;
            }
        }
        return Ok(Exit::Success);
    }
    let exported = export::run(&domain, &root, databases, to, &mut meter).await;
    meter.end();
    let exported = exported?;
    match format {
        Format::Json => output::json(&mut io.out, &exported)?,
        Format::Table => {
            output::table(&mut io.out, &exported.databases)?;
            advise(&mut io.err, &exported)?;
        }
    }
    Ok(Exit::Success)
}

/// Says how to go on: nobody who needs this has time to read much.
fn advise(to: &mut dyn Write, exported: &Exported) -> std::io::Result<()> {
    for remark in &exported.remarks {
        writeln!(to, "remark: {}", output::printable(remark))?;
    }
    let version = exported.databases.first().map_or("", |database| database.pg_dump_version.as_str());
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    writeln!(to, "to restore, with PostgreSQL {major}'s own programs or later ones:")?;
    writeln!(to, "  psql --dbname postgres --file {}", shell_word(&exported.roles_file))?;
    for database in &exported.databases {
        writeln!(to, "  pg_restore --create --dbname postgres {}", shell_word(&database.file))?;
    }
    writeln!(to, "or into a database that is there, under any name: pg_restore --dbname NAME --jobs 4 FILE")
}

/// The same for native backups.
fn advise_natively(to: &mut dyn Write, exported: &ExportedNatively) -> std::io::Result<()> {
    for remark in &exported.remarks {
        writeln!(to, "remark: {}", output::printable(remark))?;
    }
    let (encrypted, plain): (Vec<_>, Vec<_>) =
        exported.databases.iter().partition(|database| database.kms_key_arn.is_some());
    for database in encrypted {
        let name = output::printable(&database.name);
        writeln!(to, "warning: the files of {name} are encrypted by RDS, and worthless without their .metadata.json")?;
    }
    if !plain.is_empty() {
        writeln!(to, "to restore, where SQL Server can read the files:")?;
    }
    for database in plain {
        let files: Vec<_> = database.files.iter().map(|file| file.display().to_string()).collect();
        for statement in restore_statements(&database.name, database.backup_type, &files) {
            writeln!(to, "  {}", output::printable(&statement))?;
        }
    }
    Ok(())
}

/// A path as a shell reads it.
fn shell_word(path: &Path) -> String {
    let text = output::printable(&path.display().to_string());
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Row for ExportedDatabase {
    const HEAD: &'static [&'static str] = &["DATABASE", "FILE", ">BYTES", ">TABLES", ">ROWS", ">LARGE OBJECTS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.file.display().to_string(),
            output::bytes(self.bytes),
            self.tables.to_string(),
            self.rows.to_string(),
            self.large_objects.to_string(),
        ]
    }
}

impl Row for ExportedBackup {
    const HEAD: &'static [&'static str] = &["DATABASE", "TYPE", "FILES", ">BYTES"];

    fn cells(&self) -> Vec<String> {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        vec![self.name.clone(), self.backup_type.as_str().to_owned(), files.join(" "), output::bytes(self.bytes)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        for (path, word) in [
            ("/tmp/out/shop.dump", "/tmp/out/shop.dump"),
            ("my backups/a%20b.dump", "'my backups/a%20b.dump'"),
            ("it's $HOME", "'it'\\''s $HOME'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
