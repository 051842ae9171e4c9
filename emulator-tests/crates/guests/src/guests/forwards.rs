//! Ports of the host that lead into a guest, for as long as somebody wants them to.

use super::{GuestError, Guests};
use crate::vpc::Forward;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A port that leads into a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardStatus {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The guest's port.
    pub guest: u16,
}

/// One guest's.
#[derive(Clone, Default)]
pub(super) struct Forwards {
    all: Arc<Mutex<BTreeMap<SocketAddr, u16>>>,
}

impl Forwards {
    pub(super) fn list(&self) -> Vec<ForwardStatus> {
        self.lock()
            .iter()
            .map(|(host, guest)| ForwardStatus {
                host: *host,
                guest: *guest,
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, u16>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port of the host that leads into a guest, until this is dropped.
pub struct PortForward {
    forward: Forward,
    all: Forwards,
}

impl PortForward {
    /// Where the host listens.
    pub fn address(&self) -> SocketAddr {
        self.forward.address()
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        self.all.lock().remove(&self.forward.address());
    }
}

impl Guests {
    /// Lets a port of 127.0.0.1 (0 takes a free one) lead to a port of a guest.
    ///
    /// # Errors
    /// The instance has no machine; the port is taken.
    pub async fn forward(
        &self,
        instance: &str,
        guest_port: u16,
        host_port: u16,
    ) -> Result<PortForward, GuestError> {
        let not_running = || GuestError::NotRunning(instance.to_owned());
        let (dialer, all) = {
            let lives = self.inner.lock();
            let up = lives.of.get(instance).and_then(|it| it.up.as_ref());
            let up = up.ok_or_else(not_running)?;
            (up.dialer.clone(), up.forwards.clone())
        };
        let forward = Forward::start(dialer, host_port, guest_port)
            .await
            .map_err(|cause| GuestError::Port {
                port: host_port,
                cause,
            })?;
        all.lock().insert(forward.address(), guest_port);
        Ok(PortForward { forward, all })
    }
}
