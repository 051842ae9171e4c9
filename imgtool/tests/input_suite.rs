//! Inputs as users have them: archives, container images, directories, executables. One program,
//! so that what the tests share is compiled once.

// Clippy lets tests do this, but not the functions that they share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

#[path = "input_suite/host.rs"]
mod host;
#[path = "input_suite/oci.rs"]
mod oci;
#[path = "input_suite/roundtrip.rs"]
mod roundtrip;
#[path = "input_suite/support.rs"]
mod support;
#[path = "input_suite/tar/mod.rs"]
mod tar;
