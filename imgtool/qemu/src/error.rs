//! Why a machine could not be started or watched.

use std::io;
use std::path::PathBuf;

use error_class::Class;

/// Why a machine could not be started or watched. How the guest itself fared is an
/// [`Outcome`](super::Outcome).
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// The image is not something that can be a disk.
    #[error("{}: {why}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The image can't be read.
    #[error("{}: can't be read", path.display())]
    ReadImage {
        /// The image.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The overlay does not fit the image, or what was asked for.
    #[error("{}: {why}", path.display())]
    Overlay {
        /// The overlay.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The overlay can't be read or written.
    #[error("{}: the overlay can't be read or written", path.display())]
    OverlayIo {
        /// The overlay.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// QEMU is not installed.
    #[error("qemu-system-x86_64 is not installed")]
    NoQemu,
    /// No UEFI firmware is installed.
    #[error("no UEFI firmware (OVMF) is installed")]
    NoOvmf,
    /// KVM was asked for and does not work.
    #[error("KVM does not work on this machine: {why}")]
    NoKvm {
        /// What the probe saw.
        why: &'static str,
    },
    /// A host port can't be forwarded.
    #[error("port {port} of 127.0.0.1 can't be forwarded")]
    Port {
        /// The host's port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// QEMU ended by itself, without the guest having asked for it.
    #[error("QEMU ended with {status}: {stderr}")]
    Died {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// Something around QEMU failed.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl QemuError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            QemuError::Image { .. } | QemuError::ReadImage { .. } | QemuError::Overlay { .. } => {
                Class::Input
            }
            QemuError::NoQemu
            | QemuError::NoOvmf
            | QemuError::NoKvm { .. }
            | QemuError::Port { .. } => Class::Surroundings,
            QemuError::OverlayIo { .. } | QemuError::Died { .. } | QemuError::Io { .. } => {
                Class::Failed
            }
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            QemuError::NoQemu => "install it: apt-get install qemu-system-x86",
            QemuError::NoOvmf => "install it: apt-get install ovmf; or boot with --firmware bios",
            QemuError::NoKvm { .. } => "use --accel tcg, or --accel auto, which falls back to it",
            QemuError::Port { .. } => "choose another port; 0 takes a free one",
            _ => return None,
        };
        Some(hint.to_string())
    }
}

error_class::classified!(QemuError);
