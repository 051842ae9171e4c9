//! One run: from options to how it ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::command::{Parts, QEMU, arguments, machine_kind, utf8};
use super::console::{Event, Exit, Scanner};
use super::firmware::{choose, find_ovmf};
use super::machine::{Child, Control, Ending};
use super::{Accel, Firmware, Forward, Options, QemuError, overlay, probe};

/// How long a guest that gave up may go on writing: the lines that follow say why.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often a signal, a deadline and QEMU's messages are looked at.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The text that was waited for was seen (and the guest powered off, if that was asked for).
    Expected,
    /// The application ended for good and the guest with it.
    Exited(Exit),
    /// The guest powered off.
    PoweredOff,
    /// The guest reset itself.
    Reset,
    /// The firmware found nothing to boot.
    NothingToBoot,
    /// PID 1 gave up; its reason.
    Failed(String),
    /// The kernel gave up; its line.
    Panicked(String),
    /// Time was up.
    TimedOut,
    /// A signal asked for an end.
    Interrupted,
}

/// What is known after a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The firmware it was booted with.
    pub firmware: Firmware,
    /// [`Accel::Kvm`] or [`Accel::Tcg`].
    pub accel: Accel,
    /// The forwarded ports, all settled.
    pub forwards: Vec<Forward>,
    /// From QEMU's start to its end.
    pub elapsed: Duration,
    /// From QEMU's start to the text that was waited for.
    pub expected_after: Option<Duration>,
    /// The console's last lines.
    pub last_lines: String,
}

/// Boots `options.image`. What the guest writes goes to `console` as it comes; `started` is told
/// the settled choices before QEMU starts; `interrupted` ends the run when it becomes true.
pub fn boot(
    options: &Options,
    console: &mut dyn Write,
    started: &mut dyn FnMut(Firmware, Accel, &[Forward]),
    interrupted: &AtomicBool,
) -> Result<Report, QemuError> {
    let (image, metadata) = overlay::check_image(&options.image)?;
    let firmware = match options.firmware {
        Some(firmware) => firmware,
        None => choose(&image)?,
    };
    let ovmf = match firmware {
        Firmware::Uefi => Some(find_ovmf()?),
        Firmware::Bios => None,
    };
    let dir = tempfile::Builder::new()
        .prefix("imgtool-run-")
        .tempdir()
        .map_err(io_error("a temporary directory can't be made"))?;
    let overlay = match &options.overlay {
        Some(path) => std::path::absolute(path).map_err(|source| QemuError::OverlayIo {
            path: path.clone(),
            source,
        })?,
        None => dir.path().join("overlay"),
    };
    overlay::prepare(options, &image, &metadata, &overlay)?;
    let vars = dir.path().join("vars");
    if let Some(ovmf) = &ovmf {
        // Read and written, not copied: the copy must be writable, which the original may not be.
        std::fs::read(&ovmf.vars)
            .and_then(|bytes| std::fs::write(&vars, bytes))
            .map_err(io_error("the firmware's variables can't be copied"))?;
    }
    let forwards = settle_ports(&options.forwards)?;
    let accel = settle_accel(options, dir.path())?;
    let path = |path| {
        utf8(path).map_err(|why| QemuError::Overlay {
            path: path.to_path_buf(),
            why: why.to_string(),
        })
    };
    let flash = match &ovmf {
        Some(ovmf) => Some((path(&ovmf.code)?, path(&vars)?)),
        None => None,
    };
    let parts = Parts {
        flash,
        accel,
        overlay: path(&overlay)?,
        forwards: &forwards,
    };
    let stdin = io::stdin();
    let stdin = if rustix::termios::isatty(&stdin) {
        Stdio::inherit()
    } else {
        Stdio::null()
    };
    let log = dir.path().join("qemu.log");
    let stderr =
        File::create(&log).map_err(io_error("the temporary directory can't be written"))?;
    let mut command = Command::new(QEMU);
    command
        .current_dir(dir.path())
        .args(arguments(options, &parts))
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(stderr);
    started(firmware, accel, &forwards);

    let control =
        Control::listen(dir.path()).map_err(io_error("a socket for QEMU can't be made"))?;
    let mut watch = Watch {
        options,
        start: Instant::now(),
        child: Child::spawn(&mut command)?,
        control,
        scanner: Scanner::new(options.expect.as_deref()),
        expected_after: None,
        exit: None,
        last_words: None,
    };
    let outcome = watch.run(console, interrupted, &log)?;
    Ok(Report {
        outcome,
        firmware,
        accel,
        forwards,
        elapsed: watch.start.elapsed(),
        expected_after: watch.expected_after,
        last_lines: watch.scanner.last_lines(20),
    })
}

fn io_error(what: &'static str) -> impl Fn(io::Error) -> QemuError {
    move |source| QemuError::Io { what, source }
}

/// Takes free ports for those given as 0, and refuses ports that are in use.
fn settle_ports(forwards: &[Forward]) -> Result<Vec<Forward>, QemuError> {
    // All are held at once, so that no free port is taken twice.
    let mut held = Vec::new();
    for &Forward { host, guest } in forwards {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, host))
            .and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = bound.map_err(|source| QemuError::Port { port: host, source })?;
        held.push((listener, Forward { host: port, guest }));
    }
    Ok(held.into_iter().map(|(_, forward)| forward).collect())
}

