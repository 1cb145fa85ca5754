//! `repository import`.

use std::io::Write;

use haulier_domain::failure::Failure;
use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::create_repository_request::Key;
use haulier_proto::control::v1::import_repository_response::Event;
use serde::Serialize;

use super::Context;
use crate::args::ImportArguments;
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::view::RepositoryView;

#[derive(Serialize)]
struct Imported {
    repository: RepositoryView,
    domains: u64,
    points_added: u64,
    points_known: u64,
    points_in_work: u64,
    proofs: u64,
    missed: u64,
}

impl From<control::ImportResult> for Imported {
    fn from(result: control::ImportResult) -> Self {
        Self {
            repository: RepositoryView::from(result.repository.unwrap_or_default()),
            domains: result.domains,
            points_added: result.points_added,
            points_known: result.points_known,
            points_in_work: result.points_in_work,
            proofs: result.proofs,
            missed: result.missed,
        }
    }
}

impl Imported {
    fn record(&self) -> Vec<(&'static str, String)> {
        let mut fields = self.repository.record();
        fields.extend([
            ("domains", self.domains.to_string()),
            ("points added", self.points_added.to_string()),
            ("points known", self.points_known.to_string()),
            ("proofs added", self.proofs.to_string()),
        ]);
        if self.points_in_work > 0 {
            fields.push(("being published", self.points_in_work.to_string()));
        }
        fields
    }
}

pub(super) async fn run(mut context: Context<'_>, arguments: ImportArguments) -> Result<Exit, CliError> {
    let doing = format!("importing the repository {}", arguments.name);
    let failed = |status| CliError::from_status(&doing, &status);
    let answer = context.client.import_repository(request(arguments)).await;
    let mut events = answer.map_err(failed)?.into_inner();
    let mut line = Line { shown: false, live: context.io.err_is_terminal };
    while let Some(response) = events.message().await.map_err(failed)? {
        match response.event {
            Some(Event::Progress(progress)) => line.show(&mut context.io.err, &progress)?,
            Some(Event::Missed(missed)) => {
                line.end(&mut context.io.err)?;
                let failure = missed.failure.map(Failure::from).unwrap_or_else(|| {
                    let what = format!("reading {} of domain {}", missed.object, missed.domain_id);
                    Failure::new("coordinator-error", what, "no reason was given", "look into the coordinator's log")
                });
                CliError { exit: Exit::Incomplete, failure }.write(&mut context.io.err, context.format)?;
            }
            Some(Event::Result(result)) => {
                line.end(&mut context.io.err)?;
                return ended(context, &Imported::from(result));
            }
            None => {}
        }
    }
    line.end(&mut context.io.err)?;
    let remedy = "run it again: what was imported stays";
    Err(CliError::new(Exit::Failure, "coordinator-error", doing, "the coordinator's answer ends early", remedy))
}

fn ended(context: Context<'_>, imported: &Imported) -> Result<Exit, CliError> {
    match context.format {
        Format::Json => output::json(&mut context.io.out, imported)?,
        Format::Table => output::record(&mut context.io.out, &imported.record())?,
    }
    if imported.missed == 0 {
        return Ok(Exit::Success);
    }
    if context.format == Format::Table {
        writeln!(context.io.err, "{} could not be read and are missing from the catalogue", imported.missed)?;
    }
    Ok(Exit::Incomplete)
}

fn request(arguments: ImportArguments) -> control::ImportRepositoryRequest {
    let key =
        arguments.kms_key_arn.map(Key::KmsKeyArn).or(arguments.passphrase_secret_arn.map(Key::PassphraseSecretArn));
    let repository = Some(control::CreateRepositoryRequest {
        name: arguments.name,
        bucket: arguments.bucket.unwrap_or_default(),
        region: arguments.region.unwrap_or_default(),
        prefix: arguments.prefix.unwrap_or_default(),
        key,
        immutability: None,
    });
    control::ImportRepositoryRequest { repository }
}

/// Where the import stands: one line that changes on a terminal, and a line for each domain that is done elsewhere.
struct Line {
    shown: bool,
    live: bool,
}

impl Line {
    fn show(&mut self, to: &mut dyn Write, progress: &control::ImportProgress) -> Result<(), CliError> {
        let control::ImportProgress { domain_id, domain, domains, points_done, points } = progress;
        let text = format!(
            "domain {domain} of {domains}, {}: {points_done} of {points} restore points",
            output::printable(domain_id)
        );
        if self.live {
            write!(to, "\r{text}\u{1b}[K")?;
            to.flush()?;
            self.shown = true;
        } else if points_done == points {
            writeln!(to, "{text}")?;
        }
        Ok(())
    }

    fn end(&mut self, to: &mut dyn Write) -> Result<(), CliError> {
        if std::mem::take(&mut self.shown) {
            writeln!(to)?;
        }
        Ok(())
    }
}
