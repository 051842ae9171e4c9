//! The `imgtool` program.

mod cli;

use clap::Parser;
use cli_support::say;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_interrupt() {
                say!("imgtool: interrupted; {}", cli.left());
            }
            ExitCode::from(failure.report("imgtool"))
        }
    }
}
