//! `emulator port-forward`

use super::console::{ended, port};
use super::fault::ask;
use super::{Failure, Running};
use clap::Args;
use emulator_tests::admin::{Admin, AdminError};
use serde_json::json;
use std::io::Write;

/// Let a port of this machine lead to a port of an instance, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    emulator port-forward i-0123456789abcdef0 80 --port 8080 &\n  \
    curl http://127.0.0.1:8080/")]
pub(crate) struct PortForward {
    /// The instance's id
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// The instance's port
    #[arg(value_name = "GUEST_PORT", value_parser = port)]
    guest_port: u16,
    /// Listen on this port of 127.0.0.1; 0 takes a free one
    #[arg(long = "port", value_name = "PORT", default_value_t = 0)]
    host_port: u16,
    /// Print where it listens as JSON
    #[arg(long)]
    json: bool,
}

impl PortForward {
    pub(super) fn run(&self, running: &Running, out: &mut dyn Write) -> Result<(), Failure> {
        let admin = Admin::new(running.address);
        ask(async {
            let mut held = admin
                .forward(&self.instance, self.guest_port, self.host_port)
                .await?;
            let address = held.address();
            let text = if self.json {
                json!({ "host": address, "guest": self.guest_port }).to_string()
            } else {
                format!(
                    "{address} leads to port {} of {}",
                    self.guest_port, self.instance
                )
            };
            if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
                return Ok::<_, AdminError>(Err(Failure::stdout(error)));
            }
            tokio::select! {
                () = held.ended() => Ok(Err(ended(&self.instance))),
                // Without it, Ctrl-C ends this all the same.
                _ = tokio::signal::ctrl_c() => Ok(Ok(())),
            }
        })?
    }
}
