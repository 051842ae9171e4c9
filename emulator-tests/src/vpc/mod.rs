//! A guest's network: the other end of QEMU's `-netdev stream`.
//!
//! QEMU connects to a socket of ours (`-netdev stream,id=lan,server=off,addr.type=unix,addr.path=…`)
//! and sends frames, each after its length in four bytes, the highest first. What answers is a
//! router with one guest behind it.

mod forward;
mod lan;
mod prefix;
mod setup;

pub use forward::Forward;
pub use lan::{Dialer, GuestStream, Lan};
pub use prefix::{Prefix, PrefixError};
pub use setup::{Inbound, LanSetup};