fn settle_accel(options: &Options, dir: &Path) -> Result<Accel, QemuError> {
    if options.accel == Accel::Tcg {
        return Ok(Accel::Tcg);
    }
    match (probe::kvm(machine_kind(options.disk), dir)?, options.accel) {
        (Ok(()), _) => Ok(Accel::Kvm),
        (Err(why), Accel::Kvm) => Err(QemuError::NoKvm { why }),
        (Err(_), _) => Ok(Accel::Tcg),
    }
}

/// A machine that runs, and what it has shown so far.
struct Watch<'a> {
    options: &'a Options,
    start: Instant,
    child: Child,
    control: Control,
    scanner: Scanner,
    expected_after: Option<Duration>,
    exit: Option<Exit>,
    /// The guest gave up: how, and until when it is listened to.
    last_words: Option<(Outcome, Instant)>,
}

impl Watch<'_> {
    /// Watches until it is over; then QEMU has ended.
    fn run(
        &mut self,
        console: &mut dyn Write,
        interrupted: &AtomicBool,
        log: &Path,
    ) -> Result<Outcome, QemuError> {
        let mut stdout = self.child.0.stdout.take();
        let deadline = self
            .options
            .timeout
            .and_then(|timeout| self.start.checked_add(timeout));
        let mut buf = [0; 8192];
        loop {
            self.control
                .poll()
                .map_err(io_error("QEMU's messages can't be read"))?;
            let read = match &mut stdout {
                Some(stdout) => read_ready(stdout, &mut buf)
                    .map_err(io_error("the guest's console can't be read"))?,
                None => Some(0),
            };
            if let Some(n) = read {
                if n == 0 {
                    return self.ended(log);
                }
                let written = console.write_all(&buf[..n]).and_then(|()| console.flush());
                written.map_err(io_error("the console can't be shown"))?;
                for event in self.scanner.push(&buf[..n]) {
                    if let Some(outcome) = self.take(event)? {
                        self.child.stop();
                        return Ok(outcome);
                    }
                }
            }
            let now = Instant::now();
            let over = if interrupted.load(Ordering::Relaxed) {
                Some(Outcome::Interrupted)
            } else if let Some((outcome, until)) = &self.last_words
                && now >= *until
            {
                Some(outcome.clone())
            } else if deadline.is_some_and(|deadline| now >= deadline) {
                Some(Outcome::TimedOut)
            } else {
                None
            };
            if let Some(outcome) = over {
                self.child.stop();
                return Ok(outcome);
            }
        }
    }

    /// Takes note of an event; says so if it ends the run at once.
    fn take(&mut self, event: Event) -> Result<Option<Outcome>, QemuError> {
        let gave_up = match event {
            _ if self.last_words.is_some() => return Ok(None),
            Event::Expected => {
                self.expected_after = Some(self.start.elapsed());
                if !self.options.power_off {
                    return Ok(Some(Outcome::Expected));
                }
                self.control
                    .press_power_button()
                    .map_err(io_error("QEMU can't be told to press the power button"))?;
                return Ok(None);
            }
            Event::Exited(exit) => {
                self.exit = Some(exit);
                return Ok(None);
            }
            Event::NothingToBoot => Outcome::NothingToBoot,
            Event::Failed(reason) => Outcome::Failed(reason),
            Event::Panicked(line) => Outcome::Panicked(line),
        };
        self.last_words = Some((gave_up, Instant::now() + LAST_WORDS));
        Ok(None)
    }

    /// How it ended, once QEMU has closed the console.
    fn ended(&mut self, log: &Path) -> Result<Outcome, QemuError> {
        let status = self
            .child
            .0
            .wait()
            .map_err(io_error("QEMU can't be waited for"))?;
        self.control
            .poll()
            .map_err(io_error("QEMU's messages can't be read"))?;
        if let Some((outcome, _)) = self.last_words.take() {
            return Ok(outcome);
        }
        match (self.control.ending(), self.expected_after, self.exit) {
            (Ending::PowerOff, Some(_), _) => Ok(Outcome::Expected),
            (_, None, Some(exit)) => Ok(Outcome::Exited(exit)),
            (Ending::PowerOff, None, None) => Ok(Outcome::PoweredOff),
            (Ending::Reset, _, _) => Ok(Outcome::Reset),
            // Ctrl-C reaches QEMU too, and it may be the first to act on it.
            (Ending::Unknown, _, _) if status.success() => Ok(Outcome::Interrupted),
            (Ending::Unknown, _, _) => Err(QemuError::Died {
                status,
                stderr: last_of(log),
            }),
        }
    }
}

/// Waits a tick for bytes and reads what is there: `None` if nothing came, 0 at the end.
fn read_ready(stdout: &mut ChildStdout, buf: &mut [u8]) -> io::Result<Option<usize>> {
    let ready = {
        let mut fds = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&TICK)) {
            Ok(count) => count > 0,
            Err(rustix::io::Errno::INTR) => false,
            Err(e) => return Err(e.into()),
        }
    };
    if !ready {
        return Ok(None);
    }
    match stdout.read(buf) {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(e) => Err(e),
    }
}

/// The end of QEMU's own messages.
fn last_of(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(2000);
    String::from_utf8_lossy(&text[start..]).trim().to_string()
}

#[cfg(test)]
mod tests;
