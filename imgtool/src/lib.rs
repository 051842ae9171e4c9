//! From an application to a bootable x86_64 disk image: offline, without root, the same bytes
//! everywhere.
//!
//! Data flows one way: spec → inputs → disk plan → bytes and digests → pack and manifest.

pub mod args;
pub mod bios;
pub mod block;
pub mod boot;
pub mod build;
pub mod disk;
mod error;
pub mod extract;
pub mod input;
pub mod inspect;
pub mod lock;
pub mod pack;
pub mod pass;
pub mod spec;
pub mod tree;

pub use error_class::Class;

#[cfg(test)]
mod test_support;
