//! `/imgtool/modules.json` in the initramfs: the kernel modules it carries.

use serde::{Deserialize, Serialize};

/// Where the initramfs holds [`ModuleIndex`].
pub const PATH: &str = "/imgtool/modules.json";

/// The kernel modules in the initramfs, dependencies before those that need them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleIndex {
    /// In an order in which each can be loaded.
    pub modules: Vec<Module>,
}

/// One kernel module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Name as in `/proc/modules` (underscores, no suffix).
    pub name: String,
    /// Absolute path of the uncompressed `.ko` in the initramfs.
    pub path: String,
    /// Names of the modules that must be loaded before; all are in the index.
    pub depends: Vec<String>,
    /// `alias=` patterns of `.modinfo` (shell wildcards), matched against `modalias` in sysfs.
    pub aliases: Vec<String>,
    /// When it is loaded.
    pub load: Load,
}

/// When a module is loaded: the greater, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// When a device asks for it.
    ForDevice,
    /// Whether or not a device asks for it, some time before the application starts.
    Always,
    /// Before root is looked for: without it root can't be mounted.
    ForRoot,
}
