//! Owner, extended attributes, mode and times of what was made.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fsetxattr, futimens, lsetxattr, utimensat,
};
use rustix::io::Errno;

use super::losses::Losses;
use crate::inspect::{Attribute, Attributes, Entry, FileKind};

/// Given to a file by what its capabilities let it do, as set-user-ID is.
const CAPABILITY: &[u8] = b"security.capability";

/// What is changed.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A file or directory that is open.
    Open(BorrowedFd<'a>),
    /// A name in a directory, of what can't be opened without consequences.
    Named(BorrowedFd<'a>, &'a str),
}

/// Sets all that `entry` and `attributes` say. Of the owners only if they are to be kept, and of
/// what gives rights to whoever runs the file only then.
///
/// The order matters: a change of the owner takes capabilities and special bits away, attributes
/// can't be set on what may not be written, and all of it changes times.
pub(super) fn apply(
    target: Target,
    entry: &Entry,
    attributes: &Attributes,
    owners: bool,
    losses: &mut Losses,
) -> io::Result<()> {
    if let Some(unix) = &entry.unix {
        if owners {
            let (uid, gid) = (Uid::from_raw(unix.uid), Gid::from_raw(unix.gid));
            match target {
                Target::Open(fd) => fchown(fd, Some(uid), Some(gid))?,
                Target::Named(directory, name) => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    chownat(directory, name, Some(uid), Some(gid), flags)?;
                }
            }
        }
        for attribute in &attributes.extended {
            if attribute.name == CAPABILITY && !owners {
                losses.attribute(attribute, &entry.path, "as owners are not kept");
            } else if let Err(e) = set(target, attribute) {
                if !is_refusal(e) {
                    return Err(e.into());
                }
                losses.attribute(attribute, &entry.path, &io::Error::from(e).to_string());
            }
        }
        let kept = if owners { 0o7777 } else { 0o1777 };
        let mode = Mode::from_raw_mode(u32::from(unix.mode & kept));
        match target {
            Target::Open(fd) => fchmod(fd, mode)?,
            // A link has no mode.
            Target::Named(..) if entry.kind == FileKind::Symlink => {}
            Target::Named(directory, name) => {
                chmodat(directory, name, mode, AtFlags::empty())?;
            }
        }
    }
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: attributes.modified,
            tv_nsec: attributes.nanoseconds.into(),
        },
    };
    match target {
        Target::Open(fd) => futimens(fd, &times)?,
        Target::Named(directory, name) => {
            utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

fn set(target: Target, attribute: &Attribute) -> rustix::io::Result<()> {
    let name = CString::new(attribute.name.clone()).map_err(|_| Errno::INVAL)?;
    let flags = XattrFlags::empty();
    match target {
        Target::Open(fd) => fsetxattr(fd, name, &attribute.value, flags),
        // There is no call that takes directory and name before Linux 6.13.
        Target::Named(directory, file) => {
            let path = format!("/proc/self/fd/{}/{file}", directory.as_raw_fd());
            lsetxattr(path, name, &attribute.value, flags)
        }
    }
}

/// Whether an attribute can't be held here, which is no reason not to have the file.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOTSUP
            | Errno::PERM
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::NOENT
            | Errno::NOSPC
            | Errno::RANGE
            | Errno::TOOBIG
    )
}
