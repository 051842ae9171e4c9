//! What the emulator's own services ask of those that are not its own: KMS keys, networks, roles.
//!
//! Only traits and what they speak of: LocalStack answers them in the emulator, tables do in tests.

mod keys;
mod network;
mod roles;

pub use keys::{Key, KeyFault, KeyState, Keys, Unusable, usable_key};
pub use network::{
    IngressRule, InstanceType, Network, Profile, ResourceTag, SecurityGroup, Subnet,
};
pub use roles::{ProfileNow, Role, SessionKeys, Sts};
