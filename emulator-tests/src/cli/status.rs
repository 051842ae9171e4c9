//! `emulator status`

use super::{DataArg, Failure, Running};
use clap::Args;
use serde_json::json;
use std::io::Write;

/// Say whether the emulator runs, and where
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    data: DataArg,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let data = self.data.dir()?;
        let found = Running::find(&data)?;
        if self.json {
            writeln!(out, "{}", json!({ "running": found }))
        } else {
            match &found {
                Some(running) => {
                    let Running {
                        address,
                        pid,
                        localstack,
                        localstack_address,
                        ..
                    } = running;
                    let guests = match running.guests {
                        0 => "records".to_owned(),
                        guests => format!("booted in QEMU, {guests} at a time"),
                    };
                    let kept = if running.keeps { "kept" } else { "dropped" };
                    writeln!(
                        out,
                        "runs on {address} (process {pid})\n\
                         LocalStack: {localstack}, on {localstack_address}\n\
                         instances: {guests}\n\
                         state: {}, {kept} on down",
                        running.data.display()
                    )
                }
                None => writeln!(out, "does not run ({})", data.display()),
            }
        }
        .map_err(Failure::stdout)
    }
}
