//! What the tests of several crates share: sample inputs made from bytes, tools of the host that judge
//! results, and scratch directories.
//!
//! It depends on none of the crates that use it: their unit tests would see two copies of their types.

// Clippy lets tests do this, but not the functions that they share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod compress;
mod deb;
mod elf;
mod host;
mod kernel;
mod pe;
mod tar;

pub use compress::{Packed, gz, pack, xz, zst};
pub use deb::{KERNEL_CONTROL, ar, control, deb, kernel_deb};
pub use elf::{dynamic_elf, elf};
pub use host::{has, oracle, oracle_passes, scratch, skip};
pub use kernel::{bz_image, kernel_module};
pub use pe::{PeSample, pe};
pub use tar::{Entry, checksum, cut_tar, entry, executable, file, header, pax, tar};

use sha2::{Digest, Sha256};

/// SHA-256 as hexadecimal digits.
pub fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Bytes that no compression makes smaller.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut word = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 11).to_be_bytes()
    };
    (0..len / 8).flat_map(|_| word()).collect()
}
