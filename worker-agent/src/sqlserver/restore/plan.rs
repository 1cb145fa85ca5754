//! What a restore has to do, and whether it can: all of it is known before the first byte moves.

use std::collections::BTreeSet;

use haulier_domain::clash;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::keys::{self, FileSet};
use haulier_domain::sqlserver::manifest::{Database, Manifest};
use haulier_domain::sqlserver::names::{self, NameRefused};
use haulier_domain::sqlserver::preflight;
use haulier_domain::sqlserver::restore::{self, PointManifest, Refused, Request, Step};
use haulier_domain::sqlserver::task::Task;

use super::Scope;
use crate::mover::sinks::Stopped;
use crate::sqlserver::context::Context;
use crate::sqlserver::job::DatabaseRestore;

/// A database that is to be restored.
pub(super) struct Wanted<'a> {
    /// What was asked for.
    pub(super) asked: &'a DatabaseRestore,
    /// How, in order.
    pub(super) steps: Vec<Step<'a>>,
    /// The same as RDS is asked for it.
    pub(super) requests: Vec<Request>,
    /// Its folder in the temporary bucket.
    pub(super) folder: String,
    /// The name it gets.
    pub(super) name: String,
    /// Its name until it is complete, where it replaces another.
    pub(super) working: Option<String>,
}

impl Wanted<'_> {
    /// The name that RDS restores it under.
    pub(super) fn restored_under(&self) -> &str {
        self.working.as_deref().unwrap_or(&self.name)
    }

    /// Bytes of the files it is restored from.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |step: &Step<'_>| match step {
            Step::Apply { backup, .. } => backup.bytes(),
            Step::Log { file, .. } => file.bytes,
            Step::Finish => 0,
        };
        self.steps.iter().map(bytes).sum()
    }

    /// Where the files of a backup go.
    pub(super) fn files(&self, backup: &Database) -> FileSet {
        file_set(&self.folder, backup)
    }
}

fn file_set(folder: &str, backup: &Database) -> FileSet {
    FileSet::new(folder, backup.backup_type, u32::try_from(backup.files.len()).unwrap_or(u32::MAX))
}

/// What is to be done.
pub(super) struct Planned<'a> {
    /// The databases that nobody has reported as complete.
    pub(super) open: Vec<Wanted<'a>>,
    /// What an operator should know all the same.
    pub(super) warnings: Vec<String>,
}

/// Plans, and refuses what cannot be done.
pub(super) async fn plan<'a>(
    scope: &Scope<'a>,
    points: &'a [PointManifest],
    context: &Context,
) -> Result<Planned<'a>, Stopped> {
    let job = scope.job;
    let what = format!("restore to {}", job.instance);
    let server = context.read(&what, || context.server.facts()).await?;
    let there = context.read(&what, || context.server.databases()).await?;
    let tasks = context.read(&what, || context.server.tasks()).await?;
    let mut taken: BTreeSet<String> = there.iter().map(|database| database.name.clone()).collect();
    let mut planned = Planned { open: Vec::new(), warnings: Vec::new() };
    let open = super::remains::open(&job.databases, &job.restored);
    if job.databases.is_empty() {
        let remedy = "name at least one of the point's databases";
        return Err(unknown(&what, "the assignment names no database".to_owned(), remedy).into());
    }
    for asked in open {
        let wanted = want(scope, points, &tasks, &mut taken, asked)?;
        for (manifest, backup) in sources(points, &wanted) {
            planned.warnings.extend(preflight::restore(&server, manifest, backup, job.options)?);
        }
        planned.open.push(wanted);
    }
    planned.warnings.dedup();
    Ok(planned)
}

/// What is applied, with the manifest that says of which server it is. Log backups count as one: their server may have become
/// another since the full one.
fn sources<'a>(points: &'a [PointManifest], wanted: &Wanted<'a>) -> Vec<(&'a Manifest, &'a Database)> {
    let has = |backup: &Database| wanted.steps.iter().any(|step| step.is_of(backup));
    let all = points.iter().flat_map(|point| point.manifest.databases.iter().map(move |own| (&point.manifest, own)));
    all.filter(|(_, own)| has(own)).collect()
}

fn want<'a>(
    scope: &Scope<'a>,
    points: &'a [PointManifest],
    tasks: &[Task],
    taken: &mut BTreeSet<String>,
    asked: &'a DatabaseRestore,
) -> Result<Wanted<'a>, Failure> {
    let what = format!("restore of database {:?}", asked.database);
    let steps =
        restore::steps(points, &asked.database, scope.job.options).map_err(|refused| of_steps(&what, &refused))?;
    let folder = scope.place.folder(&asked.database, &asked.target_name);
    let arn = |step: &Step<'_>| match step {
        Step::Apply { backup, .. } => Some(scope.place.arn(&file_set(&folder, backup).restore_pattern())),
        Step::Log { log, .. } => Some(scope.place.arn(&keys::log_key(&folder, log.sequence))),
        Step::Finish => None,
    };
    let requests: Vec<_> = steps.iter().map(|step| Request::new(step, arn)).collect();
    let working = clash::working_name(&scope.job.key, &asked.database, &asked.target_name);
    let (name, working) = match restore::begun_as(&requests, tasks) {
        // An earlier worker has chosen.
        Some(name) if name == working => (asked.target_name.clone(), Some(working)),
        Some(name) => (name.to_owned(), None),
        None => {
            let chosen = names::choose(&asked.target_name, asked.on_clash, taken);
            let chosen = chosen.map_err(|refused| of_name(&what, &refused))?;
            (chosen.name, chosen.replaces.then_some(working))
        }
    };
    taken.insert(name.clone());
    Ok(Wanted { asked, steps, requests, folder, name, working })
}

fn of_steps(what: &str, refused: &Refused) -> Failure {
    let cause = refused.to_string();
    match refused {
        Refused::Unknown(_) => unknown(what, cause, "name one of the point's databases"),
        Refused::NoFull(_) | Refused::OtherFull(_) => {
            Failure::new("point-full-missing", what, cause, "restore another point")
        }
        Refused::OneMoment(_) => {
            let remedy = "restore it without --until, or name a point with log backups";
            Failure::new("restore-moment-unavailable", what, cause, remedy)
        }
        Refused::OutOfRange { .. } => {
            let remedy = "give a moment within that range, or name another point: see `haulier point list`";
            Failure::new("restore-moment-unavailable", what, cause, remedy)
        }
        Refused::ClockChanged { .. } => {
            let remedy = "restore it without --until, which needs no clock";
            Failure::new("restore-moment-unavailable", what, cause, remedy)
        }
        Refused::Gap(_) => Failure::new("sqlserver-chain-broken", what, cause, "restore another point; report this"),
    }
}

fn unknown(what: &str, cause: String, remedy: &str) -> Failure {
    Failure::new("restore-database-unknown", what, cause, remedy)
}

fn of_name(what: &str, refused: &NameRefused) -> Failure {
    let (code, remedy) = match refused {
        NameRefused::Taken { .. } => {
            ("restore-name-taken", "restore under another name, with a suffix, or replace exactly that database")
        }
        NameRefused::Reserved(_) => ("restore-name-reserved", "give another target name"),
        NameRefused::Length(_) => ("restore-name-too-long", "give a target name of 1 to 128 characters"),
    };
    Failure::new(code, what, refused.to_string(), remedy)
}
