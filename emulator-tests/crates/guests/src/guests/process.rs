//! QEMU as a process that ends, at the latest, when this one does.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use tokio::sync::{oneshot, watch};

/// Starts a program so that the kernel kills it when its parent ends, however that ends: of
/// util-linux. It becomes the program: there is no process in between.
pub(super) const WRAPPER: &str = "setpriv";
/// Most bytes that are read of a program's last words.
const MOST_WORDS: u64 = 2000;

/// A process.
pub(super) struct Process {
    /// The kernel's name for it, which is never another one's.
    pidfd: OwnedFd,
    /// Its number, for people.
    pid: u32,
    stdout: Option<ChildStdout>,
    ended: watch::Receiver<bool>,
    log: PathBuf,
}

/// What the thread that waits for the process says of it first.
type Spawned = io::Result<(OwnedFd, u32, Option<ChildStdout>)>;

impl Process {
    /// Starts a program in this directory. What it writes to standard error is in `log`.
    pub(super) async fn start(
        program: &str,
        arguments: Vec<String>,
        dir: &Path,
        log: &Path,
    ) -> io::Result<Self> {
        let mut command = Command::new(WRAPPER);
        command
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            // A terminal's Ctrl-C is for us, who end it in good order.
            .process_group(0);
        let (spawned, was_spawned) = oneshot::channel::<Spawned>();
        let (end, ended) = watch::channel(false);
        // The parent, whose end the kernel watches, is this thread: it has to stay.
        std::thread::Builder::new()
            .name("machine".to_owned())
            .spawn(move || {
                let child = command.spawn().and_then(|mut child| {
                    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                    let pid = pid.ok_or_else(|| io::Error::other("no process's number"))?;
                    // It has not been waited for: the number is still its own.
                    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
                    let stdout = child.stdout.take();
                    let pid = child.id();
                    Ok((child, (pidfd, pid, stdout)))
                });
                match child {
                    Ok((mut child, parts)) => {
                        let _ = spawned.send(Ok(parts));
                        if let Err(error) = child.wait() {
                            tracing::error!(%error, "a machine can't be waited for");
                        }
                    }
                    Err(error) => drop(spawned.send(Err(error))),
                }
                end.send_replace(true);
            })?;
        let (pidfd, pid, stdout) = was_spawned
            .await
            .map_err(|_| io::Error::other("the thread that starts it is gone"))??;
        Ok(Self {
            pidfd,
            pid,
            stdout,
            ended,
            log: log.to_owned(),
        })
    }

    /// Its number, which may be another's once it has ended.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its standard output, once.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) {
        // An error is the end of the thread that waits for it.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Kills it.
    pub(super) fn kill(&self) {
        // That it has ended already is no error.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// The end of what it wrote to standard error.
    pub(super) fn last_words(&self) -> String {
        last_words(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn last_words(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_WORDS)))?;
    let mut words = Vec::new();
    file.take(MOST_WORDS).read_to_end(&mut words)?;
    Ok(String::from_utf8_lossy(&words).trim().to_owned())
}
