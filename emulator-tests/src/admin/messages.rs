//! What is asked and answered under `/_emulator/`, in JSON.

use emulator_protocol::{Account, Region};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use time::OffsetDateTime;

/// Where the emulator is and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its LocalStack listens.
    pub localstack: SocketAddr,
    /// The certificate of its authority, in PEM.
    pub ca_bundle: PathBuf,
    /// The time, as the services have it.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// How far that is ahead of the host's.
    pub ahead_seconds: i64,
    /// How many fault rules are in force.
    pub faults: usize,
    /// How many requests are being answered, by account; those whose client has gone, too.
    pub at_work: BTreeMap<String, usize>,
    /// How many instances are booted at a time; none if instances are records.
    pub guests: Option<usize>,
}

/// The services' time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The time, as the services have it.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// How far that is ahead of the host's.
    pub ahead_seconds: i64,
}

/// How far to put the clock forward.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    pub(crate) advance_seconds: i64,
}

/// An account that nobody has yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fresh {
    pub(crate) account: Account,
}

/// An instance, as `emulator ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// `i-…`.
    pub id: String,
    /// Whose it is.
    pub account: Account,
    /// Where it is.
    pub region: Region,
    /// `t3.micro`.
    pub instance_type: String,
    /// `running`.
    pub state: String,
    /// Whether it is booted; if not, it is a record.
    pub booted: bool,
    /// Whether it waits until another guest ends.
    pub waits: bool,
    /// Process of the QEMU that runs it, if one does.
    pub pid: Option<u32>,
    /// `ami-…`.
    pub image: String,
    /// Its address in its subnet.
    pub private_ip: Ipv4Addr,
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// When it came into its state.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Ports of this machine that lead into it.
    pub forwards: Vec<ForwardedPort>,
}

/// A port that leads into an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedPort {
    /// Where this machine listens.
    pub host: SocketAddr,
    /// The instance's port.
    pub guest: u16,
}

/// A piece of a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsolePiece {
    /// Which byte of the console it begins with.
    pub(crate) start: u64,
    /// The bytes, in Base64.
    pub(crate) bytes: String,
    /// Whether there may be more.
    pub(crate) live: bool,
}

/// Which port is to lead where.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForwardWish {
    pub(crate) instance: String,
    pub(crate) guest_port: u16,
    pub(crate) host_port: u16,
}
