//! Guests in QEMU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod images;
mod machine;
mod network;
