//! The calls that make an AMI out of blocks, for an agent's requests and for the converter's own AMI.

mod failed_call;
pub(crate) mod images;
pub(crate) mod snapshots;

pub use failed_call::FailedCall;
pub use images::{BootMode, FoundImage, ImageState, NewImage};
pub use snapshots::{NewSnapshot, SnapshotState};
