//! An instance's machine: its disks, its network, and QEMU.

use super::command::{self, CONTROL, Hardware, LAN};
use super::console::Console;
use super::control::{Control, Event, Tell};
use super::disk::Disk;
use super::inbound::SecurityGroups;
use super::metadata::OfInstance;
use super::nbd::{Export, Server};
use super::process::Process;
use super::{Inner, caller};
use crate::imds::Roles;
use crate::vpc::{Dialer, Lan, LanSetup, Prefix};
use emulator_protocol::AwsError;
use emulator_state::world::{Instance, Volume};
use imgtool_qemu::{QEMU, QemuError, find_ovmf};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long QEMU has to be there.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// How long QEMU has to end once it was told to.
const QUITS_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection into the guest is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a machine was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// A file or a socket can't be made.
    #[error("{what}: {source}")]
    File {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The volumes can't be opened, or LocalStack can't be asked.
    #[error(transparent)]
    Service(#[from] AwsError),
    /// There is no firmware for it.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The subnet's range makes no sense.
    #[error("subnet {0}: not found, or its range is not one")]
    Subnet(String),
    /// QEMU ended while it started.
    #[error("QEMU ended while it started: {0}")]
    Ended(String),
    /// QEMU was not there in time.
    #[error("QEMU was not there after {0} s")]
    Late(u64),
}

fn file<T: std::fmt::Display>(what: T) -> impl FnOnce(io::Error) -> StartError {
    let what = what.to_string();
    move |source| StartError::File { what, source }
}

/// A machine that runs. Dropped without [`Machine::close`], it is killed, and its volumes are what it
/// has written so far. The parts end in this order.
pub(super) struct Machine {
    pub(super) control: Control,
    pub(super) process: Process,
    lan: Lan,
    _servers: Vec<Server>,
    _disks: Disks,
    _run: RunDir,
}

/// Disks, which are closed when this is dropped.
#[derive(Default)]
struct Disks(Vec<Arc<Disk>>);

impl Drop for Disks {
    fn drop(&mut self) {
        for disk in &self.0 {
            if let Err(error) = disk.close() {
                let volume = disk.volume();
                tracing::error!(volume, %error, "what a guest has written last is lost");
            }
        }
    }
}

/// The directory of a machine's sockets, which goes when this is dropped.
struct RunDir(PathBuf);

impl RunDir {
    fn make(path: PathBuf) -> Result<Self, StartError> {
        if let Err(error) = std::fs::remove_dir_all(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(file(path.display())(error));
        }
        std::fs::create_dir_all(&path).map_err(file(path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "a machine's sockets are left over");
        }
    }
}

impl Machine {
    /// Starts an instance's machine; its console begins anew.
    pub(super) async fn start(inner: &Inner, instance: &Instance) -> Result<Self, StartError> {
        let home = inner.setup.dir.join(&instance.id);
        let run = RunDir::make(home.join("run"))?;
        let volumes = attached(inner, instance);
        let mut disks = Disks::default();
        for volume in &volumes {
            let disk = Arc::new(Disk::open(inner.setup.storage.clone(), volume)?);
            inner.has_disk(&instance.id, &disk);
            disks.0.push(disk);
        }
        let (control, process, lan, servers) =
            start_on(inner, instance, &home, &run.0, &volumes, &disks.0).await?;
        Ok(Self {
            control,
            process,
            lan,
            _servers: servers,
            _disks: disks,
            _run: run,
        })
    }

    /// What connects to the guest's ports.
    pub(super) fn dialer(&self) -> Dialer {
        self.lan.dialer()
    }

    /// Ends QEMU, unless it has ended, and lets the volumes be what the guest has written.
    pub(super) async fn close(mut self) {
        self.control.tell(Tell::Quit).await;
        if timeout(QUITS_WITHIN, self.process.ended()).await.is_err() {
            self.process.kill();
            self.process.ended().await;
        }
        // What is left ends by itself: the servers first, so that nobody writes any more.
    }
}

/// The ids of an instance's volumes: the root, then the others by device name.
fn attached(inner: &Inner, instance: &Instance) -> Vec<String> {
    inner.setup.storage.store.read(|world| {
        let device = |volume: &Volume| {
            let attachment = volume.attachment.as_ref()?;
            (attachment.instance == instance.id).then(|| attachment.device.clone())
        };
        let mut volumes: Vec<(bool, String, String)> = world
            .volumes
            .values()
            .filter_map(|it| Some((device(it)?, it.id.clone())))
            .map(|(device, id)| (device != instance.root_device, device, id))
            .collect();
        volumes.sort();
        volumes.into_iter().map(|(_, _, id)| id).collect()
    })
}

type Parts = (Control, Process, Lan, Vec<Server>);

async fn start_on(
    inner: &Inner,
    instance: &Instance,
    home: &Path,
    run: &Path,
    volumes: &[String],
    disks: &[Arc<Disk>],
) -> Result<Parts, StartError> {
    // A socket's path can have 107 bytes only: by way of the open directory it is short.
    let open = File::open(run).map_err(file(run.display()))?;
    let socket = |name: &str| PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
    let bind = |name: &str| UnixListener::bind(socket(name)).map_err(file(name));
    let mut servers = Vec::new();
    for (place, disk) in disks.iter().enumerate() {
        let listener = bind(&command::disk_socket(place))?;
        let export: Arc<dyn Export> = Arc::clone(disk) as Arc<dyn Export>;
        servers.push(Server::start(listener, export).map_err(file("a thread"))?);
    }
    let lan = Lan::start(&socket(LAN), lan(inner, instance).await?).map_err(file(LAN))?;
    let control = bind(CONTROL)?;
    control.set_nonblocking(true).map_err(file(CONTROL))?;
    let control = tokio::net::UnixListener::from_std(control).map_err(file(CONTROL))?;

    let ovmf = match instance.current_boot_mode.as_str() {
        "uefi" => Some(find_ovmf()?),
        _ => None,
    };
    // The firmware's variables are the instance's own, from its first start on.
    let vars = home.join("vars");
    if let Some(ovmf) = &ovmf
        && !vars.exists()
    {
        std::fs::read(&ovmf.vars)
            .and_then(|bytes| std::fs::write(&vars, bytes))
            .map_err(file(vars.display()))?;
    }
    let code = ovmf.as_ref().map(|it| it.code.to_string_lossy());
    let arguments = command::arguments(&Hardware {
        instance: &instance.id,
        instance_type: &instance.instance_type,
        nitro: instance.nitro,
        cpus: inner.cpus(instance),
        memory_mib: inner.memory_mib(instance),
        mac: &instance.interface.mac,
        accel: inner.accel().await?,
        flash: code.as_deref().map(|code| (code, "../vars")),
        volumes,
    });
    let console = Console::create(&home.join("console")).map_err(file("console"))?;
    let console = inner.set_console(&instance.id, console);
    let log = run.join("qemu.log");
    let mut process = Process::start(QEMU, arguments, run, &log)
        .await
        .map_err(file(QEMU))?;
    if let Some(stdout) = process.stdout() {
        std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || console.take(stdout))
            .map_err(file("a thread"))?;
    }
    let ready = async {
        let mut control = Control::accept(control).await.map_err(file(CONTROL))?;
        match control.events.recv().await {
            Some(Event::Ready) => Ok(control),
            _ => Err(StartError::Ended(String::new())),
        }
    };
    let ready = async {
        tokio::select! {
            () = process.ended() => Err(StartError::Ended(String::new())),
            ready = ready => ready,
        }
    };
    let ready = timeout(STARTS_WITHIN, ready).await;
    match ready {
        Ok(Ok(control)) => Ok((control, process, lan, servers)),
        Ok(Err(StartError::Ended(_))) => {
            process.kill();
            process.ended().await;
            Err(StartError::Ended(process.last_words()))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Late(STARTS_WITHIN.as_secs())),
    }
}

