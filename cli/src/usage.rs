//! Usage lines of errors.
//!
//! Left alone, clap names in them every flag that was given, as if it were needed: those of the connection, which
//! stand on most command lines, would be the first things that somebody reads who has forgotten another.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};

use crate::args::Arguments;

/// The error with the plain usage of the command it is about.
pub(crate) fn plain(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    if error.get(ContextKind::Usage).is_none() {
        return error;
    }
    let mut command = Arguments::command();
    command.build();
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(below) = command.find_subcommand(word) {
            command = below.clone();
        }
    }
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    error
}
