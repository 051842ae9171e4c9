//! The `uploader` program.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::read().and_then(|it| it.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report("uploader")),
    }
}
