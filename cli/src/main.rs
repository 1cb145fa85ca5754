//! The operator's command line.

use std::io::IsTerminal;
use std::process::ExitCode;

use haulier_cli::Io;

fn main() -> ExitCode {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let mut io = Io {
        out_is_terminal: out.is_terminal(),
        err_is_terminal: err.is_terminal(),
        out: Box::new(out),
        err: Box::new(err),
    };
    ExitCode::from(haulier_cli::run(std::env::args_os(), &mut io))
}
