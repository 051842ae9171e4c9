//! Why a gateway does not start.

use emulator_protocol::AwsError;
use emulator_state::world::StoreError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Anyone on the network could use it.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The port is taken, or not ours.
    #[error("can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Two gateways on one directory would write over each other's records.
    #[error("another emulator uses the data directory {0}")]
    InUse(PathBuf),
    /// A file in the data directory.
    #[error("{path} can't be {what}")]
    File {
        /// The file.
        path: PathBuf,
        /// `read`, `written`.
        what: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is written down of instances that ran.
    #[error(transparent)]
    Guests(#[from] AwsError),
    /// The certificate authority's key or certificates.
    #[error("the certificate authority in the data directory can't be used")]
    Certificate(#[from] rcgen::Error),
    /// TLS.
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
}

impl GatewayError {
    pub(super) fn file(path: &Path, what: &'static str, cause: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            what,
            cause,
        }
    }
}
