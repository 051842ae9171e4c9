//! What a guest's network is made from.

use super::Prefix;
use crate::imds::Metadata;
use async_trait::async_trait;
use emulator_state::clock::Clock;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Who may connect to the guest: the ingress rules of its security groups.
#[async_trait]
pub trait Inbound: Send + Sync {
    /// Whether a TCP connection from `source` to the guest's `port` is let in.
    async fn allows(&self, port: u16, source: Ipv4Addr) -> bool;
}

/// One guest's network.
#[derive(Clone)]
pub struct LanSetup {
    /// The guest's address; the only one that packets may come from.
    pub private_ip: Ipv4Addr,
    /// Its subnet, which `private_ip` is in.
    pub subnet: Prefix,
    /// The guest's hardware address: QEMU's `mac=`.
    pub mac: [u8; 6],
    /// Where connections to port 443 of an AWS name go: the gateway.
    pub gateway_tls: SocketAddr,
    /// Where connections to port 80 of an AWS name go: the gateway, too.
    pub gateway_plain: SocketAddr,
    /// What the instance metadata service tells.
    pub metadata: Arc<dyn Metadata>,
    /// Who may connect to the guest.
    pub inbound: Arc<dyn Inbound>,
    /// The time of the metadata service's tokens.
    pub clock: Arc<dyn Clock>,
    /// Where sequence numbers and tokens come from.
    pub seed: u64,
    /// How long a connection into the guest is tried.
    pub patience: Duration,
}
