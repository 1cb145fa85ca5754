//! `repository key`.

use std::io::Write;

use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::add_repository_key_request::Key as Added;
use haulier_proto::control::v1::rotate_repository_key_request::Key as Rotated;
use serde::Serialize;

use super::Context;
use crate::args::key::{AddArguments, AddedKey, KeyCommand};
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::passphrase;
use crate::view::KeyView;

#[derive(Serialize)]
struct Changed {
    id: String,
    removed: Vec<String>,
}

pub(super) async fn run(context: Context<'_>, command: KeyCommand) -> Result<Exit, CliError> {
    match command {
        KeyCommand::List { name } => list(context, name).await,
        KeyCommand::Add(arguments) => add(context, arguments).await,
        KeyCommand::Remove { name, id, yes } => remove(context, name, id, yes).await,
        KeyCommand::Rotate { name, kms_key_arn, passphrase_secret_arn } => {
            let key = kms_key_arn.map(Rotated::KmsKeyArn).or(passphrase_secret_arn.map(Rotated::PassphraseSecretArn));
            rotate(context, name, key).await
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
    tell(&mut context, Changed { id: answer.id, removed: Vec::new() })
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
    answer.map_err(|status| CliError::from_status(&doing, &status))?;
    match context.format {
        Format::Json => output::json(&mut context.io.out, &Changed { id: String::new(), removed: vec![id] })?,
        Format::Table => writeln!(context.io.out, "key {} removed", output::printable(&id))?,
    }
    Ok(Exit::Success)
}

async fn rotate(mut context: Context<'_>, name: String, key: Option<Rotated>) -> Result<Exit, CliError> {
    let doing = format!("replacing the key of repository {name}");
    let answer = context.client.rotate_repository_key(control::RotateRepositoryKeyRequest { name, key }).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    tell(&mut context, Changed { id: answer.id, removed: answer.removed })
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
