//! From a spec to an image: the arrows between the stages, in order.

mod boot_files;
mod error;
mod inputs;
mod output;
mod prepare;
mod write;

pub use error::BuildError;
pub use inputs::lock_inputs;
pub use prepare::{Context, Prepared, identity_text, prepare};
pub use write::{Outputs, Written, unpack, write};

/// The guest's PID 1, built by this crate's build script.
pub const INIT: &[u8] = include_bytes!(env!("IMGTOOL_INIT"));
