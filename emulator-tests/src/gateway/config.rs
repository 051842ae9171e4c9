//! How a gateway is set up.

use emulator_guests::Limits as GuestLimits;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a gateway is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where LocalStack listens.
    pub localstack: SocketAddr,
    /// Where records, layers, the certificate authority and fault rules are kept.
    pub data: PathBuf,
    /// Where identifiers and noise come from.
    pub seed: u64,
    /// How many instances are booted, and what they have; `None` boots nothing.
    pub guests: Option<GuestLimits>,
    /// Whether somebody will start an emulator on these data again.
    pub keep: bool,
}

/// How long a gateway waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a request's head, the next request on an idle connection, and a TLS handshake.
    pub header: Duration,
    /// For the next piece of a body, in either direction.
    pub stall: Duration,
    /// For LocalStack to begin an answer.
    pub answer: Duration,
    /// For requests that run when the gateway stops.
    pub drain: Duration,
    /// How long states that pass by themselves last.
    pub settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            answer: Duration::from_secs(300),
            drain: Duration::from_secs(5),
            settle: Duration::from_secs(1),
        }
    }
}
