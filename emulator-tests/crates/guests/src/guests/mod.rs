//! Instances that boot: QEMU runs what is in their volumes.
//!
//! ```text
//! RunInstances ──► queue ──► disks, network ──► QEMU ──► states, console
//!                              └─► NBD ─► layers   └─► IMDS, gateway, forwarded ports
//! ```
//!
//! A machine ends with this process, however that ends, and leaves nothing but its console.

mod command;
mod console;
mod control;
mod disk;
mod forwards;
mod host;
mod inbound;
mod life;
mod machine;
mod machines;
mod metadata;
mod nbd;
mod ports;
mod process;
mod record;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use console::{Console, Piece};
pub use disk::Storage;
pub use forwards::{ForwardStatus, PortForward};
pub use host::{Limits, has_uefi, missing};
pub use ports::PortScan;
pub use record::all_ended as forget_machines;

use emulator_backend::{Network, Sts};
use emulator_protocol::{AwsError, Caller};
use emulator_state::clock::Clock;

use crate::vpc::Dialer;
use disk::Disk;
use emulator_ec2::PowerOff;
use emulator_state::world::Instance;
use forwards::Forwards;
use imgtool_qemu::{Accel, QemuError, probe_kvm};
use machine::Machine;
use record::End;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore, mpsc, watch};

/// What guests are run with.
pub struct Setup {
    /// Where consoles and sockets are.
    pub dir: PathBuf,
    /// How many run, and what they have.
    pub limits: Limits,
    /// Records and bytes.
    pub storage: Storage,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Subnets and security groups.
    pub network: Arc<dyn Network>,
    /// Credentials.
    pub sts: Arc<dyn Sts>,
    /// Where the AWS of the guests is: the gateway's entrance for them.
    pub gateway: SocketAddr,
}

/// All guests; clones are the same.
#[derive(Clone)]
pub struct Guests {
    inner: Arc<Inner>,
}

struct Inner {
    setup: Setup,
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    accel: OnceCell<Accel>,
    lives: Mutex<Lives>,
    /// Consoles of guests that run or have run under this emulator.
    consoles: Mutex<BTreeMap<String, Arc<Console>>>,
    /// How many there are.
    count: watch::Sender<usize>,
}

/// Guests that run or wait.
#[derive(Default)]
struct Lives {
    of: BTreeMap<String, Live>,
    /// There are to be no more.
    closing: bool,
}

/// What there is of a guest that runs or waits.
struct Live {
    orders: mpsc::UnboundedSender<Order>,
    /// From when on they are open, which is before the guest runs.
    disks: Vec<Arc<Disk>>,
    up: Option<Up>,
}

/// What there is of one that runs.
struct Up {
    pid: u32,
    dialer: Dialer,
    forwards: Forwards,
}

/// Whether there is a guest now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    /// This one.
    New,
    /// One that was there.
    Already,
    /// None: the emulator ends.
    Closing,
}

/// What a guest has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Power off; `last` if its volumes go.
    PowerOff { how: PowerOff, last: bool },
    /// Boot again.
    Reboot,
    /// Power off, if there is time for it: the emulator ends.
    EmulatorEnds { gently: bool },
}

/// What a guest has, and whether it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestStatus {
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// Whether it waits for a place.
    pub waits: bool,
    /// Process of the QEMU that runs it.
    pub pid: Option<u32>,
    /// Ports of the host that lead into it.
    pub forwards: Vec<ForwardStatus>,
}

/// Why a guest can't be talked to.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// There is no machine.
    #[error("the instance {0} does not run as a guest")]
    NotRunning(String),
    /// The port can't be listened on, or the guest not connected to.
    #[error("port {port}")]
    Port {
        /// Which.
        port: u16,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The console's file can't be read.
    #[error("the console of {instance} can't be read")]
    Console {
        /// Whose.
        instance: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Time was up, or the guest ended, before the console showed a text.
    #[error("the console of {instance} did not show {text:?}; its end:\n{end}")]
    Unseen {
        /// Whose.
        instance: String,
        /// What.
        text: String,
        /// The console's end.
        end: String,
    },
}

impl std::fmt::Debug for Guests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guests")
            .field("limits", &self.inner.setup.limits)
            .finish_non_exhaustive()
    }
}

