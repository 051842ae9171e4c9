//! What is asked of instances that are booted.

use super::client::{Admin, AdminError, json};
use super::messages::{ConsolePiece, ForwardWish, ForwardedPort, InstanceStatus};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_guests::PortScan;
use emulator_protocol::http::Body;
use http::Method;
use http_body_util::BodyExt;
use std::net::SocketAddr;

/// A piece of a console, and whether there may be more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleText {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where the next piece begins.
    pub next: u64,
    /// Whether the instance runs.
    pub live: bool,
}

/// A port that leads into an instance for as long as this is held.
pub struct Forwarding {
    address: SocketAddr,
    held: Body,
}

impl Forwarding {
    /// Where this machine listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the instance has ended, or the emulator.
    pub async fn ended(&mut self) {
        while let Some(Ok(_)) = self.held.frame().await {}
    }
}

impl Admin {
    /// All instances, of all accounts and regions.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn instances(&self) -> Result<Vec<InstanceStatus>, AdminError> {
        self.ask(Method::GET, "instances", None).await
    }

    /// What an instance wrote to its console, from this byte on, as far as that is kept.
    ///
    /// # Errors
    /// It can't be asked, or there is no such instance.
    pub async fn console(&self, instance: &str, from: u64) -> Result<ConsoleText, AdminError> {
        let path = format!("instances/{}/console?from={from}", checked(instance)?);
        let piece: ConsolePiece = self.ask(Method::GET, &path, None).await?;
        let bytes = STANDARD
            .decode(&piece.bytes)
            .map_err(|error| AdminError::Refused(error.to_string()))?;
        Ok(ConsoleText {
            next: piece.start + bytes.len() as u64,
            bytes,
            live: piece.live,
        })
    }

    /// Asks all TCP ports of an instance whether something listens there, whatever its security
    /// groups let in. Takes two minutes at most.
    ///
    /// # Errors
    /// It can't be asked; the instance does not run, or ends meanwhile.
    pub async fn ports(&self, instance: &str) -> Result<PortScan, AdminError> {
        let path = format!("instances/{}/ports", checked(instance)?);
        self.ask(Method::GET, &path, None).await
    }

    /// Lets a port of 127.0.0.1 (0 takes a free one) lead to a port of an instance.
    ///
    /// # Errors
    /// It can't be asked; the instance does not run, or the port is taken.
    pub async fn forward(
        &self,
        instance: &str,
        guest_port: u16,
        host_port: u16,
    ) -> Result<Forwarding, AdminError> {
        let wish = ForwardWish {
            instance: checked(instance)?.to_owned(),
            guest_port,
            host_port,
        };
        let mut held = self
            .open(Method::POST, "forwards", Some(json(&wish)?))
            .await?;
        // The first piece says where; what follows only says that it still is.
        let first = match held.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            _ => return Err(AdminError::Refused("The emulator has ended".to_owned())),
        };
        let forwarded: ForwardedPort = serde_json::from_slice(&first)
            .map_err(|error| AdminError::Refused(error.to_string()))?;
        Ok(Forwarding {
            address: forwarded.host,
            held,
        })
    }
}

/// An id that can stand in a path.
fn checked(instance: &str) -> Result<&str, AdminError> {
    let fine = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    if instance.is_empty() || !instance.bytes().all(fine) {
        return Err(AdminError::Refused(format!(
            "There is no instance {instance:?}"
        )));
    }
    Ok(instance)
}
