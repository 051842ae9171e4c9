//! The converter as an instance: its image, its AMI, what it is told when it is launched, and that it
//! comes when there is work and goes when there is none.
//!
//! program → [`image`] (a pack, without the vault) → [`bootstrap`]: snapshot → AMI → [`current`], the
//! record in the vault that says which AMI it is. [`fleet`] launches it, if [`judge`] and [`caller`]
//! find that nobody is there; [`idle`] decides when one ends. docs/converter.md tells it for people.

pub mod bootstrap;
pub mod caller;
pub mod current;
mod error;
mod failure;
pub mod fleet;
pub(crate) mod group;
pub mod heartbeat;
pub mod idle;
pub mod image;
pub mod instance;
pub mod instances;
pub mod judge;
pub(crate) mod launch;
pub mod logs;
mod make;
#[cfg(test)]
mod model;
mod object;
pub(crate) mod place;
pub mod program;
pub mod prune;
pub mod record;
pub mod roots;
pub mod status;
mod strip;
pub mod tags;
pub mod userdata;

pub use error::FleetError;
pub(crate) use error::{Refused, is_about_type, refused};
pub use failure::ConverterError;
pub use fleet::{Fleet, Told, Wish};