impl Guests {
    /// With nobody running.
    ///
    /// # Errors
    /// The directory can't be made.
    pub fn open(setup: Setup) -> Result<Self, AwsError> {
        let dir = setup.dir.display().to_string();
        std::fs::create_dir_all(&setup.dir)
            .map_err(|error| AwsError::unavailable(format!("{dir}: {error}")))?;
        let limits = setup.limits;
        Ok(Self {
            inner: Arc::new(Inner {
                places: Arc::new(Semaphore::new(limits.guests)),
                memory: Arc::new(Semaphore::new(limits.memory_mib as usize)),
                accel: OnceCell::new(),
                lives: Mutex::default(),
                consoles: Mutex::default(),
                count: watch::Sender::new(0),
                setup,
            }),
        })
    }

    /// How many run, and what they have.
    pub fn limits(&self) -> Limits {
        self.inner.setup.limits
    }

    /// Where the AWS of the guests is.
    pub fn gateway(&self) -> SocketAddr {
        self.inner.setup.gateway
    }

    /// What an instance has, if it has a machine or waits for one.
    pub fn status(&self, instance: &Instance) -> Option<GuestStatus> {
        let lives = self.inner.lock();
        let found = lives.of.get(&instance.id)?;
        Some(GuestStatus {
            cpus: self.inner.cpus(instance),
            memory_mib: self.inner.memory_mib(instance),
            waits: found.up.is_none(),
            pid: found.up.as_ref().map(|it| it.pid),
            forwards: found
                .up
                .as_ref()
                .map(|it| it.forwards.list())
                .unwrap_or_default(),
        })
    }

