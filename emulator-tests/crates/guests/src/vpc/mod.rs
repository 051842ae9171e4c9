//! A guest's network: the other end of QEMU's `-netdev stream`.
//!
//! QEMU connects to a socket of ours (`-netdev stream,id=lan,server=off,addr.type=unix,addr.path=…`)
//! and sends frames, each after its length in four bytes, the highest first. What answers is a
//! router with one guest behind it: DHCP, a resolver, the AWS services, the instance metadata
//! service, and nothing else. There is no way out.
//!
//! ```text
//! QEMU ── wire ── link ──┬── dhcp, dns
//!                        └── stack (smoltcp) ── stream ──┬── services ──► gateway, imds
//!                                                        └── dialer ◄──── forward, whoever
//! ```

mod addresses;
mod datagram;
mod device;
mod dhcp;
mod dns;
mod forward;
mod lan;
mod link;
mod prefix;
mod services;
mod setup;
mod stack;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use addresses::{Addresses, LINK_LOCAL_RESOLVER, METADATA};
pub use forward::Forward;
pub use lan::{Dialer, Lan};
pub use prefix::{Prefix, PrefixError};
pub use setup::{Inbound, LanSetup};
pub use stack::MOST_CONNECTIONS;
pub use stream::GuestStream;
