//! `/imgtool/guest.json` in the initramfs: what PID 1 is to do.

use serde::{Deserialize, Serialize};

/// Where the initramfs holds [`GuestConfig`].
pub const PATH: &str = "/imgtool/guest.json";

/// What PID 1 does once the root file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestConfig {
    /// The digest that every identifier in the image is derived from: 64 hexadecimal digits. Not
    /// used by PID 1; it tells whoever looks into the image what it is.
    pub identity: String,
    /// GPT partition GUID of the root file system, in lower case with hyphens.
    pub root_partition: String,
    /// Host name until instance metadata or DHCP says another.
    pub hostname: String,
    /// Whether root's partition and file system grow to the end of the disk.
    pub grow: bool,
    /// What runs.
    pub run: Run,
}

/// What runs once the root file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Run {
    /// The image's own init takes over as PID 1 (for example `/sbin/init`).
    Init {
        /// Absolute path in the root file system.
        path: String,
    },
    /// PID 1 stays and looks after one application.
    Application(Application),
}

/// The application that PID 1 looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Program and arguments; never empty. A program without `/` is looked up in `PATH` of `env`.
    pub command: Vec<String>,
    /// The whole environment, as `(name, value)`, in this order.
    pub env: Vec<(String, String)>,
    /// Working directory; absolute.
    pub working_directory: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
    /// When a finished application is started again.
    pub restart: Restart,
    /// Whether it starts when the network is up, and not before. Written only where it is false.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub wait_for_network: bool,
}

fn yes() -> bool {
    true
}

// As serde calls it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_yes(it: &bool) -> bool {
    *it
}

/// When a finished application is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never: its exit status is reported on the console and the machine powers off.
    #[default]
    No,
    /// After an exit status other than 0, or a signal.
    OnFailure,
    /// Always.
    Always,
}