    /// What an instance wrote to its console, from this byte on.
    ///
    /// # Errors
    /// The file can't be read; that there is none is no error.
    pub fn console(&self, instance: &str, from: u64) -> Result<Piece, GuestError> {
        let failed = |cause| GuestError::Console {
            instance: instance.to_owned(),
            cause,
        };
        let console = self.inner.consoles().get(instance).cloned();
        if let Some(console) = console {
            return console.read(from).map_err(failed);
        }
        // An earlier emulator's.
        let bytes = match std::fs::read(self.inner.setup.dir.join(instance).join("console")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let start = from.min(bytes.len() as u64);
        Ok(Piece {
            bytes: bytes[usize::try_from(start).unwrap_or_default()..].to_vec(),
            start,
        })
    }

    /// Whether an instance has a machine, or waits for one.
    pub fn is_live(&self, instance: &str) -> bool {
        self.inner.lock().of.contains_key(instance)
    }

    /// Waits until a console shows a text.
    ///
    /// # Errors
    /// Time is up, or the guest has ended, before it does.
    pub async fn wait_for_console(
        &self,
        instance: &str,
        text: &str,
        within: Duration,
    ) -> Result<(), GuestError> {
        let shown = || {
            self.console(instance, 0)
                .map(|it| String::from_utf8_lossy(&it.bytes).into_owned())
        };
        let seen = async {
            loop {
                let is_live = self.is_live(instance);
                if shown()?.contains(text) {
                    return Ok(true);
                }
                if !is_live {
                    return Ok(false);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(within, seen).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) | Err(_) => {
                let all = shown()?;
                let lines: Vec<&str> = all.lines().collect();
                Err(GuestError::Unseen {
                    instance: instance.to_owned(),
                    text: text.to_owned(),
                    end: lines[lines.len().saturating_sub(20)..].join("\n"),
                })
            }
        }
    }

    /// Connects to guests' ports, as far as their security groups let this host in.
    ///
    /// # Errors
    /// The instance has no machine.
    pub fn dialer(&self, instance: &str) -> Result<Dialer, GuestError> {
        let lives = self.inner.lock();
        lives
            .of
            .get(instance)
            .and_then(|it| it.up.as_ref())
            .map(|it| it.dialer.clone())
            .ok_or_else(|| GuestError::NotRunning(instance.to_owned()))
    }

    /// Ends all guests; with `gently` they may power off. Waits until all have ended, and lets none
    /// begin.
    pub async fn end(&self, gently: bool) {
        {
            let mut lives = self.inner.lock();
            lives.closing = true;
            for live in lives.of.values() {
                // One whose other end is gone has ended.
                let _ = live.orders.send(Order::EmulatorEnds { gently });
            }
        }
        let mut count = self.inner.count.subscribe();
        // The other end is ours.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Lives> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a guest, which has to be given back by [`Inner::left`].
    fn enter(&self, instance: &str, orders: mpsc::UnboundedSender<Order>) -> Entered {
        let mut lives = self.lock();
        if lives.closing {
            return Entered::Closing;
        }
        let Entry::Vacant(place) = lives.of.entry(instance.to_owned()) else {
            return Entered::Already;
        };
        place.insert(Live {
            orders,
            disks: Vec::new(),
            up: None,
        });
        self.count.send_modify(|count| *count += 1);
        Entered::New
    }

    /// Nothing is left of a guest.
    fn left(&self) {
        self.count.send_modify(|count| *count -= 1);
    }

    fn consoles(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Console>>> {
        self.consoles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_console(&self, instance: &str, console: Console) -> Arc<Console> {
        let console = Arc::new(console);
        self.consoles()
            .insert(instance.to_owned(), Arc::clone(&console));
        console
    }

    /// Forgets what an instance wrote to its console.
    fn drop_console(&self, instance: &str) {
        self.consoles().remove(instance);
        let path = self.setup.dir.join(instance).join("console");
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(console = %path.display(), %error, "an old console is left over");
        }
    }

    /// A disk of the guest's is open: a snapshot has to settle it.
    fn has_disk(&self, instance: &str, disk: &Arc<Disk>) {
        if let Some(live) = self.lock().of.get_mut(instance) {
            live.disks.push(Arc::clone(disk));
        }
    }

    /// The guest runs: what there is of it can be used.
    fn is_up(&self, instance: &str, machine: &Machine) {
        if let Some(live) = self.lock().of.get_mut(instance) {
            live.up = Some(Up {
                pid: machine.process.pid(),
                dialer: machine.dialer(),
                forwards: Forwards::default(),
            });
        }
    }

    /// The guest has ended.
    fn remove(&self, instance: &str) {
        self.lock().of.remove(instance);
    }

    fn ended(&self, instance: &str, end: &End) {
        let setup = &self.setup;
        let written = record::ended(&setup.storage.store, instance, end, setup.clock.now());
        if let Err(error) = written {
            tracing::error!(instance, %error, "that it ended can't be written down");
        }
    }

    /// Processors of a machine: its type's, as far as this host has them.
    fn cpus(&self, instance: &Instance) -> u32 {
        instance.cpus.clamp(1, self.setup.limits.cpus.max(1))
    }

    /// Memory of a machine: its type's, as far as there is so much.
    fn memory_mib(&self, instance: &Instance) -> u32 {
        let most = self.setup.limits.memory_mib.max(1);
        instance.memory_mib.clamp(1, most)
    }

    /// KVM, if a trial guest runs on it; looked up once.
    async fn accel(&self) -> Result<Accel, QemuError> {
        let dir = self.setup.dir.clone();
        let probe = || async move {
            let tried = tokio::task::spawn_blocking(move || {
                let dir = tempfile::tempdir_in(dir).map_err(|source| QemuError::Io {
                    what: "a temporary directory can't be made",
                    source,
                })?;
                probe_kvm(command::machine_kind(true), dir.path())
            });
            match tried.await {
                Ok(Ok(Ok(()))) => Ok(Accel::Kvm),
                Ok(Ok(Err(why))) => {
                    tracing::info!(why, "guests run without KVM");
                    Ok(Accel::Tcg)
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(Accel::Tcg),
            }
        };
        self.accel.get_or_try_init(probe).await.copied()
    }
}

/// In whose name LocalStack is asked about an instance.
fn caller(instance: &Instance) -> Caller {
    Caller {
        account: instance.owner.clone(),
        region: instance.region.clone(),
        access_key: instance.owner.to_string(),
        secure: true,
    }
}
