//! The root file system becomes `/`.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::mount::{UnmountFlags, mount_move, unmount};
use rustix::process::{chdir, chroot};

use super::failure::{Context, Failure, Result};
use super::mount::{SYSROOT, make_directory};

/// What moves along, in this order.
const MOVED: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// How deep directories in the initramfs may be nested.
const MAX_DEPTH: usize = 32;

/// Moves the kernel's file systems into the root file system, makes it `/`, and frees the memory
/// that the initramfs took.
pub(crate) fn root() -> Result<()> {
    let initramfs = File::open("/").context(|| "can't open the initramfs".to_owned())?;
    for from in MOVED {
        let to = format!("{SYSROOT}{from}");
        // A symbolic link of this name would lead out of the root file system.
        match fs::symlink_metadata(&to) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Failure::new(format!(
                    "{from} in the root file system is not a directory"
                )));
            }
            Ok(_) => {}
            Err(_) => make_directory(Path::new(&to))?,
        }
        if let Err(error) = mount_move(from, to.as_str()) {
            // Detached rather than left behind: the memory of the initramfs is to become free.
            let _ = unmount(from, UnmountFlags::DETACH);
            return Err(error).context(|| format!("can't move {from} to the root file system"));
        }
    }
    let can_not = || "can't switch to the root file system".to_owned();
    chdir(SYSROOT).context(can_not)?;
    mount_move(".", "/").context(can_not)?;
    chroot(".").context(can_not)?;
    chdir("/").context(can_not)?;
    free(initramfs.as_fd());
    Ok(())
}

/// Removes everything in the initramfs. What can't be removed only costs memory.
fn free(initramfs: BorrowedFd<'_>) {
    if let Ok(stat) = statat(initramfs, ".", AtFlags::empty()) {
        empty(initramfs, stat.st_dev, 0);
    }
}

/// Removes what is in a directory, without leaving the file system `device`.
fn empty(directory: BorrowedFd<'_>, device: u64, depth: usize) {
    let Ok(entries) = Dir::read_from(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if stat.st_dev != device {
            continue;
        }
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory && depth < MAX_DEPTH {
            empty_named(directory, name, device, depth);
        }
        let flags = if is_directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        let _ = unlinkat(directory, name, flags);
    }
}

fn empty_named(parent: BorrowedFd<'_>, name: &CStr, device: u64, depth: usize) {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    if let Ok(directory) = openat(parent, name, flags, Mode::empty()) {
        empty(directory.as_fd(), device, depth + 1);
    }
}
