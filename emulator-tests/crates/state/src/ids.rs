//! Identifiers.

use std::sync::{Arc, Mutex, PoisonError};

/// Makes identifiers; clones make the same sequence go on. The source of randomness is seeded by
/// whoever starts the services.
#[derive(Clone)]
pub struct Ids(Arc<Mutex<fastrand::Rng>>);

impl Ids {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// `PREFIX-` and 17 hexadecimal digits, as EC2 makes them: `snap-0123456789abcdef0`.
    pub fn resource(&self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.number())
    }

    /// A request's id: a UUID.
    pub fn request(&self) -> String {
        let (high, low) = (self.number(), self.number());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }

    /// A random number.
    pub fn number(&self) -> u64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .u64(..)
    }
}
