//! QEMU as a child process: started, told, waited for, and never left behind.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::QemuError;
use super::command::CONTROL;

/// How long QEMU has to close its files and restore the terminal before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A process that ends, at the latest, when this is dropped.
pub(super) struct Child(pub(super) std::process::Child);

impl Child {
    /// Starts `command`.
    pub(super) fn spawn(command: &mut Command) -> Result<Child, QemuError> {
        match command.spawn() {
            Ok(child) => Ok(Child(child)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(QemuError::NoQemu),
            Err(source) => Err(QemuError::Io {
                what: "qemu-system-x86_64 can't be started",
                source,
            }),
        }
    }

    /// Waits for its end, until `deadline`.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<ExitStatus>, QemuError> {
        loop {
            let status = self.0.try_wait().map_err(|source| QemuError::Io {
                what: "QEMU can't be waited for",
                source,
            })?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it: asks, waits a little, kills.
    pub(super) fn stop(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended just now; then there is nothing to ask.
            let _ = kill_process(pid, Signal::TERM);
        }
        if !matches!(self.wait_until(Instant::now() + GRACE), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why a guest ended, from QEMU's `SHUTDOWN` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It powered off.
    PowerOff,
    /// It reset itself.
    Reset,
    /// QEMU did not say, or was stopped from outside.
    Unknown,
}

/// The line to QEMU: QMP (QEMU's `docs/interop/qmp-spec.txt`) on a socket that we listen on.
pub(super) struct Control {
    listener: UnixListener,
    stream: Option<UnixStream>,
    received: Vec<u8>,
}

impl Control {
    /// What is kept of QEMU's messages.
    const KEEP: usize = 64 * 1024;

    /// Listens in `dir`, which becomes QEMU's working directory.
    pub(super) fn listen(dir: &Path) -> io::Result<Control> {
        // By way of the open directory: a socket's path can have 107 bytes only.
        let open = std::fs::File::open(dir)?;
        let path = format!("/proc/self/fd/{}/{CONTROL}", open.as_raw_fd());
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Control {
            listener,
            stream: None,
            received: Vec::new(),
        })
    }

    /// Accepts QEMU's connection and takes in what it says. Never waits.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            stream.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
            stream.set_nonblocking(true)?;
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let mut buf = [0; 4096];
        loop {
            match stream.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    self.received.extend_from_slice(&buf[..n]);
                    let over = self.received.len().saturating_sub(Control::KEEP);
                    self.received.drain(..over);
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Presses the power button.
    pub(super) fn press_power_button(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) => stream.write_all(b"{\"execute\": \"system_powerdown\"}\n"),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Why the guest ended, as far as QEMU said.
    pub(super) fn ending(&self) -> Ending {
        ending(&String::from_utf8_lossy(&self.received))
    }
}

fn ending(messages: &str) -> Ending {
    let reason = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|message| message.pointer("/event") == Some(&"SHUTDOWN".into()))
        .and_then(|message| Some(message.pointer("/data/reason")?.as_str()?.to_string()));
    match reason.as_deref() {
        Some("guest-shutdown") => Ending::PowerOff,
        Some("guest-reset" | "guest-panic") => Ending::Reset,
        _ => Ending::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_says_why_the_guest_ended() {
        for (messages, expected) in [
            ("", Ending::Unknown),
            ("garbage\n{}\n", Ending::Unknown),
            (
                "{\"return\": {}}\r\n{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n",
                Ending::PowerOff,
            ),
            (
                "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}",
                Ending::Reset,
            ),
            (
                "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"host-signal\"}}",
                Ending::Unknown,
            ),
        ] {
            assert_eq!(ending(messages), expected, "{messages}");
        }
    }

    #[test]
    fn a_child_does_not_outlive_its_handle() {
        let child = Child::spawn(Command::new("sleep").arg("1000")).unwrap();
        let pid = Pid::from_raw(child.0.id() as i32).unwrap();
        rustix::process::test_kill_process(pid).unwrap();
        drop(child);
        rustix::process::test_kill_process(pid).unwrap_err();
    }
}
