//! What the emulator's own services ask of those that are not its own: KMS keys, networks, roles.
//!
//! Only traits and what they speak of: LocalStack answers them in the emulator, tables do in tests.

mod keys;
mod network;
mod roles;

pub use keys::{Key, KeyState, Keys};
pub use network::{
    Answer, IngressRule, InstanceType, Network, Profile, ResourceTag, SecurityGroup, Subnet,
};
pub use roles::{ProfileNow, Role, SessionKeys, Sts};

use std::future::Future;
use std::pin::Pin;

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
