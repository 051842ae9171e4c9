//! `emulator ports`

use super::fault::ask;
use super::{Class, Failure, Running};
use clap::Args;
use cli_support::say;
use emulator_tests::admin::Admin;
use std::io::Write;

/// List the TCP ports of an instance that something listens on
#[derive(Debug, Args)]
pub(crate) struct Ports {
    /// The instance's id
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Print open ports, and how many are closed or silent, as JSON
    #[arg(long)]
    json: bool,
}

impl Ports {
    pub(super) fn run(&self, running: &Running, out: &mut dyn Write) -> Result<(), Failure> {
        let admin = Admin::new(running.address);
        let found = ask(admin.ports(&self.instance))?;
        if self.json {
            let text = serde_json::to_string(&found)
                .map_err(|error| Failure::of(Class::Failed, &error))?;
            return writeln!(out, "{text}").map_err(Failure::stdout);
        }
        for port in &found.open {
            writeln!(out, "{port}").map_err(Failure::stdout)?;
        }
        say!(
            "emulator: {} open, {} closed, {} without an answer",
            found.open.len(),
            found.closed,
            found.silent
        );
        Ok(())
    }
}
