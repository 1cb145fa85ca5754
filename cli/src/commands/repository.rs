//! `repository`.

use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::create_repository_request::Key;

use super::Context;
use crate::args::RepositoryArguments;
use crate::exit::{CliError, Exit};
use crate::output::{self, Format};
use crate::view::RepositoryView;

pub(super) async fn create(mut context: Context<'_>, arguments: RepositoryArguments) -> Result<Exit, CliError> {
    let doing = format!("creating the repository {}", arguments.name);
    let key =
        arguments.kms_key_arn.map(Key::KmsKeyArn).or(arguments.passphrase_secret_arn.map(Key::PassphraseSecretArn));
    let request = control::CreateRepositoryRequest {
        name: arguments.name,
        bucket: arguments.bucket,
        region: arguments.region,
        prefix: arguments.prefix,
        key,
    };
    let answer = context.client.create_repository(request).await;
    let answer = answer.map_err(|status| CliError::from_status(&doing, &status))?.into_inner();
    let view = RepositoryView::from(answer.repository.unwrap_or_default());
    match context.format {
        Format::Json => output::json(&mut context.io.out, &view)?,
        Format::Table => output::record(&mut context.io.out, &view.record())?,
    }
    Ok(Exit::Success)
}

pub(super) async fn list(mut context: Context<'_>) -> Result<Exit, CliError> {
    let answer = context.client.list_repositories(control::ListRepositoriesRequest {}).await;
    let answer = answer.map_err(|status| CliError::from_status("listing the repositories", &status))?.into_inner();
    let views: Vec<RepositoryView> = answer.repositories.into_iter().map(RepositoryView::from).collect();
    output::list(&mut context.io.out, context.format, &views)?;
    Ok(Exit::Success)
}
