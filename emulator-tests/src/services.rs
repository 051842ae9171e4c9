//! What every handler is given.

use crate::clock::Clock;
use crate::ebs;
use crate::ec2::Machines;
use crate::keys::Keys;
use crate::layers::Layers;
use crate::network::Network;
use crate::world::Store;
use std::sync::{Arc, Mutex};
use time::Duration;

/// The state and the surroundings of the services that are our own.
pub struct Services {
    /// Records: images, snapshots, volumes, instances, settings.
    pub store: Arc<Store>,
    /// Bytes of snapshots and volumes.
    pub layers: Layers,
    /// What the EBS direct API keeps beside the records.
    pub ebs: ebs::State,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers.
    pub ids: Ids,
    /// KMS.
    pub keys: Arc<dyn Keys>,
    /// Subnets, security groups and what else instances need of LocalStack.
    pub network: Arc<dyn Network>,
    /// What runs instances.
    pub machines: Arc<dyn Machines>,
    /// How long a state that passes by itself lasts (pending, creating): clients that don't wait
    /// for what they made are found out.
    pub settle: Duration,
}

/// Makes identifiers; clones make the same sequence go on. The source of randomness is seeded by whoever starts the services.
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
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .u64(..)
    }
}
