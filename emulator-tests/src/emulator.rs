//! The whole of it, in this process: LocalStack and the gateway, on a runtime of their own.

mod temporary;

use crate::gateway::{Config, Gateway, GatewayError, Limits};
use emulator_guests::{GuestError, Guests, PortForward, PortScan};
use emulator_localstack::{
    Choice, DEFAULT_IMAGE, Kind, Lease, LeaseError, LocalStack, Options, Progress, Silent,
    StartError,
};
use emulator_protocol::{Account, Region};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::oneshot;

/// Why the emulator did not start.
#[derive(Debug, Error)]
pub enum EmulatorError {
    /// Another one uses the data.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// LocalStack did not start.
    #[error(transparent)]
    LocalStack(#[from] StartError),
    /// Someone listens there.
    #[error("port {} of {} is in use", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The gateway did not start.
    #[error("the gateway did not start")]
    Gateway(#[from] GatewayError),
    /// Instances are to be booted, and what does it is not installed.
    #[error("{0} is not installed: instances can't be booted")]
    NoMachines(&'static str),
    /// A file, a thread or the like can't be made.
    #[error("{what}")]
    Host {
        /// What.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// It was stopped before it was ready.
    #[error("interrupted while it started")]
    Interrupted,
}

impl EmulatorError {
    fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Host { what, source }
    }
}

/// How an emulator is set up.
#[derive(Clone)]
pub struct Builder {
    data: Option<PathBuf>,
    lock: Option<Arc<Lease>>,
    keep: bool,
    port: u16,
    region: Region,
    choice: Choice,
    image: String,
    python: Option<PathBuf>,
    seed: Option<u64>,
    limits: Limits,
    guests: Option<usize>,
    progress: Arc<dyn Progress>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            data: None,
            lock: None,
            keep: false,
            port: 0,
            region: Region::default_region(),
            choice: Choice::Auto,
            image: DEFAULT_IMAGE.to_owned(),
            python: None,
            seed: None,
            limits: Limits::default(),
            guests: None,
            progress: Arc::new(Silent),
        }
    }
}

impl Builder {
    /// Keeps state in this directory, for the next one that is started on it. Without: a temporary
    /// directory, which goes with the emulator.
    pub fn data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = Some(data.into());
        self.keep = true;
        self
    }

    /// Works in this directory, with nothing kept for the next one.
    pub fn scratch(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data = Some(dir.into());
        self.keep = false;
        self
    }

    /// Uses this lock on the directory's [`lock_file`], taken by who has to do more under it. Without:
    /// one of its own.
    pub fn locked(mut self, lock: Arc<Lease>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Listens on this port; 0, the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The region that [`Emulator::env`] names; every other one is there, too.
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// How LocalStack is run.
    pub fn localstack(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    /// LocalStack's image, for a container.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    /// The Python of LocalStack's virtual environment, for a process.
    pub fn python(mut self, python: impl Into<PathBuf>) -> Self {
        self.python = Some(python.into());
        self
    }

    /// Makes identifiers and noise the same every time. Not for data that is kept: identifiers
    /// would come again.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long states that pass by themselves last: pending, creating.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.limits.settle = settle;
        self
    }

    /// Boots at most so many instances at a time; 0 boots none: instances are records then. Without:
    /// as many as this host can do with, and none where QEMU is not installed.
    pub fn guests(mut self, guests: usize) -> Self {
        self.guests = Some(guests);
        self
    }

    /// Is told what is being started.
    pub fn progress(mut self, progress: impl Progress + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Starts it on a thread of its own and waits until it answers.
    ///
    /// # Errors
    /// If a part of it does not start; what had started has ended then.
    pub fn start(self) -> Result<Emulator, EmulatorError> {
        let (ready, is_ready) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("emulator".to_owned())
            .spawn(move || {
                let failed = ready.clone();
                let until = async {
                    // An error is the other end's being dropped: that is an end, too.
                    let _ = stopped.await;
                };
                let ran = self.run(
                    move |parts| {
                        let _ = ready.send(Ok(parts.clone()));
                    },
                    until,
                );
                if let Err(error) = ran {
                    let _ = failed.send(Err(error));
                }
            })
            .map_err(EmulatorError::host("a thread"))?;
        match is_ready.recv() {
            Ok(Ok(parts)) => Ok(Emulator {
                parts,
                accounts: AtomicU64::new(1),
                stop: Some(stop),
                thread: Some(thread),
            }),
            Ok(Err(error)) => {
                let _ = thread.join();
                Err(error)
            }
            Err(_) => Err(EmulatorError::Interrupted),
        }
    }

    /// Runs it on this thread until `stop` is there, and tells when it is ready.
    ///
    /// # Errors
    /// If a part of it does not start; what had started has ended then.
    pub fn run(
        self,
        ready: impl FnOnce(&Parts),
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), EmulatorError> {
        self.run_until(Box::new(ready), Box::pin(stop))
    }

    /// Not generic, so that the gateway and all below it are compiled here, once, and not again in
    /// every program and test that runs an emulator.
    fn run_until<'a>(
        self,
        ready: Box<dyn FnOnce(&Parts) + 'a>,
        mut stop: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    ) -> Result<(), EmulatorError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(EmulatorError::host("tokio's runtime"))?;
        runtime.block_on(async {
            let started = tokio::select! {
                started = self.start_parts() => started?,
                () = &mut stop => return Err(EmulatorError::Interrupted),
            };
            let Started {
                parts,
                localstack,
                gateway,
                _lock,
                _temporary,
            } = started;
            ready(&parts);
            gateway.serve(stop).await;
            localstack.stop().await;
            Ok(())
        })
    }

