//! Launch and see: an instance of an image, started, waited for until it answers, and taken away.
//!
//! What is made for it is an instance that terminates itself if it shuts down, and, where something
//! has to come in, a security group with that one port. [`clean`] takes both away.

mod clean;
mod console;
mod error;
mod http;
mod start;
mod watch;

pub use clean::clean;
pub use console::end_of;
pub use error::LaunchError;
pub use start::{Launched, Unknown, start};
pub use watch::{Seen, Stages, watch};

use std::time::Duration;

/// What to launch, and what to wait for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The image.
    pub ami: String,
    /// The type; a small one that there is if none is named.
    pub instance_type: Option<String>,
    /// The subnet; those of the default VPC if none is named.
    pub subnet: Option<String>,
    /// What to wait for.
    pub wait: Wait,
    /// Who may reach the port, as a range of addresses (CIDR).
    pub from: String,
    /// Where the answer is asked for.
    pub reach: Reach,
    /// How long to wait.
    pub patience: Duration,
    /// What the group and the call are told apart by: nobody else's.
    pub token: String,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An answer over HTTP, that is no error.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
    },
    /// A text on the console.
    Console(String),
}

/// Where an instance is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At its public address.
    Public,
    /// At its private address.
    Private,
    /// Here, whatever its address is: a tunnel.
    At(String),
}
