//! `emulator down`

use super::running::is_held;
use super::{Class, DataArg, Failure, Running};
use clap::Args;
use cli_support::say;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long saving state may take.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// End the emulator, with its state saved if it has a data directory
#[derive(Debug, Args)]
pub(super) struct Down {
    #[command(flatten)]
    data: DataArg,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Down {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let data = self.data.dir()?;
        let running = Running::find(&data)?;
        match &running {
            Some(running) => end(running, &data)?,
            None if is_held(&data)? => {
                let message = format!("{}: an emulator is just starting or ending", data.display());
                return Err(Failure::new(Class::Failed, message));
            }
            None => say!("emulator: none runs on {}", data.display()),
        }
        if self.json {
            let pid = running.as_ref().map(|running| running.pid);
            let keeps = running.as_ref().is_some_and(|running| running.keeps);
            writeln!(out, "{}", json!({ "ended": pid, "kept": keeps })).map_err(Failure::stdout)?;
        }
        Ok(())
    }
}

fn end(running: &Running, data: &Path) -> Result<(), Failure> {
    // The lock is held, so the number is still that process's.
    let pid = i32::try_from(running.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else {
        let message = format!("{} is no process's number", running.pid);
        return Err(Failure::new(Class::Failed, message));
    };
    kill_process(pid, Signal::TERM).map_err(|error| {
        Failure::new(Class::Failed, format!("process {}: {error}", running.pid))
    })?;
    let until = Instant::now() + ENDS_WITHIN;
    while is_held(data)? {
        if Instant::now() > until {
            let message = format!("process {} does not end", running.pid);
            return Err(Failure::new(Class::Failed, message));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
