//! The converter's instances: that one comes when there is work, and what it is told when it is
//! launched.
//!
//! A caller that has sent a request asks [`Fleet`] to see that somebody takes it. [`judge`] and
//! [`caller`] decide, from heartbeats, instances and the launch record, whether somebody is there, and
//! `launch` launches one where nobody is. What an instance does is [`crate::agent`], what it boots from
//! is [`crate::converter_ami`]. docs/converter.md tells it for people.

pub(crate) mod attempts;
pub mod caller;
mod ensure;
mod error;
pub(crate) mod group;
pub mod judge;
pub(crate) mod launch;
pub mod launch_record;
pub mod logs;
#[cfg(test)]
mod model;
pub(crate) mod place;
pub mod status;
pub mod userdata;

pub use ensure::{Fleet, Told, Wish};
pub use error::FleetError;
pub(crate) use error::{Refused, refused};
