//! An image in several regions: there already, converted there, or copied from one that converts.

mod choose;
mod copy;
mod there;

pub use choose::{Capabilities, Choice, Via, choose};
pub use copy::{Copied, CopyError, Source, Wish, copy};
pub use there::{Found, RegionVault, There, find};