    /// How many instances are booted, and what they have.
    fn guest_limits(&self) -> Result<Option<emulator_guests::Limits>, EmulatorError> {
        let missing = emulator_guests::missing();
        match (self.guests, missing) {
            (Some(0), _) => Ok(None),
            (Some(_), Some(program)) => Err(EmulatorError::NoMachines(program)),
            (None, Some(program)) => {
                tracing::warn!("{program} is not installed: instances are records");
                Ok(None)
            }
            (number, None) => {
                let host = emulator_guests::Limits::of_host();
                Ok(Some(emulator_guests::Limits {
                    guests: number.unwrap_or(host.guests),
                    ..host
                }))
            }
        }
    }

    async fn start_parts(&self) -> Result<Started, EmulatorError> {
        let (data, temporary) = match &self.data {
            Some(data) => (data.clone(), None),
            None => {
                let dir =
                    temporary::make().map_err(EmulatorError::host("a temporary directory"))?;
                (dir.path().to_owned(), Some(dir))
            }
        };
        std::fs::create_dir_all(&data).map_err(EmulatorError::host(data.display().to_string()))?;
        let data = data
            .canonicalize()
            .map_err(EmulatorError::host(data.display().to_string()))?;
        let lock = match &self.lock {
            Some(lock) => Arc::clone(lock),
            None => Arc::new(Lease::try_take(&lock_file(&data))?),
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        // Said at once, not after LocalStack has started.
        let guests = self.guest_limits()?;
        port_is_free(listen)?;
        let localstack = LocalStack::start(
            Options {
                choice: self.choice,
                python: self.python.clone(),
                image: self.image.clone(),
                keep: self.keep,
                scratch: temporary.is_some().then(|| data.clone()),
                ..Options::new(data.join("localstack"))
            },
            &*self.progress,
        )
        .await?;
        self.progress.step("the gateway");
        let config = Config {
            listen,
            localstack: localstack.address(),
            data: data.clone(),
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            guests,
            keep: self.keep,
        };
        let gateway = Gateway::bind_with(config, self.limits.clone()).await?;
        Ok(Started {
            parts: Parts {
                address: gateway.address(),
                localstack: localstack.address(),
                kind: localstack.kind(),
                localstack_pid: localstack.pid(),
                ca_bundle: gateway.ca_bundle().to_owned(),
                region: self.region.clone(),
                guests: gateway.guests().cloned(),
                runtime: tokio::runtime::Handle::current(),
                data,
            },
            localstack,
            gateway,
            _lock: lock,
            _temporary: temporary,
        })
    }
}

/// The file that whoever uses a data directory holds locked.
pub fn lock_file(data: &Path) -> PathBuf {
    data.join("lock")
}

fn port_is_free(listen: SocketAddr) -> Result<(), EmulatorError> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(EmulatorError::PortInUse(listen))
        }
        Err(error) => Err(EmulatorError::host(listen.to_string())(error)),
    }
}

struct Started {
    parts: Parts,
    localstack: LocalStack,
    gateway: Gateway,
    // The last to go, in this order.
    _lock: Arc<Lease>,
    _temporary: Option<TempDir>,
}

