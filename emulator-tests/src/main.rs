//! The `emulator` program.

mod cli;

use clap::Parser;
use cli_support::say;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_interrupt() {
                say!("emulator: interrupted; nothing was left");
            }
            ExitCode::from(failure.report("emulator"))
        }
    }
}
