//! `repository key`.

use std::io::Write;
use std::path::PathBuf;

use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::add_repository_key_request::Key as Added;
use haulier_proto::control::v1::rotate_repository_key_request::Key as Rotated;
use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use crate::args::key::{AddArguments, AddedKey, KeyCommand};
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::passphrase;
use crate::view::{KeyView, time};

#[derive(Serialize)]
struct Changed {
    id: String,
    removed: Vec<String>,
    locked_until: Option<Timestamp>,
}

pub(super) async fn run(context: Context<'_>, command: KeyCommand) -> Result<Exit, CliError> {
    match command {
        KeyCommand::List { name } => list(context, name).await,
        KeyCommand::Add(arguments) => add(context, arguments).await,
        KeyCommand::Remove { name, id, yes } => remove(context, name, id, yes).await,
        KeyCommand::Rotate { name, kms_key_arn, passphrase_secret_arn, open_with_passphrase_file } => {
            let key = kms_key_arn.map(Rotated::KmsKeyArn).or(passphrase_secret_arn.map(Rotated::PassphraseSecretArn));
            rotate(context, name, key, open_with_passphrase_file).await
        }
    }
}

async fn list(mut context: Context<'_>, name: String) -> Result<Exit, CliError> {
    let doing = format!("listing the keys of repository {name}");
    let answer = context.client.list_repository_keys(control::ListRepositoryKeysRequest { name }).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let views: Vec<KeyView> = answer.keys.into_iter().map(KeyView::from).collect();
    output::list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}

async fn add(mut context: Context<'_>, arguments: AddArguments) -> Result<Exit, CliError> {
    let AddArguments { name, key: AddedKey { kms_key_arn, passphrase_secret_arn, passphrase_file } } = arguments;
    let doing = format!("adding a key to repository {name}");
    let key = match (kms_key_arn, passphrase_secret_arn, passphrase_file) {
        (Some(arn), _, _) => Some(Added::KmsKeyArn(arn)),
        (_, Some(arn), _) => Some(Added::PassphraseSecretArn(arn)),
        (_, _, Some(file)) => Some(Added::Passphrase(passphrase::read(&file, &doing)?.expose().to_owned())),
        (None, None, None) => None,
    };
    let answer = context.client.add_repository_key(control::AddRepositoryKeyRequest { name, key }).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    tell(&mut context, Changed { id: answer.id, removed: Vec::new(), locked_until: None })
}

async fn remove(mut context: Context<'_>, name: String, id: String, yes: bool) -> Result<Exit, CliError> {
    let doing = format!("removing key {id} of repository {name}");
    if !yes {
        return Err(CliError::new(
            Exit::Refused,
            "confirmation-missing",
            doing,
            format!("whoever holds key {id} would not be able to open repository {name} any more"),
            "repeat the command with --yes",
        ));
    }
    let request = control::RemoveRepositoryKeyRequest { name, id: id.clone() };
    let answer = context.client.remove_repository_key(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let locked_until = time(answer.locked_until.as_ref());
    remark(&mut context, locked_until)?;
    match context.format {
        Format::Json => {
            output::json(&mut context.io.out, &Changed { id: String::new(), removed: vec![id], locked_until })?;
        }
        Format::Table => writeln!(context.io.out, "key {} removed", output::printable(&id))?,
    }
    Ok(Exit::Success)
}

async fn rotate(
    mut context: Context<'_>,
    name: String,
    key: Option<Rotated>,
    open_with: Option<PathBuf>,
) -> Result<Exit, CliError> {
    let doing = format!("replacing the key of repository {name}");
    let open_with = open_with.map(|file| passphrase::read(&file, &doing)).transpose()?;
    let open_with_passphrase = open_with.map(|passphrase| passphrase.expose().to_owned()).unwrap_or_default();
    let request = control::RotateRepositoryKeyRequest { name, key, open_with_passphrase };
    let answer = context.client.rotate_repository_key(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let locked_until = time(answer.locked_until.as_ref());
    remark(&mut context, locked_until)?;
    tell(&mut context, Changed { id: answer.id, removed: answer.removed, locked_until })
}

/// What an operator has to know of a key that an immutable repository does not let go.
fn remark(context: &mut Context<'_>, locked_until: Option<Timestamp>) -> Result<(), CliError> {
    if let Some(until) = locked_until {
        writeln!(
            context.io.err,
            "the repository is immutable: the removed key is out of sight, and its bytes stay locked until {}; whoever has \
             what it is opened with, and may read former versions of the bucket's objects, can open the repository with it",
            output::moment(Some(until))
        )?;
    }
    Ok(())
}

fn tell(context: &mut Context<'_>, changed: Changed) -> Result<Exit, CliError> {
    match context.format {
        Format::Json => output::json(&mut context.io.out, &changed)?,
        Format::Table => {
            writeln!(context.io.out, "key {} added", output::printable(&changed.id))?;
            for id in &changed.removed {
                writeln!(context.io.out, "key {} removed", output::printable(id))?;
            }
        }
    }
    Ok(Exit::Success)
}
