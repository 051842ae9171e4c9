//! An image in several regions: converted there, or copied from the first.

mod choose;
mod copy;

pub use choose::{Choice, Facts, Via, choose};
pub use copy::{Copied, CopyError, Source, copy, has_vault};
