//! The disk plan: what lies where, decided before any content is read.

mod error;
pub mod ext4;
mod extent;
pub mod fat;
pub mod gpt;
mod plan;

pub use error::DiskError;
pub use extent::{Extent, ExtentMap, ExtentSource, OverlapError};
pub use plan::{Boot, DiskPlan, DiskSpec, Ids, Partition, Role, Size, plan};

/// Bytes per sector, the unit of an LBA.
pub const SECTOR: u64 = 512;

/// What partitions, and the disk's end, are aligned to.
pub const ALIGN: u64 = 1 << 20;
