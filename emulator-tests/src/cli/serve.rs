//! `emulator serve`: the emulator itself, in the foreground or as the child of `up`.

use super::failure::not_started;
use super::{Class, DataArg, Failure, Running, host};
use clap::Args;
use emulator_localstack::{Choice, Lease, Progress};
use emulator_protocol::Region;
use emulator_tests::Emulator;
use emulator_tests::emulator::{Builder, lock_file};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How it is set up: what `up` takes and hands on.
#[derive(Clone, Debug, Args)]
pub(super) struct Setup {
    #[command(flatten)]
    pub(super) data: DataArg,
    /// Listen on this port of 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4566)]
    pub(super) port: u16,
    /// The region that clients are pointed at; all others are there, too
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    pub(super) region: String,
    /// How LocalStack is run; auto: in a container, if an engine has the image
    #[arg(long, value_name = "HOW", value_enum, default_value_t = How::Auto)]
    pub(super) localstack: How,
    /// How long states last that pass by themselves: pending, creating, stopping
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(super) settle_ms: u32,
    /// Boot at most N instances at a time, in QEMU; 0 boots none
    ///
    /// More are pending until another one ends; memory counts, too. An instance is booted if its
    /// image is for x86_64 and its root volume begins with a boot sector. What is not booted is a
    /// record, whose states pass in time. [default: the number of processors, at most 4; none where
    /// QEMU is not installed]
    #[arg(long, value_name = "N", value_parser = guests)]
    pub(super) guests: Option<usize>,
    /// Boot no instances: the same as --guests 0
    #[arg(long, conflicts_with = "guests")]
    pub(super) no_guests: bool,
}

/// Most guests that can be asked for.
const MOST_GUESTS: usize = 100;

fn guests(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number <= MOST_GUESTS)
        .ok_or_else(|| format!("{text:?} is not a number from 0 to {MOST_GUESTS}"))
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum How {
    Auto,
    Container,
    Process,
}

impl From<How> for Choice {
    fn from(how: How) -> Choice {
        match how {
            How::Auto => Choice::Auto,
            How::Container => Choice::Container,
            How::Process => Choice::Process,
        }
    }
}

/// Run the emulator for `up`, which reads what this writes
///
/// Standard output: a line of JSON for each step, then one that says that it is ready or why not.
/// Until then, the end of standard input is the end of this.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    setup: Setup,
}

/// A line that `serve` writes and `up` reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    /// What is being started.
    Step(String),
    /// It answers.
    Ready(Box<Running>),
    /// It did not start.
    Failed(Failure),
}

impl Line {
    fn write(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(self)?)?;
        out.flush()
    }
}

struct Steps;

impl Progress for Steps {
    fn step(&self, what: &str) {
        tracing::info!("starting {what}");
        // Nobody reads it once `up` has gone; the end of standard input tells that.
        let _ = Line::Step(what.to_owned()).write();
    }
}

impl Serve {
    pub(super) fn run(&self, _: &mut impl Write) -> Result<(), Failure> {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            // It would panic where standard error can't be written: the log's disk may be full.
            .log_internal_errors(false)
            .init();
        let (abandon, abandoned) = oneshot::channel();
        std::thread::spawn(move || {
            // `up` writes nothing: this returns when it has gone, and is then looked at only if
            // the emulator is not ready yet.
            let _ = std::io::stdin().read(&mut [0]);
            let _ = abandon.send(());
        });
        let ran = self.setup.run(Steps, Some(abandoned), |running| {
            let _ = Line::Ready(Box::new(running)).write();
            Ok(())
        });
        if let Err(failure) = ran {
            let _ = Line::Failed(failure).write();
        }
        Ok(())
    }
}

impl Setup {
    /// The region, if it looks like one.
    pub(super) fn region(&self) -> Result<Region, Failure> {
        Region::parse(&self.region).ok_or_else(|| {
            let message = format!("--region {}: not a region's name", self.region);
            Failure::new(Class::Input, message)
        })
    }

    /// How many instances to boot, if that was said.
    pub(super) fn guests(&self) -> Option<usize> {
        if self.no_guests { Some(0) } else { self.guests }
    }

    fn builder(&self, data: &Path) -> Result<Builder, Failure> {
        let mut builder = Emulator::builder()
            .port(self.port)
            .region(self.region()?)
            .localstack(self.localstack.into())
            .settle(Duration::from_millis(self.settle_ms.into()));
        builder = if self.data.data.is_some() {
            builder.data(data)
        } else {
            builder.scratch(data)
        };
        if let Some(guests) = self.guests() {
            builder = builder.guests(guests);
        }
        if let Some(python) = host::localstack_python() {
            builder = builder.python(python);
        }
        if let Some(image) = host::localstack_image() {
            builder = builder.image(image);
        }
        Ok(builder)
    }

    /// Runs it until it is told to end. `abandoned` ends it only while it starts.
    pub(super) fn run(
        &self,
        progress: impl Progress + 'static,
        abandoned: Option<oneshot::Receiver<()>>,
        ready: impl FnOnce(Running) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let data = self.data.dir()?;
        let keeps = self.data.data.is_some();
        std::fs::create_dir_all(&data).map_err(|error| {
            Failure::new(Class::Surroundings, format!("{}: {error}", data.display()))
        })?;
        // Held until what tells of this emulator has gone, too.
        let lock = Lease::try_take_patiently(&lock_file(&data))
            .map(Arc::new)
            .map_err(|error| Failure::of(Class::Surroundings, &error))?;
        // A killed one's.
        Running::forget(&data);
        let builder = self
            .builder(&data)?
            .locked(Arc::clone(&lock))
            .progress(progress);
        let (is_ready, became_ready) = oneshot::channel();
        let stop = async move {
            tokio::select! {
                () = terminated() => {}
                () = abandoned_first(abandoned, became_ready) => {}
            }
        };
        let mut outcome = Ok(());
        let ran = builder.run(
            |parts| {
                let running = Running::new(parts, keeps);
                outcome = running
                    .write()
                    .map_err(|error| Failure::of(Class::Surroundings, &error))
                    .and_then(|()| ready(running));
                // What could not be told is ended again: `is_ready` is dropped unsent.
                if outcome.is_ok() {
                    let _ = is_ready.send(());
                }
            },
            stop,
        );
        Running::forget(&data);
        if !keeps {
            host::empty(&data);
        }
        drop(lock);
        ran.map_err(|error| not_started(&error))?;
        outcome
    }
}

/// Ends on SIGINT, SIGTERM or SIGHUP.
async fn terminated() {
    let one = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = one(SignalKind::interrupt()) => {}
        () = one(SignalKind::terminate()) => {}
        () = one(SignalKind::hangup()) => {}
    }
}

/// Ends if nobody waits for the emulator any more before it is ready, or if it could not say that
/// it is.
async fn abandoned_first(
    abandoned: Option<oneshot::Receiver<()>>,
    became_ready: oneshot::Receiver<()>,
) {
    let abandoned = async {
        match abandoned {
            Some(abandoned) => {
                let _ = abandoned.await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ready = became_ready => if ready.is_ok() {
            std::future::pending::<()>().await;
        },
        () = abandoned => {}
    }
}
