//! A client of the emulator's own questions, under `/_emulator/`, and what is asked and answered.

mod client;
mod guests;
pub(crate) mod messages;

pub use client::{Admin, AdminError};
pub use guests::{ConsoleText, Forwarding};
pub use messages::{Clock, ForwardedPort, InstanceStatus, Status};
