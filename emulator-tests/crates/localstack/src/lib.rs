//! LocalStack, in a container or as a process, bound to the life of this one, and what is asked of
//! it.

mod answers;
mod buckets;
mod client;
mod container;
mod files;
mod health;
mod identity;
mod keys;
mod lease;
mod network;
mod process;
mod queues;
mod roles;
mod tail;

pub use buckets::BucketConfiguration;
pub use client::Upstream;
pub use container::{DEFAULT_IMAGE, Docker};
pub use lease::{Lease, LeaseError};

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// How LocalStack is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// In a container if there are an engine and the image, else as a process.
    #[default]
    Auto,
    /// In a container.
    Container,
    /// As a process of this host.
    Process,
}

/// How a LocalStack that runs is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In a container.
    Container,
    /// As a process of this host.
    Process,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Container => "container",
            Kind::Process => "process",
        })
    }
}

/// What LocalStack is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// How.
    pub choice: Choice,
    /// The Python of LocalStack's virtual environment: for a process.
    pub python: Option<PathBuf>,
    /// The image's name and tag: for a container.
    pub image: String,
    /// A directory of its own: objects, state, log, lease.
    pub home: PathBuf,
    /// Whether state is loaded at the start and saved at the end.
    pub keep: bool,
    /// A directory to remove at the end if this process does not live to do so. For a process: a
    /// container sees `home` alone.
    pub scratch: Option<PathBuf>,
    /// How long it may take to answer.
    pub ready_within: Duration,
}

impl Options {
    /// In this directory, with nothing kept.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            choice: Choice::Auto,
            python: None,
            image: DEFAULT_IMAGE.to_owned(),
            home: home.into(),
            keep: false,
            scratch: None,
            ready_within: Duration::from_secs(90),
        }
    }
}

/// Is told what is being started.
pub trait Progress: Send + Sync {
    /// The next part, in a few words.
    fn step(&self, what: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
}

/// Why LocalStack did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another emulator uses the directory.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A file of ours can't be written.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no virtual environment.
    #[error("LocalStack as a process: {}", match .0 {
        Some(python) => format!("{} is not there", python.display()),
        None => "no Python with LocalStack was named".to_owned(),
    })]
    NoPython(Option<PathBuf>),
    /// Python can't be started.
    #[error("LocalStack as a process: {python} does not start")]
    Spawn {
        /// Which.
        python: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No container engine answers.
    #[error("LocalStack in a container: no container engine answers: {0}")]
    NoEngine(String),
    /// The engine has no such image.
    #[error("LocalStack in a container: the engine has no image {0}")]
    NoImage(String),
    /// The engine refused to start the container.
    #[error("LocalStack in a container: {0}")]
    Container(String),
    /// It ended before it answered.
    #[error("LocalStack as a {kind} ended while it started ({status}); the end of its log:\n{log}")]
    Ended {
        /// How it was run.
        kind: Kind,
        /// With what status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// It did not answer in time.
    #[error(
        "LocalStack as a {kind} does not answer within {} s; the end of its log:\n{log}",
        .within.as_secs()
    )]
    Silent {
        /// How it was run.
        kind: Kind,
        /// How long was waited.
        within: Duration,
        /// The end of its log.
        log: String,
    },
}

impl StartError {
    /// Whether something is missing on this host, and what to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            StartError::NoPython(_) => Some(".ci/setup --emulator installs it"),
            StartError::NoEngine(_) => Some("--localstack process needs no container engine"),
            StartError::NoImage(_) => Some(
                "pull the image, or build it (just localstack-image), or use --localstack process",
            ),
            _ => None,
        }
    }
}

/// A LocalStack that runs, and ends when this is dropped, or when this process ends in any way.
pub struct LocalStack {
    address: SocketAddr,
    running: Running,
    // Held until what it is a lease for has gone.
    _lease: Lease,
}

enum Running {
    Process(process::Process),
    Container(Box<container::Container>),
}

impl LocalStack {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// If it can't be started, or ends, or stays silent.
    pub async fn start(options: Options, progress: &dyn Progress) -> Result<Self, StartError> {
        files::make_dir(&options.home)?;
        let lease = Lease::take(&options.home.join("lease")).await?;
        let launcher = files::write_launcher(&options.home)?;
        let docker = match options.choice {
            Choice::Process => None,
            Choice::Container => Some(Docker::connect(&options.image).await?),
            Choice::Auto => Docker::connect(&options.image).await.ok(),
        };
        let (address, running) = if let Some(docker) = docker {
            progress.step("LocalStack, in a container");
            let (address, container) = container::start(docker, &options, &launcher).await?;
            (address, Running::Container(Box::new(container)))
        } else {
            progress.step("LocalStack, as a process");
            let (address, process) = process::start(&options, &launcher).await?;
            (address, Running::Process(process))
        };
        Ok(Self {
            address,
            running,
            _lease: lease,
        })
    }

    /// Where it listens, on loopback.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is run.
    pub fn kind(&self) -> Kind {
        match self.running {
            Running::Process(_) => Kind::Process,
            Running::Container(_) => Kind::Container,
        }
    }

    /// Its process's number, if it is one of this host.
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Process(process) => Some(process.pid()),
            Running::Container(_) => None,
        }
    }

    /// Ends it in good order: state has been saved when this returns.
    pub async fn stop(self) {
        match self.running {
            Running::Process(mut process) => {
                // The wait is short, and blocking.
                let ended = tokio::task::spawn_blocking(move || process.end()).await;
                if let Err(error) = ended {
                    tracing::warn!("LocalStack's end: {error}");
                }
            }
            Running::Container(container) => container.end().await,
        }
    }
}
