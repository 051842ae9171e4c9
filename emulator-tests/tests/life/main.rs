//! How the emulator starts and ends, and what outlives it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod command;
mod container;
mod host;
mod process;
