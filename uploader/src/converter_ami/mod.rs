//! The image of the converter's instances: this program and what it needs, as a disk image and as an
//! AMI.
//!
//! program → [`image`] (a pack, without the vault) → [`bootstrap`]: snapshot → AMI → [`current`], the
//! record in the vault that says which AMI it is. What the program does there is [`crate::agent`]; who
//! launches it is [`crate::fleet`].

pub mod bootstrap;
pub mod current;
mod error;
pub mod image;
mod make;
pub mod program;
pub mod prune;
mod strip;
pub mod tags;
pub mod version;

pub use error::ConverterError;
