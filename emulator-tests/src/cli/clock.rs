//! `emulator clock`

use super::fault::ask;
use super::{Failure, Running};
use clap::{Args, Subcommand};
use cli_support::seconds;
use emulator_tests::admin::{Admin, Clock};
use serde_json::json;
use std::io::Write;
use time::format_description::well_known::Rfc3339;

/// Ask for the emulator's time, or put it forward
///
/// What takes hours on AWS (a deprecation date, the time-out of a pending snapshot) is seen at
/// once. Signatures are held against this machine's clock all the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emulator clock                 says what time it is\n  \
    emulator clock advance 15m     a quarter of an hour later\n  \
    emulator clock advance 2d12h   two days and a half")]
pub(crate) struct ClockCommand {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Put the clock forward; it stays so, and never goes back
    Advance {
        /// How far: numbers with d, h, m or s, as in 15m or 1h30m
        #[arg(value_parser = seconds::<i64>, value_name = "DURATION")]
        by: i64,
    },
}

impl ClockCommand {
    /// Does it, and says what time it is now.
    pub(crate) fn run(&self, running: &Running, out: &mut dyn Write) -> Result<(), Failure> {
        let admin = Admin::new(running.address);
        let clock = ask(async {
            match self.action {
                Some(Action::Advance { by }) => admin.advance(by).await,
                None => admin.clock().await,
            }
        })?;
        self.print(&clock, out).map_err(Failure::stdout)
    }

    fn print(&self, clock: &Clock, out: &mut dyn Write) -> std::io::Result<()> {
        let now = clock.now.format(&Rfc3339).unwrap_or_default();
        let ahead = clock.ahead_seconds;
        if self.json {
            return writeln!(out, "{}", json!({ "now": now, "ahead_seconds": ahead }));
        }
        match ahead {
            0 => writeln!(out, "{now}"),
            _ => writeln!(out, "{now} ({ahead} s ahead of this machine)"),
        }
    }
}
