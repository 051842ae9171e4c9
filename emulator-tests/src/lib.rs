//! A local AWS: one endpoint on loopback, with LocalStack behind it for S3, KMS, SQS, IAM, STS, SSM
//! and EC2's networks, and EC2 images, snapshots, volumes and instances and the EBS direct API of
//! our own, which hold real bytes and refuse what the service refuses.
//!
//! ```text
//! client ──► gateway ──► scope, caller ──► faults ──► checks ──► ebs | ec2 ──► world, layers
//!                                                        └─────► LocalStack
//! ```

pub mod admin;
pub mod aws;
pub mod backend;
pub mod checks;
pub mod clock;
pub mod ebs;
pub mod ec2;
pub mod emulator;
pub mod encryption;
pub mod gateway;
pub mod guests;
pub mod http;
pub mod ids;
pub mod imds;
pub mod layers;
pub mod localstack;
pub mod machines;
pub mod services;
#[cfg(test)]
mod testing;
pub mod vpc;
pub mod world;

pub use emulator::Emulator;