/// The guest's network.
pub(super) async fn lan(inner: &Inner, instance: &Instance) -> Result<LanSetup, StartError> {
    let setup = &inner.setup;
    let caller = caller(instance);
    let wrong = || StartError::Subnet(instance.interface.subnet.clone());
    let subnets = setup.network.subnets(&caller).await?;
    let subnet = subnets
        .into_iter()
        .find(|it| it.id == instance.interface.subnet)
        .ok_or_else(wrong)?;
    let prefix: Prefix = subnet.cidr.parse().map_err(|_| wrong())?;
    let mut mac = [0; 6];
    for (byte, text) in mac.iter_mut().zip(instance.interface.mac.split(':')) {
        *byte = u8::from_str_radix(text, 16).unwrap_or_default();
    }
    Ok(LanSetup {
        private_ip: instance.interface.private_ip,
        subnet: prefix,
        mac,
        gateway_tls: setup.gateway,
        gateway_plain: setup.gateway,
        metadata: Arc::new(OfInstance {
            store: Arc::clone(&setup.storage.store),
            roles: Roles::new(Arc::clone(&setup.sts), Arc::clone(&setup.clock)),
            instance: instance.id.clone(),
            subnet_cidr: subnet.cidr,
            vpc_cidr: setup.network.vpc_cidr(&caller, &subnet.vpc).await?,
        }),
        inbound: Arc::new(SecurityGroups {
            store: Arc::clone(&setup.storage.store),
            network: Arc::clone(&setup.network),
            caller,
            instance: instance.id.clone(),
        }),
        clock: Arc::clone(&setup.clock),
        seed: setup.storage.ids.number(),
        patience: PATIENCE,
    })
}
