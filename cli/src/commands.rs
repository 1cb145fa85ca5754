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
use clap_complete::Shell;

use crate::Io;
use crate::args::{Arguments, Command, Connection, RestoreCommand};
use crate::client::{self, Client};
use crate::exit::{CliError, Exit};
use crate::output::Format;
use crate::settings::Settings;

/// A command as it was called: how to reach a coordinator, and where the answer goes.
pub(crate) struct Call<'i> {
    connection: Connection,
    format: Format,
    io: &'i mut Io,
}

impl<'i> Call<'i> {
    /// Turns to the coordinator.
    async fn connect(self) -> Result<Context<'i>, CliError> {
        let Self { connection, format, io } = self;
        let settings = Settings::read(&connection, |name| std::env::var_os(name))?;
        Ok(Context { client: client::connect(&settings).await?, format, io })
    }
}

/// What every command works with that asks a coordinator.
pub(crate) struct Context<'i> {
    pub(crate) client: Client,
    pub(crate) format: Format,
    pub(crate) io: &'i mut Io,
}

pub(crate) async fn run(arguments: Arguments, io: &mut Io) -> Result<Exit, CliError> {
    let Arguments { connection, output: format, command } = arguments;
    let call = Call { connection, format, io };
    match command {
        Command::Completions { shell } => completions(shell, call.io),
        Command::Point(command) => point::run(call, command).await,
        Command::Policy(command) => policy::run(call.connect().await?, command).await,
        Command::Session(command) => session::run(call.connect().await?, command).await,
        Command::Restore(RestoreCommand::Database(arguments)) => restore::run(call.connect().await?, *arguments).await,
        Command::Repository(command) => repository::run(call.connect().await?, command).await,
        Command::Resource(command) => lists::resources(call.connect().await?, command).await,
        Command::Worker(command) => lists::workers(call.connect().await?, command).await,
        Command::Ledger(command) => lists::ledger(call.connect().await?, command).await,
    }
}

fn completions(shell: Shell, io: &mut Io) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "haulier", &mut script);
    io.out.write_all(&script)?;
    Ok(Exit::Success)
}
