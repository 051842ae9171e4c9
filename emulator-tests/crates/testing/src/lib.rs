//! What unit tests of the emulator's crates start from: an empty state in a temporary directory, a
//! clock that only moves when told, and what stands in for LocalStack.
//!
//! A crate of its own, and only ever a development dependency: as a feature of the crates that it
//! serves, it would be compiled into whatever is built together with their tests.
//!
//! It panics where a test has to fail.
#![allow(clippy::unwrap_used, clippy::panic)]

mod keys;
mod network;
mod records;
mod state;
mod sts;

pub use keys::{DISABLED, KEY, TestKeys};
pub use network::{PassedOn, TestNetwork};
pub use records::{caller, caller_of, instance, profile, volume};
pub use state::{TestClock, TestState, state};
pub use sts::{StsDoes, TestSts};
pub use testutils::oracle;
