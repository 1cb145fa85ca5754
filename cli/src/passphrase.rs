//! Passphrases come from a file or from stdin, never from the command line.

use std::io::{BufRead, BufReader};
use std::path::Path;

use haulier_domain::secret::SecretString;

use crate::exit::{CliError, Exit};

/// The first line of a file.
pub(crate) fn read(file: &Path, doing: &str) -> Result<SecretString, CliError> {
    let mut line = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_line(&mut line)
    } else {
        std::fs::File::open(file).and_then(|file| BufReader::new(file).read_line(&mut line))
    };
    read.map_err(|error| {
        let cause = format!("{}: {error}", file.display());
        CliError::new(Exit::Usage, "file-unreadable", doing, cause, "name a file whose first line is the passphrase")
    })?;
    Ok(SecretString::new(line.trim_end_matches(['\r', '\n'])))
}
