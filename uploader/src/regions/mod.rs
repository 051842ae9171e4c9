//! An image in several regions: there already, converted there, or copied from the first.

mod choose;
mod copy;
mod image;
mod there;

pub use choose::{Choice, Facts, Rate, Via, choose};
pub use copy::{Copied, CopyError, Source, Wish, copy};
pub use there::{Found, There, Vault, find, has_vault};
