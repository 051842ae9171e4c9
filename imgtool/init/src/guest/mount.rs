//! The mounts that PID 1 makes in the initramfs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::failure::{Context, Result};
use super::root::Root;

/// Where the root file system is mounted until it becomes `/`.
pub(crate) const SYSROOT: &str = "/sysroot";

/// One file system that the kernel provides.
struct Kernel {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    data: &'static str,
}

const NOSUID: MountFlags = MountFlags::NOSUID;
const NO_PROGRAMS: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

const ALWAYS: [Kernel; 4] = [
    Kernel {
        kind: "proc",
        target: "/proc",
        flags: NO_PROGRAMS,
        data: "",
    },
    Kernel {
        kind: "sysfs",
        target: "/sys",
        flags: NO_PROGRAMS,
        data: "",
    },
    Kernel {
        kind: "devtmpfs",
        target: "/dev",
        flags: NOSUID,
        data: "mode=0755",
    },
    Kernel {
        kind: "tmpfs",
        target: "/run",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: "mode=0755",
    },
];

const FOR_APPLICATION: [Kernel; 2] = [
    Kernel {
        kind: "devpts",
        target: "/dev/pts",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        data: "mode=0620,gid=5,ptmxmode=0666",
    },
    Kernel {
        kind: "tmpfs",
        target: "/dev/shm",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: "mode=1777",
    },
];

/// Names under `/dev` that programs expect.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Mounts `/proc`, `/sys`, `/dev` and `/run`.
pub(crate) fn kernel_file_systems() -> Result<()> {
    ALWAYS.iter().try_for_each(mount_one)
}

/// Mounts `/dev/pts` and `/dev/shm` and makes `/dev/fd` and its like, for an application that PID 1
/// looks after; an image's own init does this for itself.
pub(crate) fn for_application() -> Result<()> {
    FOR_APPLICATION.iter().try_for_each(mount_one)?;
    for (target, link) in LINKS {
        match symlink(target, link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).context(|| format!("can't make {link}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Mounts the root file system at [`SYSROOT`], read and write. The kernel replays its journal.
pub(crate) fn root(root: &Root) -> Result<()> {
    make_directory(Path::new(SYSROOT))?;
    mount(&root.partition, SYSROOT, "ext4", MountFlags::empty(), None).context(|| {
        format!(
            "can't mount the root file system, ext4 on {}",
            root.partition.display()
        )
    })
}

/// Makes a directory with mode 0755 unless there is one.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error)
            if error.kind() == io::ErrorKind::AlreadyExists
                && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) =>
        {
            Ok(())
        }
        made => made.context(|| format!("can't make the directory {}", path.display())),
    }
}

fn mount_one(it: &Kernel) -> Result<()> {
    make_directory(Path::new(it.target))?;
    let data = std::ffi::CString::new(it.data).context(|| "mount options".to_owned())?;
    match mount(it.kind, it.target, it.kind, it.flags, data.as_c_str()) {
        // Mounted by the kernel already.
        Err(Errno::BUSY) | Ok(()) => Ok(()),
        Err(error) => Err(error).context(|| format!("can't mount {} at {}", it.kind, it.target)),
    }
}
