//! `haulier`: what operators ask of the coordinator, as commands; and what they do without one, straight from a
//! repository, for the day it is gone.
//!
//! What was asked for goes to stdout, everything else (progress, remarks, errors) to stderr. A command is a request, a
//! rendering of its answer, and an exit code; the codes are in [`exit::Exit`] and in `docs/cli.md`.

mod args;
mod client;
mod commands;
mod exit;
pub mod export;
mod follow;
mod offline;
mod output;
mod passphrase;
mod settings;
mod usage;
mod view;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

pub use exit::{CliError, Exit};

/// Where a command writes to.
pub struct Io {
    /// What was asked for.
    pub out: Box<dyn Write>,
    /// Everything else.
    pub err: Box<dyn Write>,
    /// Whether somebody looks at `out`.
    pub out_is_terminal: bool,
    /// Whether somebody looks at `err`.
    pub err_is_terminal: bool,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io")
            .field("out_is_terminal", &self.out_is_terminal)
            .field("err_is_terminal", &self.err_is_terminal)
            .finish_non_exhaustive()
    }
}

/// Runs one command line, the program's name first, and returns its exit code.
pub fn run<I, T>(arguments: I, io: &mut Io) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let words: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let arguments = match args::Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            let error = usage::plain(error, &words);
            let stream = if error.use_stderr() { &mut io.err } else { &mut io.out };
            // Help and usage that nobody can read any more are no reason to fail otherwise.
            let _ = write!(stream, "{error}");
            return if error.use_stderr() { Exit::Usage.code() } else { Exit::Success.code() };
        }
    };
    let format = arguments.output;
    let outcome = start(arguments, io).and_then(|exit| {
        io.out.flush().map_err(CliError::from)?;
        Ok(exit)
    });
    let exit = match outcome {
        Ok(exit) => exit,
        // Whoever read the answer has seen enough; there is nobody to tell.
        Err(error) if error.exit == Exit::Unread => error.exit,
        Err(error) => {
            let _ = error.write(&mut io.err, format);
            error.exit
        }
    };
    let _ = io.err.flush();
    exit.code()
}

fn start(arguments: args::Arguments, io: &mut Io) -> Result<Exit, CliError> {
    // The provider that is set first wins; a second call says so, and nothing is lost.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // What is asked of a repository is fetched and opened beside the thread that writes it down.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(commands::run(arguments, io))
}
