//! The commands: each a request, a rendering of its answer, an exit code.

mod import;
mod key;
mod lists;
mod offline;
mod point;
mod policy;
mod repository;
mod restore;
mod session;
mod several;

use clap::CommandFactory;

use crate::Io;
use crate::args::{Arguments, Command, RepositoryCommand, RestoreCommand};
use crate::client::{self, Client};
use crate::exit::{CliError, Exit};
use crate::output::Format;
use crate::settings::Settings;

/// What every command works with.
pub(crate) struct Context<'i> {
    pub(crate) client: Client,
    pub(crate) format: Format,
    pub(crate) io: &'i mut Io,
}

pub(crate) async fn run(arguments: Arguments, io: &mut Io) -> Result<Exit, CliError> {
    let Arguments { connection, output: format, command } = arguments;
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "haulier", &mut script);
        io.out.write_all(&script)?;
        return Ok(Exit::Success);
    }
    if let Command::Point(command) = &command
        && let Some(command) = offline::OfflineCommand::of(command)
    {
        return offline::run(command, format, io).await;
    }
    let settings = Settings::read(&connection, |name| std::env::var_os(name))?;
    let client = client::connect(&settings).await?;
    let context = Context { client, format, io };
    match command {
        Command::Policy(command) => policy::run(context, command).await,
        Command::Session(command) => session::run(context, command).await,
        Command::Point(command) => point::run(context, command).await,
        Command::Restore(RestoreCommand::Database(arguments)) => restore::run(context, *arguments).await,
        Command::Repository(RepositoryCommand::Create(arguments)) => repository::create(context, arguments).await,
        Command::Repository(RepositoryCommand::Import(arguments)) => import::run(context, arguments).await,
        Command::Repository(RepositoryCommand::List) => repository::list(context).await,
        Command::Repository(RepositoryCommand::Key(command)) => key::run(context, command).await,
        Command::Repository(RepositoryCommand::Undelete { name, all, dry_run }) => {
            repository::undelete(context, name, all, dry_run).await
        }
        Command::Repository(RepositoryCommand::Prune { name, dry_run, start }) => {
            repository::prune(context, name, dry_run, start).await
        }
        Command::Resource(command) => lists::resources(context, command).await,
        Command::Worker(command) => lists::workers(context, command).await,
        Command::Ledger(command) => lists::ledger(context, command).await,
        Command::Completions { .. } => Ok(Exit::Success),
    }
}
