//! `emulator console`

use super::fault::ask;
use super::{Class, Failure, Running};
use clap::Args;
use emulator_tests::admin::{Admin, AdminError};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

/// How often more is asked for.
const EVERY: Duration = Duration::from_millis(250);

/// Print what an instance wrote to its serial console
#[derive(Debug, Args)]
pub(crate) struct Console {
    /// The instance's id
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Go on until the instance ends, or Ctrl-C
    #[arg(long, short, conflicts_with = "json")]
    follow: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Console {
    pub(super) fn run(&self, running: &Running, out: &mut dyn Write) -> Result<(), Failure> {
        let admin = Admin::new(running.address);
        ask(async {
            let mut from = 0;
            loop {
                let text = admin.console(&self.instance, from).await?;
                from = text.next;
                let written = self.write(&text.bytes, out);
                if written.is_err() || !self.follow || !text.live {
                    return Ok::<_, AdminError>(written);
                }
                tokio::time::sleep(EVERY).await;
            }
        })?
    }

    fn write(&self, bytes: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
        if self.json {
            let text = String::from_utf8_lossy(bytes);
            let value = json!({ "instance": self.instance, "console": text });
            writeln!(out, "{value}").map_err(Failure::stdout)?;
        } else {
            out.write_all(bytes).map_err(Failure::stdout)?;
        }
        out.flush().map_err(Failure::stdout)
    }
}

/// A port that is one.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse::<u16>()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("{text:?} is not a port, 1 to 65535"))
}

/// What ends a command that would go on.
pub(super) fn ended(instance: &str) -> Failure {
    Failure::new(
        Class::Failed,
        format!("the instance {instance} has ended, or the emulator"),
    )
}
