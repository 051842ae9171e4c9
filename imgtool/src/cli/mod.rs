//! The command line: one file a command, whose doc comment is its help.

mod build;
mod cat;
mod extract;
mod init;
mod inspect;
mod lock;
mod ls;
mod plan;
mod run;
mod unpack;

pub(crate) use cli_support::Failure;

use clap::{Parser, Subcommand};
use std::io::Write;

/// From an application to a bootable x86_64 disk image
///
/// imgtool builds a raw disk that boots under BIOS and UEFI from a static binary, a directory, a
/// root file system archive or a container image: offline, without root, the same bytes
/// everywhere.
///
///   imgtool build ./server -o server.img     a bootable disk of one program
///   imgtool run server.img --port 8080:8080  boots it in QEMU
///   imgtool inspect server.img               what is in it
///   imgtool ls server.img                    its files
///   imgtool extract server.img -C files      copies them out
///
/// Exit codes: 0 done, 1 the work failed, 2 the input is wrong, 3 something is missing here.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Run(run::Run),
    Plan(plan::Plan),
    Inspect(inspect::InspectArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Extract(extract::ExtractArgs),
    Lock(lock::LockArgs),
    Init(init::InitArgs),
    Unpack(unpack::Unpack),
}

impl Cli {
    /// What is left if a signal ends the command.
    pub(crate) fn left(&self) -> &'static str {
        match self.command {
            Command::Extract(_) => "files that were extracted are whole",
            _ => "nothing was left",
        }
    }

    /// Does what was asked.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match &self.command {
            Command::Build(args) => args.run(&mut out)?,
            // The guest's console is written from another thread.
            Command::Run(args) => {
                drop(out);
                return args.run();
            }
            Command::Plan(args) => args.run(&mut out)?,
            Command::Inspect(args) => inspect::run(args, &mut out)?,
            Command::Ls(args) => args.run(&mut out)?,
            Command::Cat(args) => args.run(&mut out)?,
            Command::Extract(args) => args.run(&mut out)?,
            Command::Lock(args) => args.run(&mut out)?,
            Command::Init(args) => init::run(args, &mut out)?,
            Command::Unpack(args) => args.run(&mut out)?,
        }
        out.flush().map_err(Failure::stdout)
    }
}
