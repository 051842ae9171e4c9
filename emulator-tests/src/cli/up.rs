//! `emulator up`

use super::serve::{How, Line, Setup};
use super::{Class, Failure, Running, host};
use clap::Args;
use cli_support::{Spinner, say};
use emulator_localstack::Progress;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long another emulator on the same data may take to start, or to end.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// Start the emulator and print what points AWS clients at it
///
/// It runs in the background until `emulator down`. If it runs already, that is said and the same
/// lines are printed again.
#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    setup: Setup,
    /// Stay in the foreground until Ctrl-C
    #[arg(long)]
    foreground: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

struct Shown(Arc<Spinner>);

impl Progress for Shown {
    fn step(&self, what: &str) {
        self.0.step(what);
    }
}

impl Up {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        self.setup.region()?;
        let data = self.setup.data.dir()?;
        if let Some(running) = Running::find_answering(&data, SETTLES_WITHIN)? {
            say!("emulator: runs already, on {}", running.address);
            return running.print(out, self.json);
        }
        if self.foreground {
            let spinner = Arc::new(Spinner::starting());
            self.setup
                .run(Shown(Arc::clone(&spinner)), None, |running| {
                    spinner.finish();
                    self.say_what_does_not_boot(&running);
                    running.print(out, self.json)
                })
        } else {
            let running = self.start(&data)?;
            self.say_what_does_not_boot(&running);
            running.print(out, self.json)
        }
    }

    /// What nobody asked for is said: that instances are not booted, or not all.
    fn say_what_does_not_boot(&self, running: &Running) {
        let asked_for = self.setup.guests().is_some();
        let said = what_does_not_boot(
            running.guests,
            asked_for,
            emulator_guests::missing(),
            emulator_guests::has_uefi,
        );
        if let Some(said) = said {
            say!("emulator: {said}");
        }
    }

    /// Starts this program again, in the background, and waits until it is ready.
    fn start(&self, data: &Path) -> Result<Running, Failure> {
        let fail = |what: &str| {
            let what = what.to_owned();
            move |error| Failure::new(Class::Surroundings, format!("{what}: {error}"))
        };
        fs::create_dir_all(data).map_err(fail(&data.display().to_string()))?;
        let path = data.join("emulator.log");
        let log = File::options()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(fail(&path.display().to_string()))?;
        let program = std::env::current_exe().map_err(fail("this program"))?;
        let mut command = Command::new(&program);
        command.arg("serve");
        if let Some(data) = &self.setup.data.data {
            command.arg("--data").arg(data);
        }
        command
            .arg("--port")
            .arg(self.setup.port.to_string())
            .arg("--region")
            .arg(&self.setup.region)
            .arg("--localstack")
            .arg(match self.setup.localstack {
                How::Auto => "auto",
                How::Container => "container",
                How::Process => "process",
            })
            .arg("--settle-ms")
            .arg(self.setup.settle_ms.to_string());
        if let Some(guests) = self.setup.guests() {
            command.arg("--guests").arg(guests.to_string());
        }
        if let Some(python) = host::localstack_python() {
            command.env("EMULATOR_LOCALSTACK_PYTHON", python);
        }
        let mut child = command
            // Its end tells the child that nobody waits any more.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(fail(&program.display().to_string()))?;
        let answer = match child.stdout.take() {
            Some(stdout) => wait_until_ready(stdout),
            None => None,
        };
        match answer {
            Some(Ok(running)) => Ok(*running),
            Some(Err(failure)) => {
                let _ = child.wait();
                Err(failure)
            }
            None => {
                let status = child.wait().map_err(fail("the emulator"))?;
                let message = format!("it ended while it started: {status}");
                Err(Failure::new(Class::Failed, message).hint(format!("see {}", path.display())))
            }
        }
    }
}

/// What is to be said of instances that are not booted.
fn what_does_not_boot(
    guests: usize,
    asked_for: bool,
    missing: Option<&str>,
    has_uefi: impl FnOnce() -> bool,
) -> Option<String> {
    if guests > 0 {
        return (!has_uefi()).then(|| {
            "instances that boot by UEFI can't be started: no firmware is installed; install the \
             package `ovmf`"
                .to_owned()
        });
    }
    (!asked_for).then(|| {
        let missing = missing.unwrap_or("QEMU");
        format!("instances are records: {missing} is not installed")
    })
}

/// Reads the child's lines; `None` if it ended without a word.
fn wait_until_ready(stdout: ChildStdout) -> Option<Result<Box<Running>, Failure>> {
    let spinner = Spinner::starting();
    let mut answer = None;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Line::Step(what)) => spinner.step(&what),
            Ok(Line::Ready(running)) => answer = Some(Ok(running)),
            Ok(Line::Failed(failure)) => answer = Some(Err(failure)),
            Err(error) => {
                let message = format!("its first words make no sense: {error}");
                answer = Some(Err(Failure::new(Class::Failed, message)));
            }
        }
        if answer.is_some() {
            break;
        }
    }
    spinner.finish();
    answer
}

#[cfg(test)]
mod tests {
    use super::what_does_not_boot;

    #[test]
    fn what_nobody_asked_for_is_said() {
        for (guests, asked_for, missing, has_uefi, says) in [
            (2, false, None, true, None),
            (2, false, None, false, Some("install the package `ovmf`")),
            (2, true, None, false, Some("install the package `ovmf`")),
            (0, true, None, false, None),
            (
                0,
                false,
                Some("setpriv"),
                false,
                Some("setpriv is not installed"),
            ),
        ] {
            let said = what_does_not_boot(guests, asked_for, missing, || has_uefi);
            match says {
                None => assert_eq!(said, None),
                Some(part) => assert!(
                    said.as_ref().is_some_and(|it| it.contains(part)),
                    "{said:?}"
                ),
            }
        }
    }
}
