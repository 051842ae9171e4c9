//! Guests, by `imgtool run`. Always by QEMU's translator, which works everywhere.

use crate::support::imgtool;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than any boot takes, however busy the host is.
const TIMEOUT: &str = "4m";
const PATIENCE: Duration = Duration::from_secs(300);

/// A guest that runs. Ended when dropped.
pub(crate) struct Machine {
    child: Child,
    lines: Receiver<(Instant, String)>,
    /// The console and what `imgtool` says, with the time of each line.
    seen: Vec<(Instant, String)>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `imgtool run`'s exit code.
    pub(crate) code: Option<i32>,
    /// Its `--json`; null if there was none.
    pub(crate) result: Value,
    /// The console and what `imgtool` says.
    pub(crate) console: String,
    /// The same with the time of each line.
    pub(crate) lines: Vec<(Instant, String)>,
}

/// Boots `image` with `imgtool run`'s arguments.
pub(crate) fn start(image: &Path, arguments: &[&str]) -> Machine {
    let mut command = run_command(image, arguments);
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // A console is bytes: what is not UTF-8 must not end the reading.
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send((Instant::now(), line)).is_err() {
                break;
            }
        }
    });
    Machine {
        child,
        lines,
        seen: Vec::new(),
    }
}

fn run_command(image: &Path, arguments: &[&str]) -> Command {
    let mut command = imgtool();
    command
        .arg("run")
        .arg(image)
        .args(["--json", "--accel", "tcg", "--timeout", TIMEOUT])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Boots `image` and waits for the end.
pub(crate) fn run(image: &Path, arguments: &[&str]) -> Ran {
    start(image, arguments).end()
}

impl Machine {
    /// Waits for a line that contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        if let Some((_, line)) = self.seen.iter().find(|(_, line)| line.contains(text)) {
            return line.clone();
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, line)) = self.lines.recv_timeout(left) else {
                panic!("no {text:?} on the console:\n{}", self.console());
            };
            self.seen.push((at, line.clone()));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ran {
        let mut json = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut json).unwrap();
        let code = self.child.wait().unwrap().code();
        self.seen.extend(self.lines.iter());
        Ran {
            code,
            result: serde_json::from_str(&json).unwrap_or_default(),
            console: self.console(),
            lines: std::mem::take(&mut self.seen),
        }
    }

    fn console(&self) -> String {
        let lines: Vec<&str> = self.seen.iter().map(|(_, line)| line.trim_end()).collect();
        lines.join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Asked, it ends QEMU too.
            if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let _ = self.child.wait();
        }
    }
}

impl Ran {
    /// Demands an exit code, an outcome, and lines on the console.
    pub(crate) fn expect(&self, code: i32, outcome: &str, console: &[&str]) {
        let all = &self.console;
        assert_eq!(self.code, Some(code), "{}\n{all}", self.result);
        assert_eq!(self.result["outcome"], outcome, "{}\n{all}", self.result);
        for text in console {
            assert!(all.contains(text), "no {text:?} on the console:\n{all}");
        }
    }

    /// When the first line that contains `text` came.
    pub(crate) fn at(&self, text: &str) -> Instant {
        match self.lines.iter().find(|(_, line)| line.contains(text)) {
            Some((at, _)) => *at,
            None => panic!("no {text:?} on the console:\n{}", self.console),
        }
    }
}
