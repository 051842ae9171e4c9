//! From a disk image to an encrypted AMI: a vault in S3, and a converter that reads from it.
//!
//! Data flows one way: pack and manifest → vault → request → snapshot → image record. Nothing here
//! reads the clock, the environment or a random source: the command line passes them in. The SDK's
//! credential chain, which does, is behind [`aws::Session::connect`].

pub mod agent;
pub mod ami;
pub mod aws;
pub mod blocks;
pub mod converter_ami;
mod error;
pub mod fleet;
pub mod image;
pub mod launch;
mod pace;
pub mod polling;
pub mod push;
pub mod regions;
pub mod request;
pub mod teardown;
pub mod vault;
pub mod verify;

pub use error_class::Class;
