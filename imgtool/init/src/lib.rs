//! What imgtool and the guest's PID 1 agree on: the configuration and the module index, both
//! carried in the initramfs as JSON, and the lines that PID 1 writes to the console.

pub mod config;
pub mod console;
pub mod modules;
