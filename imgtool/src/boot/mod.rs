//! From Debian packages or plain files to the boot artefacts: kernel, modules, initramfs, UKI.
//!
//! All of it fits in memory (some 40 MB), and all of it is a function of the input's bytes.

mod cache;
mod control;
mod deb;
mod decompress;
mod error;
mod guest_modules;
mod initramfs;
mod kernel;
mod modinfo;
mod modules;
mod pe;
mod selection;
mod stub;
mod uki;

#[cfg(test)]
mod real;

pub use deb::{DebInfo, deb_info, is_deb};
pub use error::BootError;
pub use guest_modules::GUEST_MODULES;
pub use initramfs::{InitramfsSpec, initramfs};
pub use kernel::{Kernel, has_efi_stub, kernel_version, load_kernel};
pub use modules::ModuleSource;
pub use selection::{LoadedModule, WantedModule, select_modules};
pub use stub::load_stub;
pub use uki::{SectionInfo, Uki, inspect_uki, uki};
