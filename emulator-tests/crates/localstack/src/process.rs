//! LocalStack as a process of this host.

use super::{Kind, Options, StartError, health, tail};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long saving may take before the process is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A process group, led by LocalStack's Python.
pub(super) struct Process {
    child: Child,
    keep: bool,
    ended: bool,
}

/// What LocalStack is told; the same for a process and in a container.
pub(super) const ENVIRONMENT: [(&str, &str); 9] = [
    // No analytics, and no look at the network for a certificate or a name server.
    ("DISABLE_EVENTS", "1"),
    ("SKIP_SSL_CERT_DOWNLOAD", "1"),
    ("DNS_ADDRESS", "0"),
    // The default, Twisted, listens on all interfaces, whatever GATEWAY_LISTEN says.
    ("GATEWAY_SERVER", "hypercorn"),
    // Queues' addresses are those that the caller used: the gateway's.
    ("SQS_ENDPOINT_STRATEGY", "dynamic"),
    ("S3_SKIP_KMS_KEY_VALIDATION", "0"),
    // Images are ours: those of its own, 566 in each account and region, nobody sees, but they take
    // a tenth of a second to make, and as long each time that state is saved.
    ("MOTO_EC2_LOAD_DEFAULT_AMIS", "false"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONUNBUFFERED", "1"),
];

/// Starts it on a free port and waits until it answers.
pub(super) async fn start(
    options: &Options,
    launcher: &Path,
) -> Result<(SocketAddr, Process), StartError> {
    let Some(python) = options.python.as_ref().filter(|python| python.exists()) else {
        return Err(StartError::NoPython(options.python.clone()));
    };
    let (address, _held) = free_port().map_err(|source| StartError::File {
        path: PathBuf::from("a free port"),
        source: source.into(),
    })?;
    let log = options.home.join("localstack.log");
    let mut process = spawn(python, options, launcher, address, &log)?;
    let until = Instant::now() + options.ready_within;
    loop {
        if let Some(status) = process.ended() {
            return Err(StartError::Ended {
                kind: Kind::Process,
                status: status.to_string(),
                log: tail::of_file(&log),
            });
        }
        if health::answers(address).await {
            return Ok((address, process));
        }
        if Instant::now() > until {
            return Err(StartError::Silent {
                kind: Kind::Process,
                within: options.ready_within,
                log: tail::of_file(&log),
            });
        }
        tokio::time::sleep(health::PAUSE).await;
    }
}

fn spawn(
    python: &Path,
    options: &Options,
    launcher: &Path,
    address: SocketAddr,
    log: &Path,
) -> Result<Process, StartError> {
    let fail = |source| StartError::File {
        path: log.to_owned(),
        source,
    };
    let out = File::create(log).map_err(fail)?;
    let error = out.try_clone().map_err(fail)?;
    let home = &options.home;
    let mut command = Command::new(python);
    command
        .arg(launcher.join("launcher.py"))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("FILESYSTEM_ROOT", home.join("volume"))
        .env("GATEWAY_LISTEN", address.to_string())
        .env("EMULATOR_HOME", home)
        .env("EMULATOR_LEASE", home.join("lease"))
        .env("EMULATOR_KEEP", if options.keep { "1" } else { "0" })
        .envs(ENVIRONMENT)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(error)
        // A terminal's Ctrl-C is for us, who end it in good order.
        .process_group(0);
    if let Some(scratch) = &options.scratch {
        command.env("EMULATOR_SCRATCH", scratch);
    }
    let child = command.spawn().map_err(|source| StartError::Spawn {
        python: python.to_owned(),
        source,
    })?;
    Ok(Process {
        child,
        keep: options.keep,
        ended: false,
    })
}

/// A port of the loopback interface, and what keeps the kernel from giving it to somebody else, a
/// connection of theirs, too, until LocalStack has taken it: a socket that is bound and does not
/// listen. Only who says `SO_REUSEADDR`, as LocalStack does, binds the same port.
fn free_port() -> rustix::io::Result<(SocketAddr, OwnedFd)> {
    let held = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    bind(&held, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    // After it is bound: before, two could be given the same port.
    set_socket_reuseaddr(&held, true)?;
    Ok((SocketAddr::try_from(getsockname(&held)?)?, held))
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        self.ended |= status.is_some();
        status
    }

    /// Ends it; if its state is to be kept, after that is saved.
    pub(super) fn end(&mut self) {
        if self.ended {
            return;
        }
        // The child has not been waited for: its number is still its own.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if self.keep && pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()) {
            let until = Instant::now() + ENDS_WITHIN;
            while self.ended().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            if !self.ended {
                tracing::warn!(
                    "LocalStack did not end in {} s: killed",
                    ENDS_WITHIN.as_secs()
                );
            }
        }
        if !self.ended {
            // What it has started itself, too.
            if let Some(pid) = pid {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = self.child.wait();
            self.ended = true;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
