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
    /// Loaded at start, whether or not a device asks for it.
    pub always: bool,
}
