//! Why there are no boot artefacts.

use std::io;
use std::path::{Path, PathBuf};

use crate::Class;

/// Why kernel, modules, initramfs or UKI could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The host's file can't be opened or read.
    #[error("{}: can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A Debian package breaks off or its compressed data are wrong.
    #[error("{}: damaged or truncated Debian package, in {part}", path.display())]
    Damaged {
        /// The package's file.
        path: PathBuf,
        /// Which part of it.
        part: String,
        /// What the decoder said.
        source: io::Error,
    },
    /// A Debian package that is sound but not what is needed.
    #[error("{}: {why}", path.display())]
    Package {
        /// The package's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to take instead.
        hint: Option<String>,
    },
    /// The file given as the kernel is not one that can be used.
    #[error("{}: not a usable kernel", path.display())]
    KernelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<BootError>,
    },
    /// The file given as the UEFI stub is not one that can be used.
    #[error("{}: not a usable UEFI stub", path.display())]
    StubFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<BootError>,
    },
    /// Not a bzImage for x86_64.
    #[error("{0}")]
    Kernel(String),
    /// Not a PE image, or one that does not fit.
    #[error("{0}")]
    Pe(String),
    /// A directory (or package) of modules that can't be used.
    #[error("{}: {why}", path.display())]
    Modules {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No modules came with the kernel.
    #[error("kernel {version} came without modules")]
    NoModules {
        /// Its version.
        version: String,
    },
    /// A module that the guest needs does not exist.
    #[error("kernel {version} has no module {name}: neither built in nor among its modules{}",
        needed_by.as_deref().map(|by| format!(" (needed by {by})")).unwrap_or_default())]
    ModuleMissing {
        /// The kernel's version.
        version: String,
        /// The module's name.
        name: String,
        /// The module that depends on it.
        needed_by: Option<String>,
    },
    /// A module that can't be used.
    #[error("module {name}: {why}")]
    Module {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// The initramfs can't hold what it is given.
    #[error("initramfs: {0}")]
    Initramfs(String),
    /// The parts don't make a UKI.
    #[error("UKI: {0}")]
    Uki(String),
}

impl BootError {
    /// Whose fault it is: always the input's, except for files that can't be read.
    pub fn class(&self) -> Class {
        match self {
            BootError::Read { source, .. } => match source.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidData => Class::Input,
                _ => Class::Failed,
            },
            _ => Class::Input,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            BootError::Package { hint, .. } => hint.clone(),
            BootError::KernelFile { source, .. } | BootError::StubFile { source, .. } => {
                source.hint()
            }
            BootError::Damaged { .. } => Some("download the package again".into()),
            BootError::NoModules { .. } => Some(
                "name the directory of its modules (--modules); for a kernel with all drivers \
                 built in, name an empty directory"
                    .into(),
            ),
            BootError::ModuleMissing { version, .. } => Some(format!(
                "is this a kernel for virtual machines, and are these all its modules? Debian's \
                 linux-image-*-cloud-amd64 has them; a directory lib/modules/{version} can be \
                 given with --modules"
            )),
            _ => None,
        }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> BootError {
        let path = path.to_owned();
        move |source| BootError::Read { path, source }
    }
}
