//! The end: everything stopped, file systems clean, power off.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::thread;
use std::time::{Duration, Instant};

use imgtool_init::console::FAILED;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};
use rustix::system::{RebootCommand, reboot};

use super::devices::list;
use super::failure::Failure;

/// How the machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    PowerOff,
    Restart,
}

/// How long a line that says why stays before the power goes: a slow serial line, or a person.
const TIME_TO_READ: Duration = Duration::from_secs(2);

/// How long killed processes may take to go away; one that waits for a broken disk never does.
pub(crate) const TIME_TO_DIE: Duration = Duration::from_secs(2);

/// Says why, and powers off.
pub(crate) fn fail(failure: &Failure) -> ! {
    say!("{FAILED}{failure}");
    thread::sleep(TIME_TO_READ);
    end(End::PowerOff)
}

/// Has a panic of PID 1, in whatever thread, end as any other failure does.
pub(crate) fn report_panics() {
    panic::set_hook(Box::new(|information| {
        say!("{FAILED}init itself: {information}");
        thread::sleep(TIME_TO_READ);
        end(End::PowerOff)
    }));
}

/// Kills every process, makes the file systems clean and ends the machine.
pub(crate) fn end(end: End) -> ! {
    signal_all(Signal::KILL);
    let start = Instant::now();
    while reap().is_some() && start.elapsed() < TIME_TO_DIE {
        thread::sleep(Duration::from_millis(5));
    }
    rustix::fs::sync();
    unmount_all();
    let (word, command) = match end {
        End::PowerOff => ("powering off", RebootCommand::PowerOff),
        End::Restart => ("restarting", RebootCommand::Restart),
    };
    say!("{word}");
    if let Err(error) = reboot(command) {
        say!("{FAILED}{word}: {error}");
    }
    // PID 1 must not return: the kernel would panic.
    loop {
        thread::park();
    }
}

/// Sends a signal to every process but PID 1.
pub(crate) fn signal_all(signal: Signal) {
    // rustix negates the id, and kill(-1) means every process. None left is no error here.
    let _ = kill_process_group(Pid::INIT, signal);
}

/// Reaps every process that has ended; `None` when there are no children any more.
pub(crate) fn reap() -> Option<Vec<(Pid, rustix::process::WaitStatus)>> {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Ok(None) => return Some(ended),
            Err(Errno::INTR) => {}
            Err(_) if ended.is_empty() => return None,
            Err(_) => return Some(ended),
        }
    }
}

/// Unmounts what can be, innermost first, and makes root read-only, which marks it clean.
fn unmount_all() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for target in mount_points(&mounts)
        .iter()
        .rev()
        .filter(|target| *target != "/")
    {
        // What is still in use, /dev under the console, holds nothing that could be lost.
        let _ = unmount(target.as_str(), UnmountFlags::NOFOLLOW);
    }
    if let Err(error) = mount_remount("/", MountFlags::RDONLY, c"") {
        say!("warning: can't make the root file system read-only: {error}");
    }
    rustix::fs::sync();
}

/// The mount points of `/proc/self/mountinfo`, in the order in which they were mounted.
fn mount_points(mountinfo: &str) -> Vec<String> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .collect()
}

/// Undoes the kernel's `\040` and its like; proc(5).
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (escaped, plain) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        text = text.replace(escaped, plain);
    }
    text
}

/// Makes requests of the kernel to end the machine come to PID 1.
pub(crate) fn take_requests() {
    // Ctrl-Alt-Del becomes SIGINT instead of an immediate restart.
    let _ = reboot(RebootCommand::CadOff);
    // What Xen's tool stack asks for, and what too hot a machine needs, the kernel does by
    // running this program. The initramfs is gone by then, but not the file that is PID 1.
    if let Err(error) = fs::write("/proc/sys/kernel/poweroff_cmd", "/proc/1/exe") {
        say!("warning: the kernel can't ask to power off: {error}");
    }
}

/// Asks PID 1 to power off, and ends.
#[allow(clippy::exit)]
pub(crate) fn ask_pid_1() -> ! {
    let sent = kill_process(Pid::INIT, Signal::TERM);
    std::process::exit(i32::from(sent.is_err()))
}

/// The devices that may have a power button.
pub(crate) struct Buttons(Vec<File>);

impl Buttons {
    /// Opens every input device. They come from the modules `button` and `evdev`.
    pub(crate) fn open() -> Self {
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let devices = list("/dev/input".into());
        let files = devices.into_iter().filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("event"))
        });
        let open = |path| {
            File::options()
                .read(true)
                .custom_flags(nonblocking)
                .open(path)
        };
        Self(files.flat_map(open).collect())
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|file| file.as_fd())
    }

    /// Whether the power button was pressed since the last call. A device that is gone is let go.
    pub(crate) fn pressed(&mut self) -> bool {
        let mut pressed = false;
        self.0.retain_mut(|file| {
            let mut raw = [0; EVENT * 16];
            loop {
                match file.read(&mut raw) {
                    Ok(0) => return false,
                    Ok(length) => pressed |= raw[..length].chunks_exact(EVENT).any(is_power_key),
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
        pressed
    }
}

/// Bytes in `struct input_event` of linux/input.h: a time of 16, type, code, value.
const EVENT: usize = 24;

/// Whether an event says that the power key went down.
fn is_power_key(event: &[u8]) -> bool {
    const EV_KEY: u16 = 1;
    const KEY_POWER: u16 = 116;
    let u16_at = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
    u16_at(16) == EV_KEY && u16_at(18) == KEY_POWER && event[20..24] == 1_i32.to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_power_key_going_down_counts() {
        let event = |kind: u16, code: u16, value: i32| {
            let mut raw = vec![0; 16];
            raw.extend(kind.to_ne_bytes());
            raw.extend(code.to_ne_bytes());
            raw.extend(value.to_ne_bytes());
            is_power_key(&raw)
        };
        assert!(event(1, 116, 1));
        assert!(!event(1, 116, 0));
        assert!(!event(1, 30, 1));
        assert!(!event(0, 116, 1));
    }

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let text = "22 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw\n\
                    30 22 0:26 / /mnt/a\\040b\\134 rw - tmpfs tmpfs rw\n\nbroken\n";
        assert_eq!(mount_points(text), ["/", "/mnt/a b\\"]);
    }
}
