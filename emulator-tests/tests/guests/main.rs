//! Guests in QEMU: their network alone, and instances as a user has them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod aws;
mod host;
mod images;
mod instances;
mod killed;
mod machine;
mod network;
mod queue;
mod sector;
mod states;
