//! The services that are the emulator's own: EC2's images, snapshots, volumes and instances
//! ([`ec2`]), and the EBS direct API ([`ebs`]).
//!
//! Both are functions of the state, the request and the time. What they need of others, they ask
//! [`Machines`] for, and the traits of `emulator_backend`.

pub mod ebs;
pub mod ec2;

mod encryption;
mod machines;
mod services;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub use machines::{Bootable, Machines, PowerOff, Records};
pub use services::Services;
