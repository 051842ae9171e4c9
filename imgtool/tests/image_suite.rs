//! Whole images by the program as it is shipped: built, judged by other projects' tools, booted.
//!
//! What is not there (a Debian tree, a tool, root) is reported as skipped, and fails in CI.

// Clippy lets tests do this, but not the functions that they share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

#[path = "image_suite/boot.rs"]
mod boot;
#[path = "image_suite/confined.rs"]
mod confined;
#[path = "image_suite/determinism.rs"]
mod determinism;
#[path = "image_suite/disk.rs"]
mod disk;
#[path = "image_suite/grow.rs"]
mod grow;
#[path = "image_suite/guest.rs"]
mod guest;
#[path = "image_suite/listing.rs"]
mod listing;
#[path = "image_suite/ls.rs"]
mod ls;
#[path = "image_suite/machine.rs"]
mod machine;
#[path = "image_suite/oracles.rs"]
mod oracles;
#[path = "image_suite/support.rs"]
mod support;
#[path = "image_suite/trees.rs"]
mod trees;
