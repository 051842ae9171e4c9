//! Which TCP ports of a guest something listens on.

use super::{GuestError, Guests};
use crate::vpc::Dialer;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Ports that there are: 1 to this.
const LAST: u16 = u16::MAX;
/// Ports that are asked at the same time: the guest's own connections need room besides.
const AT_A_TIME: usize = 128;
/// How often a port is asked that does not answer: a guest may be slow.
const TRIES: usize = 3;
/// How long all of it may take: a guest that answers takes seconds, one that drops what comes would
/// take half an hour.
const WITHIN: Duration = Duration::from_secs(120);
/// How long to wait where the guest has as many connections as it may have.
const FULL: Duration = Duration::from_millis(20);

/// What asking all TCP ports of a guest came to, from its own network: security groups let in what
/// they let in, the guest answers or does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortScan {
    /// Something listens there; in ascending order.
    pub open: Vec<u16>,
    /// How many the guest refused.
    pub closed: u32,
    /// How many it did not answer for.
    pub silent: u32,
}

impl Guests {
    /// Asks all TCP ports of a guest whether something listens there, whatever its security groups
    /// let in. Takes two minutes at most; what has not answered by then is silent.
    ///
    /// # Errors
    /// The instance has no machine, or its machine ended meanwhile.
    pub async fn scan_ports(&self, instance: &str) -> Result<PortScan, GuestError> {
        let found = scan(self.dialer(instance)?).await;
        // Connections with a machine that ends are refused, too, but not by the guest.
        self.dialer(instance)?;
        Ok(found)
    }
}

/// Asks all ports.
async fn scan(dialer: Dialer) -> PortScan {
    let next = Arc::new(AtomicU32::new(1));
    let end = Instant::now() + WITHIN;
    let mut asking = JoinSet::new();
    for _ in 0..AT_A_TIME {
        asking.spawn(ask(dialer.clone(), Arc::clone(&next), end));
    }
    let mut found = PortScan::default();
    while let Some(asked) = asking.join_next().await {
        // What one that panicked had asked counts as silent, below.
        let (open, closed) = asked.unwrap_or_default();
        found.open.extend(open);
        found.closed += closed;
    }
    found.open.sort_unstable();
    let answered = found.closed + u32::try_from(found.open.len()).unwrap_or(u32::MAX);
    found.silent = u32::from(LAST).saturating_sub(answered);
    found
}

/// Asks one port after another, until none is left or time is up; which are open, and how many are
/// closed.
async fn ask(dialer: Dialer, next: Arc<AtomicU32>, end: Instant) -> (Vec<u16>, u32) {
    let (mut open, mut closed) = (Vec::new(), 0);
    while let Ok(port) = u16::try_from(next.fetch_add(1, Ordering::Relaxed)) {
        match timeout_at(end, is_open(&dialer, port)).await {
            Ok(Some(true)) => open.push(port),
            Ok(Some(false)) => closed += 1,
            Ok(None) => {}
            Err(_) => break,
        }
    }
    (open, closed)
}

/// Whether something listens on a port; `None` if the guest does not say.
async fn is_open(dialer: &Dialer, port: u16) -> Option<bool> {
    let mut tries = 0;
    while tries < TRIES {
        match dialer.knock(port).await.map_err(|error| error.kind()) {
            Ok(_reset_by_its_drop) => return Some(true),
            Err(ErrorKind::ConnectionRefused) => return Some(false),
            Err(ErrorKind::ResourceBusy) => sleep(FULL).await,
            Err(ErrorKind::TimedOut) => tries += 1,
            Err(_) => return None,
        }
    }
    None
}
