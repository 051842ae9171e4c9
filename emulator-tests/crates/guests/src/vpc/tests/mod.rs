//! A guest with smoltcp's own clients, on the other end of the socket that QEMU connects to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod guest;
mod hostile;
mod inbound;
mod outbound;
mod services;

use super::*;
use crate::imds::{Facts, Metadata, RoleStatus};
use async_trait::async_trait;
use emulator_testing::{TestClock, caller, instance, state};
use guest::Guest;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const PRIVATE_IP: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 5);
const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 1);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 2);
const SERVICES: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 3);
const MAC: [u8; 6] = [0x0a, 0, 0, 0, 0, 5];

/// Facts that a test may change.
struct Told(Mutex<Option<Facts>>);

#[async_trait]
impl Metadata for Told {
    fn facts(&self) -> Option<Facts> {
        self.0.lock().unwrap().clone()
    }

    async fn role(&self) -> Result<RoleStatus, emulator_protocol::AwsError> {
        Ok(RoleStatus::NoProfile)
    }
}

/// Lets in what comes to port 8080 from loopback, and all from 203.0.113.7.
struct Rules;

#[async_trait]
impl Inbound for Rules {
    async fn allows(&self, port: u16, source: Ipv4Addr) -> bool {
        port == 8080 && source.is_loopback() || source == Ipv4Addr::new(203, 0, 113, 7)
    }
}

/// A router, and what it was made from.
struct Host {
    lan: Lan,
    told: Arc<Told>,
    dir: TempDir,
}

fn setup(gateway: SocketAddr) -> (LanSetup, Arc<Told>) {
    let clock: Arc<TestClock> = state().clock;
    let now = emulator_state::clock::Clock::now(&*clock);
    let mut instance = instance(&caller(), "i-01111111111111111", now);
    instance.interface.private_ip = PRIVATE_IP;
    instance.metadata.http_tokens = "required".to_owned();
    let told = Arc::new(Told(Mutex::new(Some(Facts {
        instance,
        devices: vec!["/dev/xvda".to_owned()],
        subnet_cidr: "172.31.0.0/20".to_owned(),
        vpc_cidr: None,
    }))));
    let setup = LanSetup {
        private_ip: PRIVATE_IP,
        subnet: "172.31.0.0/20".parse().unwrap(),
        mac: MAC,
        gateway_tls: gateway,
        gateway_plain: gateway,
        metadata: told.clone(),
        inbound: Arc::new(Rules),
        clock,
        seed: 1,
        patience: Duration::from_secs(60),
    };
    (setup, told)
}

/// A router whose gateway is at this address.
fn host(gateway: SocketAddr) -> Host {
    host_with(gateway, |_| {})
}

fn host_with(gateway: SocketAddr, change: impl FnOnce(&mut LanSetup)) -> Host {
    let dir = tempfile::tempdir().unwrap();
    let (mut setup, told) = setup(gateway);
    change(&mut setup);
    let lan = Lan::start(&dir.path().join("lan"), setup).unwrap();
    Host { lan, told, dir }
}

impl Host {
    /// A guest that has its address already.
    async fn guest(&self) -> Guest {
        Guest::connect(&self.dir.path().join("lan"), true).await
    }
}

/// Where nothing listens.
async fn nowhere() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
