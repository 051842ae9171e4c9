//! The network of a machine whose application PID 1 looks after.

use std::io::{PipeReader, PipeWriter, pipe};
use std::thread;

use super::failure::{Context, Result};
use super::lease;
use super::link::{self, Link};
use super::netlink::Routing;
use super::{imds, resolv, set_hostname};

/// Index of the loopback interface, the first one that the kernel makes.
const LOOPBACK: u32 = 1;

/// The machine's network with nothing but the loopback interface up.
pub(crate) struct Network {
    routing: Routing,
}

impl Network {
    /// Brings the loopback interface up. `None`, and said, where that fails.
    pub(crate) fn open() -> Option<Self> {
        said(Self::try_open())
    }

    fn try_open() -> Result<Self> {
        let routing = Routing::open().context(|| "can't reach the kernel's routing".to_owned())?;
        routing
            .up(LOOPBACK)
            .context(|| "can't bring lo up".to_owned())?;
        Ok(Self { routing })
    }

    /// Brings the rest up in the background. `None` when there is none to wait for; otherwise the
    /// pipe ends once address, host name and name servers are set.
    pub(crate) fn start(self) -> Option<PipeReader> {
        said(self.try_start()).flatten()
    }

    fn try_start(self) -> Result<Option<PipeReader>> {
        let routing = self.routing;
        let Some(link) = link::first() else {
            say!("no network interface");
            return Ok(None);
        };
        routing
            .up(link.index)
            .context(|| format!("can't bring {} up", link.name))?;
        let (waiting, ready) = pipe().context(|| "can't make a pipe".to_owned())?;
        thread::Builder::new()
            .name("network".into())
            .spawn(move || live(&routing, &link, ready))
            .context(|| "can't start a thread".to_owned())?;
        Ok(Some(waiting))
    }
}

fn said<T>(outcome: Result<T>) -> Option<T> {
    outcome
        .map_err(|failure| say!("warning: no network: {failure}"))
        .ok()
}

/// Obtains a lease and keeps it for as long as the machine runs.
fn live(routing: &Routing, link: &Link, ready: PipeWriter) {
    link::wait_for_carrier(link);
    let mut lease = lease::obtain(link);
    let mut before = None;
    let mut ready = Some(ready);
    loop {
        match lease::apply(routing, link, &lease, before.as_ref()) {
            Ok(()) if before.as_ref() != Some(&lease) => {
                let router = lease
                    .router
                    .map(|router| format!(" by {router}"))
                    .unwrap_or_default();
                say!(
                    "{} is {}/{}{router}",
                    link.name,
                    lease.address,
                    lease.prefix
                );
                resolv::write(&lease);
            }
            Ok(()) => {}
            Err(error) => {
                say!(
                    "warning: {} does not take {}: {error}",
                    link.name,
                    lease.address
                );
            }
        }
        if let Some(ready) = ready.take() {
            if let Some(hostname) = &lease.hostname {
                set_hostname(hostname);
            }
            imds::introduce();
            drop(ready);
        }
        let renewed = lease::next(link, &lease);
        before = Some(std::mem::replace(&mut lease, renewed));
    }
}
