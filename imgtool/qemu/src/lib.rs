//! Boots an image in QEMU, watches its console, and says how it ended.
//!
//! This is an edge: it starts processes, reads the clock and looks at the host. The image itself
//! is never written; the guest's writes go to a copy-on-write overlay.

mod boot;
mod command;
mod console;
mod error;
mod firmware;
mod machine;
mod options;
mod overlay;
mod probe;
mod qcow2;
mod sector;

pub use boot::{Outcome, Report, boot};
pub use command::{QEMU, machine};
pub use console::Exit;
pub use error::QemuError;
pub use firmware::{Ovmf, find_ovmf};
pub use options::{Accel, Disk, Firmware, Forward, Options, parse_size};
pub use probe::kvm as probe_kvm;
