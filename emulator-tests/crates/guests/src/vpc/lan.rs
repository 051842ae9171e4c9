//! The router's handle, and the task that runs it.

use super::services::serve;
use super::stack::{Refused, Stack};
use super::wire::Frames;
use super::{GuestStream, LanSetup};
use crate::imds::Imds;
use smoltcp::time::Instant as SmolInstant;
use std::io;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The shortest time that the router waits: tokio's timer is no finer.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How long one attempt to connect to the guest waits. A connection that is tried for longer waits
/// twice as long each time, which a guest that boots meanwhile would be charged with.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How long to wait after QEMU's connection could not be accepted.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// What the router, its connections and its handles share.
pub(super) struct Shared {
    stack: Mutex<Stack>,
    setup: LanSetup,
    imds: Arc<Imds>,
    /// Something is there to be sent.
    sends: Notify,
    start: Instant,
}

impl Shared {
    fn new(setup: LanSetup) -> Arc<Self> {
        let imds = Imds::new(
            Arc::clone(&setup.metadata),
            Arc::clone(&setup.clock),
            setup.seed,
        );
        Arc::new(Self {
            stack: Mutex::new(Stack::new(&setup)),
            imds: Arc::new(imds),
            setup,
            sends: Notify::new(),
            start: Instant::now(),
        })
    }

    pub(super) fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn setup(&self) -> &LanSetup {
        &self.setup
    }

    pub(super) fn imds(&self) -> Arc<Imds> {
        Arc::clone(&self.imds)
    }

    pub(super) fn now(&self) -> SmolInstant {
        let micros = self.start.elapsed().as_micros();
        SmolInstant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Lets the router send.
    pub(super) fn wake(&self) {
        self.sends.notify_one();
    }

    /// Works with the stack. Should smoltcp panic at what a guest sends, this guest's connections
    /// are gone, and nothing else.
    fn work<T: Default>(&self, work: impl FnOnce(&mut Stack, SmolInstant) -> T) -> T {
        let now = self.now();
        let mut stack = self.stack();
        catch_unwind(AssertUnwindSafe(|| work(&mut stack, now))).unwrap_or_else(|_| {
            tracing::error!("a guest's network failed, which is a bug: its connections are reset");
            stack.reset(&self.setup);
            T::default()
        })
    }

    /// Talks with QEMU until it is gone.
    async fn talk(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut frames = Frames::new(stream);
        loop {
            let (begun, due) = self.work(|stack, now| {
                while stack.has_room()
                    && let Some(frame) = frames.next()
                {
                    stack.receive(now, &frame);
                }
                stack.send(now);
                if frames.has_sent() {
                    frames.send(stack.take());
                    // There is room again.
                    stack.send(now);
                }
                (stack.begun(), stack.due(now))
            });
            for (service, handle) in begun {
                let guest = GuestStream::new(Arc::clone(self), handle);
                tokio::spawn(serve(Arc::clone(self), service, guest));
            }
            let wait = due.map(|due| Duration::from(due).max(SHORTEST_WAIT));
            tokio::select! {
                passed = frames.pass() => passed?,
                () = self.sends.notified() => {}
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    async fn run(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = self.talk(stream).await {
                        tracing::debug!(%error, "QEMU's network connection has ended");
                    }
                    self.stack().reset(&self.setup);
                }
                Err(error) => {
                    tracing::warn!(%error, "QEMU's network connection could not be accepted");
                    sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

/// A guest's network. It ends when this is dropped.
///
/// QEMU may connect, go, and connect again, as often as it likes: one at a time.
#[derive(Debug)]
pub struct Lan {
    dialer: Dialer,
    task: JoinHandle<()>,
}

impl Lan {
    /// Listens on a UNIX socket at this path, which must not be there, for QEMU to connect to. The
    /// path has 107 bytes at most.
    ///
    /// Has to be called on a tokio runtime.
    ///
    /// # Errors
    /// The socket can't be made there.
    pub fn start(path: &Path, setup: LanSetup) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let shared = Shared::new(setup);
        Ok(Self {
            task: tokio::spawn(Arc::clone(&shared).run(listener)),
            dialer: Dialer { shared },
        })
    }

    /// What connects to the guest's ports.
    pub fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// Connects to a port of the guest, from the host.
    ///
    /// # Errors
    /// As [`Dialer::dial`].
    pub async fn dial(&self, port: u16) -> io::Result<GuestStream> {
        self.dialer.dial(port).await
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.task.abort();
        let shared = &self.dialer.shared;
        shared.stack().end(&shared.setup);
    }
}

/// Connects to ports of a guest.
#[derive(Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("private_ip", &self.shared.setup.private_ip)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Connects to a port of the guest, from the host: from 127.0.0.1 as far as the security
    /// groups' rules go.
    ///
    /// # Errors
    /// As [`Dialer::dial_from`].
    pub async fn dial(&self, port: u16) -> io::Result<GuestStream> {
        self.dial_from(Ipv4Addr::LOCALHOST, port).await
    }

    /// Connects to a port of the guest, from an address. A loopback address is the router's to the
    /// guest.
    ///
    /// # Errors
    /// `TimedOut` after [`LanSetup::patience`] if the rules don't let it in (such packets are
    /// dropped, as on AWS) or no guest answers; `ConnectionRefused` if nothing listens there.
    pub async fn dial_from(&self, source: Ipv4Addr, port: u16) -> io::Result<GuestStream> {
        let setup = &self.shared.setup;
        let connects = async {
            if !setup.inbound.allows(port, source).await {
                std::future::pending::<()>().await;
            }
            let from = if source.is_loopback() {
                self.router()
            } else {
                source
            };
            loop {
                match self.attempt(from, port).await {
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                    done => return done,
                }
            }
        };
        timeout(setup.patience, connects)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Connects to a port of the guest from the router, whatever the rules let in, once.
    ///
    /// # Errors
    /// `ConnectionRefused` if nothing listens there; `TimedOut` if the guest does not answer;
    /// `ResourceBusy` if it has as many connections as it may have.
    pub(crate) async fn knock(&self, port: u16) -> io::Result<GuestStream> {
        self.attempt(self.router(), port).await
    }

    fn router(&self) -> Ipv4Addr {
        super::Addresses::of(self.shared.setup.subnet).router
    }

    async fn attempt(&self, from: Ipv4Addr, port: u16) -> io::Result<GuestStream> {
        let handle = self.shared.stack().connect(from, port).map_err(refused)?;
        let stream = GuestStream::new(Arc::clone(&self.shared), handle);
        self.shared.wake();
        timeout(ATTEMPT, stream.connected())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(stream)
    }
}

fn refused(why: Refused) -> io::Error {
    let kind = match why {
        Refused::Full => io::ErrorKind::ResourceBusy,
        Refused::Ended => io::ErrorKind::NetworkDown,
        Refused::Address => io::ErrorKind::InvalidInput,
    };
    io::Error::new(kind, why)
}
