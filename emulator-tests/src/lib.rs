//! A local AWS: one endpoint on loopback, with LocalStack behind it for S3, KMS, SQS, IAM, STS, SSM
//! and EC2's networks, and EC2 images, snapshots, volumes and instances and the EBS direct API of
//! our own, which hold real bytes and refuse what the service refuses.
//!
//! ```text
//! client ──► gateway ──► scope, caller ──► faults ──► checks ──► ebs | ec2 ──► world, layers
//!                                                        └─────► LocalStack
//! ```
//!
//! Here are the gateway, its checks, the control API under `/_emulator/` and the handle of it all,
//! [`Emulator`]; what they stand on are the crates in `crates/`.

pub mod admin;
pub mod emulator;
pub mod gateway;

mod checks;

pub use emulator::Emulator;

/// What the handle's signatures name of AWS.
pub mod aws {
    pub use emulator_protocol::{Account, AwsError, Region};
}

/// What the handle's signatures name of instances that boot.
pub mod guests {
    pub use emulator_guests::{GuestError, Guests, PortForward, PortScan};
}

/// What the handle's signatures name of LocalStack.
pub mod localstack {
    pub use emulator_localstack::{Choice, Kind, Lease, LeaseError, Progress, Silent, StartError};
}
