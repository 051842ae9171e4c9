//! `emulator up`

use super::progress::Spinner;
use super::serve::{How, Line, Setup};
use super::{Class, Failure, Running, host};
use clap::Args;
use emulator_tests::localstack::Progress;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;

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
        if let Some(running) = Running::find(&data)? {
            say!("emulator: runs already, on {}", running.address);
            return running.print(out, self.json);
        }
        if self.foreground {
            let spinner = Arc::new(Spinner::new());
            self.setup
                .run(Shown(Arc::clone(&spinner)), None, |running| {
                    spinner.finish();
                    self.say_if_nothing_boots(&running);
                    running.print(out, self.json)
                })
        } else {
            let running = self.start(&data)?;
            self.say_if_nothing_boots(&running);
            running.print(out, self.json)
        }
    }

    /// What nobody asked for is said: that instances are not booted.
    fn say_if_nothing_boots(&self, running: &Running) {
        if running.guests == 0 && self.setup.guests().is_none() {
            say!(
                "emulator: instances are records: {} is not installed",
                emulator_tests::guests::missing().unwrap_or("QEMU")
            );
        }
    }

    /// Starts this program again, in the background, and waits until it is ready.
    fn start(&self, data: &Path) -> Result<Running, Failure> {
        let fail = |what: &str| {
            let what = what.to_owned();
            move |error| Failure::new(Class::Host, format!("{what}: {error}"))
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

/// Reads the child's lines; `None` if it ended without a word.
fn wait_until_ready(stdout: ChildStdout) -> Option<Result<Box<Running>, Failure>> {
    let spinner = Spinner::new();
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
