//! `pg_restore`, one run for each phase, each with the list of its entries.

use std::ffi::OsString;
use std::fmt::Write;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::archive::{Entry, Section};
use haulier_domain::postgres::diagnosis;
use haulier_domain::postgres::manifest::StreamReference;
use haulier_domain::postgres::stderr::{self, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use super::super::child::{Child, Ended, Surroundings, database_argument};
use super::super::context::{ProgressEvent, Stopped};
use super::super::failures;
use super::Scope;
use super::archive::Head;

/// The phases of one database, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Schemas: their owners' right to create in them must be there before anything is.
    Schemas,
    /// Everything else before data.
    Structure,
    /// Data of the archive.
    Data,
    /// Indexes, constraints, triggers.
    Indexes,
    /// Privileges and comments, then what looks at data again or acts by itself.
    Closing,
}

impl Phase {
    /// The phase of an entry.
    pub(super) fn of(entry: &Entry) -> Self {
        match (entry.section, entry.kind.as_str()) {
            (_, "SCHEMA") => Self::Schemas,
            (_, "ACL" | "DEFAULT ACL" | "COMMENT" | "SECURITY LABEL" | "MATERIALIZED VIEW DATA") => Self::Closing,
            (_, "EVENT TRIGGER" | "PUBLICATION" | "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA") => {
                Self::Closing
            }
            (Section::PreData, _) => Self::Structure,
            (Section::Data, _) => Self::Data,
            (Section::PostData, _) => Self::Indexes,
            (Section::None, _) => Self::Closing,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Schemas => "list-schemas",
            Self::Structure => "list-structure",
            Self::Data => "list-data",
            Self::Indexes => "list-indexes",
            Self::Closing => "list-closing",
        }
    }

    /// Whether several jobs may share it. The rest runs in the archive's order.
    fn jobs(self, parallel: usize) -> usize {
        if self == Self::Indexes { parallel } else { 1 }
    }
}

/// Something `pg_restore` could not do and need not have done.
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) reason: String,
}

/// Runs one phase. `data` is the archive's stream where the phase needs its data.
pub(super) async fn run(
    scope: &Scope,
    head: &Head,
    phase: Phase,
    working: &str,
    data: Option<&StreamReference>,
) -> Result<Vec<Refused>, Stopped> {
    let mut list = String::new();
    let mut any_data = false;
    for entry in head.kept().filter(|entry| Phase::of(entry) == phase) {
        any_data |= entry.has_data;
        let _ = writeln!(list, "{};", entry.id);
    }
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let doing = format!("restoring {} of database {working:?}", phase.file().trim_start_matches("list-"));
    let fed = data.filter(|_| any_data);
    let list = scope.files.write(phase.file(), list.as_bytes())?;
    let mut arguments: Vec<OsString> = vec!["--no-password".into(), "--no-tablespaces".into()];
    let mut use_list = OsString::from("--use-list=");
    use_list.push(&list);
    arguments.extend([use_list, database_argument(working)]);
    let jobs = phase.jobs(scope.parallel);
    if jobs > 1 {
        arguments.push(format!("--jobs={jobs}").into());
    }
    if fed.is_none() {
        arguments.push(head.file.clone().into());
    }
    let password_file = scope.files.password_file();
    let surroundings = Surroundings {
        connector: &scope.connector,
        user: &scope.target.login,
        ca_file: &scope.context.settings.ca_file,
        password_file: &password_file,
    };
    let mut child = Child::start(&scope.tools.bin, "pg_restore", &arguments, &surroundings, fed.is_some())?;
    let stdin = child.stdin();
    let work = async {
        let feeding = async {
            match (stdin, fed) {
                (Some(stdin), Some(stream)) => feed(scope, stdin, stream).await,
                _ => Ok(()),
            }
        };
        let (fed, ended) = tokio::join!(feeding, child.wait());
        fed?;
        Ok::<_, Stopped>(ended?)
    };
    let done = tokio::select! {
        done = work => done,
        () = scope.context.cancel.cancelled() => Err(Stopped::Cancelled),
    };
    match done {
        Ok(ended) => Ok(judge(&doing, &ended)?),
        Err(stopped) => {
            child.stop().await;
            Err(stopped)
        }
    }
}

/// Feeds the archive to a child, which may stop listening once it has what it wants.
async fn feed(scope: &Scope, mut stdin: ChildStdin, stream: &StreamReference) -> Result<(), Stopped> {
    let mut stream = scope.context.streams.open(stream).await.map_err(|error| failures::store(&error))?;
    while let Some(piece) = stream.next().await.map_err(|error| failures::store(&error))? {
        if stdin.write_all(&piece).await.is_err() {
            return Ok(());
        }
        scope.context.progress.report(ProgressEvent::Moved(piece.len() as u64));
    }
    // Where this fails, the child's own words say why.
    let _ = stdin.shutdown().await;
    Ok(())
}

/// Exit status and words together decide: `pg_restore` ends with 1 where it passed over errors, and each of those is
/// looked at.
fn judge(doing: &str, ended: &Ended) -> Result<Vec<Refused>, Failure> {
    let events = stderr::events("pg_restore", &ended.words);
    let mut refused = Vec::new();
    for event in &events {
        match stderr::judge_restore(event) {
            Verdict::Harmless => {}
            Verdict::Forbidden(reason) => {
                refused.push(Refused { what: event.subject(), reason: format!("{reason}: {}", event.message) });
            }
            Verdict::Error => {
                let known = diagnosis::of_text(&stderr::full_text(event));
                return Err(failures::diagnosed(known, "pg-restore-failed", doing, event.text()));
            }
        }
    }
    // Errors that were passed over end with 1, and were all judged above.
    if ended.status.success() || (ended.status.code() == Some(1) && !events.is_empty()) {
        return Ok(refused);
    }
    let cause = format!("pg_restore ended with {}", ended.status);
    Err(failures::diagnosed(None, "pg-restore-failed", doing, cause).retryable())
}
