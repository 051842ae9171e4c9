//! Signals to PID 1, read like a file.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::failure::{Context, Result};

/// What a signal asks of PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A child ended (SIGCHLD).
    Reap,
    /// Power off (SIGTERM, SIGPWR).
    PowerOff,
    /// Restart (SIGINT, which the kernel sends for Ctrl-Alt-Del).
    Restart,
}

/// The blocked signals of this process.
pub(crate) struct Signals(File);

impl Signals {
    /// Blocks the signals that [`Request`] names, so that they wait to be read. Comes before any
    /// thread is started: threads inherit the mask.
    pub(crate) fn block() -> Result<Self> {
        // SAFETY: the set is initialised by sigemptyset before it is read; each call gets valid
        // pointers to it, and signalfd's result is a new descriptor that nothing else owns.
        #[allow(unsafe_code)]
        let fd = unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGPWR, libc::SIGINT] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
            match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(OwnedFd::from_raw_fd(fd)),
            }
        };
        Ok(Self(
            fd.context(|| "can't wait for signals".to_owned())?.into(),
        ))
    }

    /// The next signal that waits, if any does.
    pub(crate) fn next(&mut self) -> Option<Request> {
        let mut raw = [0; size_of::<libc::signalfd_siginfo>()];
        loop {
            if self.0.read(&mut raw).ok()? != raw.len() {
                return None;
            }
            // ssi_signo is the first field of signalfd_siginfo.
            let number = u32::from_ne_bytes([raw[0], raw[1], raw[2], raw[3]]);
            match number.cast_signed() {
                libc::SIGCHLD => return Some(Request::Reap),
                libc::SIGTERM | libc::SIGPWR => return Some(Request::PowerOff),
                libc::SIGINT => return Some(Request::Restart),
                _ => {}
            }
        }
    }
}

/// Unblocks every signal, in a child before it becomes the application: the mask is inherited.
/// Allocates nothing and takes no lock.
pub(crate) fn unblock_all() {
    // SAFETY: the set is initialised by sigemptyset before pthread_sigmask reads it.
    #[allow(unsafe_code)]
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