/// What there is to know of an emulator that runs.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where the gateway listens.
    pub address: SocketAddr,
    /// Where LocalStack listens.
    pub localstack: SocketAddr,
    /// How LocalStack is run.
    pub kind: Kind,
    /// LocalStack's process, if it is one of this host.
    pub localstack_pid: Option<u32>,
    /// The certificates that clients have to trust.
    pub ca_bundle: PathBuf,
    /// The region that clients are given.
    pub region: Region,
    /// Instances that are booted, if any are.
    pub guests: Option<Guests>,
    /// What all of it runs on.
    runtime: tokio::runtime::Handle,
    /// Where state is.
    pub data: PathBuf,
}

impl Parts {
    /// What clients of this account need in their environment.
    pub fn env(&self, account: &Account) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("https://{}", self.address)),
            ("AWS_CA_BUNDLE", self.ca_bundle.display().to_string()),
            ("AWS_ACCESS_KEY_ID", account.to_string()),
            ("AWS_SECRET_ACCESS_KEY", "emulator".to_owned()),
            ("AWS_REGION", self.region.to_string()),
            ("AWS_DEFAULT_REGION", self.region.to_string()),
        ]
    }
}

/// An emulator that runs in this process, and ends when this is dropped.
///
/// After a panic, Ctrl-C or kill -9, too: LocalStack watches a lock that the kernel takes from a
/// process that has ended.
pub struct Emulator {
    parts: Parts,
    accounts: AtomicU64,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// With the defaults of [`Builder`].
    ///
    /// # Errors
    /// If a part of it does not start.
    pub fn start() -> Result<Self, EmulatorError> {
        Self::builder().start()
    }

    /// To set it up first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The endpoint over TLS.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.parts.address)
    }

    /// The same endpoint without TLS.
    pub fn plain_endpoint(&self) -> String {
        format!("http://{}", self.parts.address)
    }

    /// The certificates that clients have to trust.
    pub fn ca_bundle(&self) -> &Path {
        &self.parts.ca_bundle
    }

    /// The account of [`Emulator::env`].
    pub fn account(&self) -> Account {
        Account::default_account()
    }

    /// The region of [`Emulator::env`].
    pub fn region(&self) -> &Region {
        &self.parts.region
    }

    /// What clients need in their environment.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        self.parts.env(&self.account())
    }

    /// An account that nobody has been given before: what a test makes in it is seen by no other.
    pub fn account_of_its_own(&self) -> Tenant {
        let number = self.accounts.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:012}", 100_000_000_000 + number);
        Tenant {
            account: Account::parse(&text).unwrap_or_else(Account::default_account),
            parts: self.parts.clone(),
        }
    }

    /// Waits until an instance's console shows a text.
    ///
    /// # Errors
    /// It has no machine; time is up, or it has ended, before it does.
    ///
    /// # Panics
    /// On a thread of tokio's: there, ask [`Parts::guests`].
    pub fn wait_for_console(
        &self,
        instance: &str,
        text: &str,
        within: Duration,
    ) -> Result<(), GuestError> {
        let guests = self.guests(instance)?;
        self.parts
            .runtime
            .block_on(guests.wait_for_console(instance, text, within))
    }

    /// Lets a free port of 127.0.0.1 lead to a port of an instance, as far as its security groups
    /// let this host in, until what this gives is dropped.
    ///
    /// # Errors
    /// It has no machine.
    ///
    /// # Panics
    /// On a thread of tokio's: there, ask [`Parts::guests`].
    pub fn forward_port(&self, instance: &str, port: u16) -> Result<PortForward, GuestError> {
        let guests = self.guests(instance)?;
        self.parts
            .runtime
            .block_on(guests.forward(instance, port, 0))
    }

    /// Asks all TCP ports of an instance whether something listens there, whatever its security
    /// groups let in. Takes two minutes at most.
    ///
    /// # Errors
    /// It has no machine, or its machine ends meanwhile.
    ///
    /// # Panics
    /// On a thread of tokio's: there, ask [`Parts::guests`].
    pub fn scan_ports(&self, instance: &str) -> Result<PortScan, GuestError> {
        let guests = self.guests(instance)?;
        self.parts.runtime.block_on(guests.scan_ports(instance))
    }

    fn guests(&self, instance: &str) -> Result<&Guests, GuestError> {
        let guests = self.parts.guests.as_ref();
        guests.ok_or_else(|| GuestError::NotRunning(instance.to_owned()))
    }

    /// What it consists of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Ends it and waits until it has ended. The same as dropping it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the emulator's thread panicked");
        }
    }
}

/// One account of an emulator.
#[derive(Clone, Debug)]
pub struct Tenant {
    account: Account,
    parts: Parts,
}

impl Tenant {
    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What its clients need in their environment.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        self.parts.env(&self.account)
    }
}
