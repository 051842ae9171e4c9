//! The endpoint: HTTP and TLS on one port of the loopback interface, routed by the scope of the
//! request's signature, to our own services or to LocalStack.

mod access_key;
mod answer;
mod at_work;
mod authority;
mod body;
mod client;
mod config;
mod connection;
mod control;
mod endpoint;
mod error;
pub mod fault;
mod json_file;
mod proxy;
mod read;
mod route;
mod scope;
mod state;
mod watch;
mod writers;

pub use config::{Config, Limits};
pub use error::GatewayError;

use crate::checks::Checks;
use at_work::AtWork;
use authority::Authority;
use connection::Listeners;
use control::{Control, Instances};
use emulator_ec2::{Machines, Records, Services, ebs};
use emulator_guests::{Guests, Setup, Storage, forget_machines};
use emulator_localstack::Upstream;
use emulator_state::clock::{Clock, SystemClock};
use emulator_state::ids::Ids;
use emulator_state::layers::Layers;
use emulator_state::world::Store;
use endpoint::Endpoint;
use fault::Book;
use proxy::Proxy;
use route::Router;
use state::State;
use std::fs::File;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use writers::Writers;

/// An endpoint that is bound and not yet served.
pub struct Gateway {
    listeners: Listeners,
    address: SocketAddr,
    authority: Arc<Authority>,
    tls: TlsAcceptor,
    endpoint: Arc<Endpoint>,
    faults: Arc<Book>,
    /// Instances that are booted, if any are.
    guests: Option<Guests>,
    /// Whether the data are kept.
    keep: bool,
    /// Held as long as the gateway lives.
    _lock: File,
}

impl Gateway {
    /// Opens the data directory and listens.
    ///
    /// # Errors
    /// The address is not on loopback or taken; the data directory is in use, or can't be read.
    pub async fn bind(config: Config) -> Result<Self, GatewayError> {
        Self::bind_with(config, Limits::default()).await
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Gateway::bind`].
    pub async fn bind_with(config: Config, limits: Limits) -> Result<Self, GatewayError> {
        if !config.listen.ip().is_loopback() {
            return Err(GatewayError::NotLoopback(config.listen));
        }
        let data = &config.data;
        std::fs::create_dir_all(data).map_err(|error| GatewayError::file(data, "made", error))?;
        let lock = lock(data)?;
        match rlimit::increase_nofile_limit(u64::MAX) {
            Ok(files) => tracing::debug!(files, "open files at most"),
            Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
        }
        let state = State::open(data)?;
        let clock = Arc::new(SystemClock::default());
        clock.advance(time::Duration::seconds(state.ahead_seconds()));
        let upstream = Upstream::new(config.localstack);
        let ids = Ids::new(state.seed(config.seed));
        let store = Arc::new(Store::open(data)?);
        let layers = open_layers(data.join("layers"), &store)?;
        let bind = |cause| GatewayError::Bind {
            address: config.listen,
            cause,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let network: Arc<dyn emulator_backend::Network> = Arc::new(upstream.clone());
        forget_machines(&store, clock.now())?;
        // An entrance of their own, on a port of its own: what they may not ask is told apart there.
        let mut entrance = None;
        if config.guests.is_some() {
            let listen = SocketAddr::new(address.ip(), 0);
            let bind = |cause| GatewayError::Bind {
                address: listen,
                cause,
            };
            let listener = TcpListener::bind(listen).await.map_err(bind)?;
            let address = listener.local_addr().map_err(bind)?;
            entrance = Some((listener, address));
        }
        let guests_address = entrance.as_ref().map_or(address, |(_, address)| *address);
        let guests = config.guests.map(|limits| {
            Guests::open(Setup {
                dir: data.join("guests"),
                limits,
                storage: Storage {
                    store: Arc::clone(&store),
                    layers: layers.clone(),
                    ids: ids.clone(),
                },
                clock: clock.clone(),
                sts: Arc::new(upstream.clone()),
                network: Arc::clone(&network),
                gateway: guests_address,
            })
        });
        let guests = guests.transpose()?;
        let machines: Arc<dyn Machines> = match &guests {
            Some(guests) => Arc::new(guests.clone()),
            None => Arc::new(Records),
        };
        let services = Services {
            store,
            layers,
            clock: clock.clone(),
            machines,
            ebs: ebs::State::open(data, &ids, clock.now())
                .map_err(|error| GatewayError::file(data, "read", error))?,
            ids,
            keys: Arc::new(upstream.clone()),
            network,
            settle: limits.settle.try_into().unwrap_or(time::Duration::SECOND),
        };
        let authority = Arc::new(Authority::open(data)?);
        let tls = TlsAcceptor::from(Arc::new(Arc::clone(&authority).server()?));
        let faults = Arc::new(Book::open(data)?);
        let at_work = Arc::new(AtWork::default());
        let control = Control {
            address,
            localstack: upstream.address(),
            ca_bundle: authority.bundle().to_owned(),
            clock: Arc::clone(&clock),
            state,
            faults: Arc::clone(&faults),
            at_work: Arc::clone(&at_work),
            instances: Instances {
                store: Arc::clone(&services.store),
                clock: clock.clone(),
                guests: guests.clone(),
            },
        };
        let router = Router {
            services,
            checks: Checks::new(upstream.clone(), Arc::new(upstream.clone()), clock),
            proxy: Proxy::new(upstream, limits.answer),
            faults: Arc::clone(&faults),
            writers: Writers::default(),
            at_work,
            host_clock: Arc::new(SystemClock::default()),
        };
        Ok(Self {
            listeners: Listeners {
                host: listener,
                guests: entrance.map(|(listener, _)| listener),
            },
            address,
            authority,
            tls,
            endpoint: Arc::new(Endpoint {
                router,
                control,
                limits,
            }),
            faults,
            guests,
            keep: config.keep,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority, in PEM: what `AWS_CA_BUNDLE` names.
    pub fn ca_bundle(&self) -> &Path {
        self.authority.bundle()
    }

    /// Instances that are booted, if any are.
    pub fn guests(&self) -> Option<&Guests> {
        self.guests.as_ref()
    }

    /// Answers requests until `stop` is ready, and finishes those that run, for a few seconds.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) {
        connection::serve(self.listeners, self.tls, self.endpoint, stop).await;
        if let Some(guests) = &self.guests {
            guests.end(self.keep).await;
        }
        if let Err(error) = self.faults.close() {
            tracing::warn!(%error, "the counts of fault rules are lost");
        }
    }
}

/// Takes the data directory for this process; the kernel gives it back when the process ends.
fn lock(data: &Path) -> Result<File, GatewayError> {
    let path = data.join("gateway.lock");
    let file = File::create(&path).map_err(|error| GatewayError::file(&path, "written", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(GatewayError::InUse(data.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(GatewayError::file(&path, "locked", error)),
    }
}

/// Opens the layers, without what a killed process made or meant to remove.
fn open_layers(dir: PathBuf, store: &Store) -> Result<Layers, GatewayError> {
    let live = store.read(|world| {
        let snapshots = world.snapshots.values().flat_map(|it| &it.layers);
        let volumes = world.volumes.values().flat_map(|it| &it.layers);
        snapshots.chain(volumes).cloned().collect()
    });
    Layers::open(dir.clone())
        .and_then(|layers| {
            let removed = layers.collect_garbage(&live)?;
            if removed > 0 {
                tracing::info!(removed, "layers that no snapshot or volume has are gone");
            }
            Ok(layers)
        })
        .map_err(|error| GatewayError::file(&dir, "read", error))
}
