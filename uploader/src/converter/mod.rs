//! The converter as an instance: its image, its AMI, and what it is told when it is launched.
//!
//! program → [`image`] (a pack, without the vault) → [`bootstrap`]: snapshot → AMI → [`current`], the
//! record in the vault that says which AMI it is. docs/converter-image.md tells it for people.

pub mod bootstrap;
pub mod current;
mod failure;
pub mod heartbeat;
pub mod image;
pub mod instance;
pub mod logs;
mod make;
mod object;
pub mod program;
pub mod prune;
pub mod roots;
pub mod status;
mod strip;
pub mod tags;
pub mod userdata;

pub use failure::ConverterError;
