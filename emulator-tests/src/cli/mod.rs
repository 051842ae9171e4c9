//! The command line: one file a command, whose doc comment is its help.

mod clock;
mod console;
mod down;
mod failure;
mod fault;
mod host;
mod port_forward;
mod ports;
mod ps;
mod running;
mod serve;
mod status;
mod up;

pub(crate) use cli_support::Failure;
pub(crate) use error_class::Class;
pub(crate) use running::Running;

use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;

/// A local AWS, whose images and snapshots hold real bytes
///
/// One endpoint on loopback: LocalStack for S3, KMS, SQS, IAM, STS, SSM and networks; EC2's images,
/// snapshots, volumes and instances and the EBS direct API of its own, as strict as AWS.
///
///   eval "$(emulator up)"         starts it and points AWS clients at it
///   aws ec2 describe-images       as usual
///   emulator ps                   instances, which are booted in QEMU
///   emulator down                 ends it
///
/// Exit codes: 0 done, 1 the work failed, 2 the input is wrong, 3 something is missing here.
#[derive(Debug, Parser)]
#[command(name = "emulator", version, verbatim_doc_comment)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Down(down::Down),
    Status(status::Status),
    /// Let requests fail by rule, as they do on AWS now and then
    Fault(On<fault::FaultCommand>),
    /// List instances: what they are, where they stand, and which ports lead into them
    ///
    /// The instances of all accounts and regions, but for those that are terminated. One that is
    /// `queued` waits until another guest ends; a `record` has no machine: its image holds nothing to
    /// boot, or the emulator boots none.
    Ps(On<ps::Ps>),
    /// Print what an instance wrote to its serial console
    ///
    /// Of the current or last run of its machine, the last 256 KiB at least. Control characters are
    /// passed on as they came.
    Console(On<console::Console>),
    /// Let a port of this machine lead to a port of an instance, until Ctrl-C
    ///
    /// As far as its security groups let this machine in: it comes from 127.0.0.1, which a rule for
    /// 0.0.0.0/0 covers, and one for 127.0.0.1/32.
    PortForward(On<port_forward::PortForward>),
    /// List the TCP ports of an instance that something listens on
    ///
    /// All 65535 are asked, from the instance's own network: what counts is what its programs listen
    /// on, whatever security groups let in. Takes some seconds; two minutes at most, where the
    /// instance does not answer.
    Ports(On<ports::Ports>),
    /// Ask for the emulator's time, or put it forward
    Clock(On<clock::ClockCommand>),
    #[command(hide = true)]
    Serve(serve::Serve),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout();
        match &self.command {
            Command::Up(args) => args.run(&mut out)?,
            Command::Down(args) => args.run(&mut out)?,
            Command::Status(args) => args.run(&mut out)?,
            Command::Fault(on) => on.command.run(&on.running()?, &mut out)?,
            Command::Ps(on) => on.command.run(&on.running()?, &mut out)?,
            Command::Console(on) => on.command.run(&on.running()?, &mut out)?,
            Command::PortForward(on) => on.command.run(&on.running()?, &mut out)?,
            Command::Ports(on) => on.command.run(&on.running()?, &mut out)?,
            Command::Clock(on) => on.command.run(&on.running()?, &mut out)?,
            Command::Serve(args) => args.run(&mut out)?,
        }
        out.flush().map_err(Failure::stdout)
    }
}

/// Which emulator is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArg {
    /// The directory with its state [default: one for each user, emptied by `down`]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

impl DataArg {
    /// The directory, as an absolute path.
    fn dir(&self) -> Result<PathBuf, Failure> {
        match &self.data {
            Some(data) => std::path::absolute(data).map_err(|error| {
                Failure::new(Class::Input, format!("{}: {error}", data.display()))
            }),
            None => host::run_dir(),
        }
    }
}

/// A command for an emulator that runs.
#[derive(Debug, Args)]
struct On<T: Args> {
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    command: T,
}

impl<T: Args> On<T> {
    fn running(&self) -> Result<Running, Failure> {
        let data = self.data.dir()?;
        Running::find(&data)?.ok_or_else(|| {
            let message = format!("none runs on {}", data.display());
            Failure::new(Class::Surroundings, message).hint("emulator up starts one")
        })
    }
}
