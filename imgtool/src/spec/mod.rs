//! The spec: what is to be built, from `image.toml`, command-line flags and the host's
//! configuration, decided once and in one place.
//!
//! Everything here is a function of its arguments. Precedence, highest first: flags, `image.toml`,
//! the container image's own configuration, the host's configuration, the default.

mod application;
mod error;
mod file;
mod host;
mod identity;
mod locate;
mod resolve;
mod size;
mod template;
mod value;

pub use application::{ContainerDefaults, DEFAULT_PATH, Run, RunSpec, application};
pub use error::SpecError;
pub use file::{AddEntry, SpecFile, load, parse};
pub use host::{HostConfig, load_host_config, parse_host_config};
pub use identity::{derive_u32, derive_uuid, identity, purpose};
pub use resolve::{Overrides, WITHOUT_GROWTH, default_name, resolve};
pub use size::{ByteSize, MAX_DISK, Size};
pub use template::TEMPLATE;
pub use value::{
    Addition, Cmdline, EnvName, EnvValue, EnvVar, Firmware, GuestPath, Hostname, Label, Name,
    OwnerPolicy, User, ValueError,
};

pub use imgtool_init::config::Restart;

use std::path::PathBuf;

/// The fully decided spec. Host paths are as the process can open them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The application: ELF, directory, archive or container image.
    pub input: PathBuf,
    /// The image's name.
    pub name: String,
    /// How large the disk is.
    pub size: Size,
    /// What firmware the image boots under.
    pub firmware: Firmware,
    /// Kernel: a Debian package or a bzImage.
    pub kernel: PathBuf,
    /// Directory of kernel modules, where the kernel is not a package that has them.
    pub modules: Option<PathBuf>,
    /// UEFI stub: a Debian package or a PE file. `Some` if and only if the firmware needs it.
    pub stub: Option<PathBuf>,
    /// What is appended to the kernel's command line.
    pub extra_cmdline: Option<String>,
    /// What the user said about what runs; [`application`] merges it with the container image's
    /// configuration.
    pub app: AppChoice,
    /// Host name until instance metadata or DHCP says another.
    pub hostname: String,
    /// Files and directories of the host to add: `(source, absolute target)`, in order.
    pub add: Vec<(PathBuf, String)>,
    /// Who owns the files; `None` leaves it to the kind of input.
    pub owner: Option<OwnerPolicy>,
    /// Bytes that the unpacked input may have at most.
    pub max_size: u64,
    /// Every time in the image: seconds since 1970.
    pub timestamp: u32,
    /// Whether root's partition and file system grow to the end of the disk at boot.
    pub grow: bool,
    /// Volume label of the root file system.
    pub label: String,
}

/// What the user said about what runs in the image. `None` and empty mean: nothing said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppChoice {
    /// The image's own init takes over as PID 1.
    pub init: Option<String>,
    /// The whole command line (`-- COMMAND ARGS…`): replaces entry point and command.
    pub command_line: Option<Vec<String>>,
    /// Replaces the container image's entry point, and drops its command.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the container image's command; the arguments of the entry point, if there is one.
    pub command: Option<Vec<String>>,
    /// Environment; a later entry replaces an earlier one of the same name.
    pub env: Vec<(String, String)>,
    /// User, as `USER`, `UID`, `USER:GROUP` or `UID:GID`.
    pub user: Option<String>,
    /// Absolute working directory.
    pub working_directory: Option<String>,
    /// When a finished application is started again.
    pub restart: Restart,
    /// Whether the application starts when the network is up, and not before.
    pub wait_for_network: Option<bool>,
}
