//! What makes an AMI out of blocks, for an agent's requests and for the converter's own AMI alike.
//!
//! `creation` decides, and touches nothing; `call` makes its calls of EC2 and EBS, which are in
//! `snapshots` and `images`. Blocks are put, and snapshots completed, by who drives it: a request's
//! come from the vault, those of the converter's image from a file.

mod call;
pub(crate) mod creation;
mod failed_call;
pub(crate) mod images;
#[cfg(test)]
pub(crate) mod model;
pub(crate) mod snapshots;

pub use call::{Answer, BlocksPut, Call};
pub use failed_call::FailedCall;
pub use images::{BootMode, FoundImage, ImageState, NewImage, Registered};
pub use snapshots::{Completed, Deleted, NewSnapshot, SnapshotState, Started};
