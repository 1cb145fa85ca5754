//! Runs of `pg_restore`, each with the list of its entries. Several may be at work at once; each has a connection of its
//! own, and a list in a file of its own.

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
    /// Indexes, constraints, triggers: entry by entry, as rows and lanes allow.
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

    fn name(self) -> &'static str {
        match self {
            Self::Schemas => "schemas",
            Self::Structure => "structure",
            Self::Data => "data",
            Self::Indexes => "indexes",
            Self::Closing => "closing",
        }
    }
}

/// Something `pg_restore` could not do and need not have done.
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) reason: String,
}

/// Runs one phase in the archive's order. `data` is the archive's stream where the phase needs its data.
pub(super) async fn run(
    scope: &Scope,
    head: &Head,
    phase: Phase,
    working: &str,
    data: Option<&StreamReference>,
) -> Result<Vec<Refused>, Stopped> {
    let entries: Vec<&Entry> = head.of_phase(phase).collect();
    let fed = data.filter(|_| entries.iter().any(|entry| entry.has_data));
    let numbers: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
    run_list(scope, head, phase, &numbers, working, fed).await
}

/// Restores these entries out of those that come after the rows, one after the other.
pub(super) async fn entries(
    scope: &Scope,
    head: &Head,
    numbers: &[i64],
    working: &str,
) -> Result<Vec<Refused>, Stopped> {
    run_list(scope, head, Phase::Indexes, numbers, working, None).await
}

async fn run_list(
    scope: &Scope,
    head: &Head,
    phase: Phase,
    numbers: &[i64],
    working: &str,
    fed: Option<&StreamReference>,
) -> Result<Vec<Refused>, Stopped> {
    let Some(first) = numbers.first() else { return Ok(Vec::new()) };
    let mut list = String::new();
    for number in numbers {
        let _ = writeln!(list, "{number};");
    }
    let doing = format!("restoring {} of database {working:?}", phase.name());
    // Each entry is in one run only.
    let list = scope.files.write(&format!("list-{}-{first}", phase.name()), list.as_bytes())?;
    let mut arguments: Vec<OsString> = vec!["--no-password".into(), "--no-tablespaces".into()];
    let mut use_list = OsString::from("--use-list=");
    use_list.push(&list);
    arguments.extend([use_list, database_argument(working)]);
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
