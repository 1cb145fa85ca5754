//! How a command ends: exit codes, and errors as an operator reads them.

use std::fmt;
use std::io::{self, Write};

use haulier_domain::failure::Failure;
use haulier_proto::status::failure_of;
use serde::Serialize;
use tonic::{Code, Status};

use crate::output::Format;

/// Exit codes. They are part of the interface: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done as asked.
    Success,
    /// Something went wrong that has no code of its own.
    Failure,
    /// The command line is wrong.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// Refused: the request or a document is wrong, or something stands in the way.
    Refused,
    /// A session that was waited for failed.
    SessionFailed,
    /// A session that was waited for was cancelled.
    SessionCancelled,
    /// The coordinator could not be reached.
    Unreachable,
    /// The coordinator does not accept the token.
    Denied,
    /// The answer was printed, and is not the whole of it.
    Incomplete,
    /// Nobody reads the answer any more: `haulier … | head`.
    Unread,
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::SessionFailed => 5,
            Self::SessionCancelled => 6,
            Self::Unreachable => 7,
            Self::Denied => 8,
            Self::Incomplete => 9,
            // As the shell says it of a program that the broken pipe has ended.
            Self::Unread => 141,
        }
    }

    fn of(code: Code) -> Self {
        match code {
            Code::NotFound => Self::NotFound,
            Code::InvalidArgument
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Aborted => Self::Refused,
            Code::Unavailable | Code::DeadlineExceeded => Self::Unreachable,
            Code::Unauthenticated | Code::PermissionDenied => Self::Denied,
            _ => Self::Failure,
        }
    }
}

/// An error as an operator reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// How the command ends.
    pub exit: Exit,
    /// What went wrong, why, and what to do.
    pub failure: Failure,
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: &'a Failure,
    exit_code: u8,
}

impl CliError {
    /// An error that the command line itself finds.
    pub fn new(
        exit: Exit,
        code: &str,
        what: impl Into<String>,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { exit, failure: Failure::new(code, what, cause, remedy) }
    }

    /// An error of the coordinator, with what was asked of it.
    pub fn from_status(doing: &str, status: &Status) -> Self {
        if let Some(failure) = failure_of(status) {
            let exit = match status.code() {
                // The coordinator answered: something behind it is not available.
                Code::Unavailable => Exit::Failure,
                code => Exit::of(code),
            };
            return Self { exit, failure };
        }
        let (code, remedy) = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => (
                "coordinator-unreachable",
                "check that the coordinator runs, and the address in --coordinator or HAULIER_COORDINATOR",
            ),
            Code::Unauthenticated | Code::PermissionDenied => {
                ("token-refused", "name the file with the operator's token in --token-file or HAULIER_TOKEN_FILE")
            }
            Code::Unimplemented => ("coordinator-too-old", "use a command line of the coordinator's version"),
            _ => ("coordinator-error", "look into the coordinator's log"),
        };
        Self::new(Exit::of(status.code()), code, doing, message(status), remedy)
    }

    /// Writes the error for people, or as JSON.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, to: &mut dyn Write, format: Format) -> io::Result<()> {
        let Failure { code, what, cause, remedy, .. } = &self.failure;
        match format {
            Format::Json => {
                let document = ErrorDocument { error: &self.failure, exit_code: self.exit.code() };
                serde_json::to_writer(&mut *to, &document).map_err(io::Error::from)?;
                writeln!(to)
            }
            Format::Table => {
                writeln!(to, "error: {what}\n  cause:  {cause}\n  remedy: {remedy}\n  code:   {code}")
            }
        }
    }
}

/// What a status says, with the causes below it: a refused connection hides three levels down.
fn message(status: &Status) -> String {
    below(status.message().to_owned(), std::error::Error::source(status))
}

/// What an error says, with the causes below it; a layer that only repeats another is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    below(error.to_string(), error.source())
}

fn below(mut text: String, mut source: Option<&(dyn std::error::Error + 'static)>) -> String {
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        source = cause.source();
    }
    text
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::new(
            if error.kind() == io::ErrorKind::BrokenPipe { Exit::Unread } else { Exit::Failure },
            "output-failed",
            "writing the answer",
            error.to_string(),
            "check where the output goes",
        )
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for CliError {}
