//! The command line: one file a command, whose doc comment is its help.

mod agent;
mod aws_args;
mod convert;
mod converter;
mod follow;
mod from_instance;
mod image_args;
mod interrupt;
mod keeper;
mod launch;
mod log;
mod memory;
mod publish;
mod push;
mod regions;
mod requests;
mod snapshot_key;
mod table;
mod tunnel;
mod vault;
mod verify;

pub(crate) use cli_support::Failure;

use clap::{Parser, Subcommand};
use std::io::Write;
use tracing_subscriber::filter::Targets;
use uploader::Class;
use uploader::converter_ami::image::ARGUMENTS;

/// From a disk image to an encrypted AMI
///
/// uploader keeps images in a vault of your own account (S3, encrypted with a key of yours), and
/// has a converter there turn them into encrypted AMIs.
///
///   uploader vault init                      once per account and region
///   uploader converter bootstrap             likewise: the converter's AMI
///   uploader push web.pack                   sends what the vault lacks
///   uploader convert web                     an AMI of it
///   uploader verify ami-0123456789abcdef0    reads it back, block by block
///   uploader launch ami-0123456789abcdef0    boots it, and waits for its answer
///
/// Credentials, region and endpoint are found as the AWS CLI finds them. Exit codes: 0 done, 1 the
/// work failed, 2 the input is wrong, 3 something around it is (credentials, permissions, network). Where
/// several regions failed, it is the highest.
#[derive(Debug, Parser)]
#[command(name = "uploader", version, verbatim_doc_comment)]
pub(crate) struct Cli {
    #[command(flatten)]
    aws: aws_args::AwsArgs,
    /// What is told on standard error beside the story: a level, or TARGET=LEVEL with commas
    #[arg(long, global = true, value_name = "FILTER", default_value = log::DEFAULT, value_parser = log::filter)]
    log: Targets,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Vault(vault::Vault),
    Push(push::Push),
    Convert(convert::Convert),
    Launch(launch::Launch),
    Publish(Box<publish::Publish>),
    Requests(requests::Requests),
    Agent(agent::AgentArgs),
    Converter(converter::Converter),
    Verify(verify::Verify),
}

impl Cli {
    /// What the command line says. An instance's has one form, which is known without the definitions
    /// of all commands: to go through them is a million instructions, each run once. Natively that is
    /// 0.7 ms, but 25 ms (565 and 540 ms of processor time until the first poll, the best of 12 runs)
    /// under QEMU's translator, where the converter's boot has a limit.
    pub(crate) fn read() -> Result<Cli, Failure> {
        match std::env::args_os().skip(1).eq(ARGUMENTS) {
            true => Cli::on_instance(),
            false => Ok(Cli::parse()),
        }
    }

    /// What [`ARGUMENTS`] say.
    fn on_instance() -> Result<Cli, Failure> {
        let log = log::filter(log::DEFAULT).map_err(|why| Failure::new(Class::Failed, why))?;
        Ok(Cli {
            // User data says it.
            aws: aws_args::AwsArgs::default(),
            log,
            command: Command::Agent(agent::AgentArgs::on_instance()),
        })
    }

    /// Does what was asked.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let done = self.carry_out();
        let Some(profile) = self.aws.profile() else {
            return done;
        };
        // Who calls by a profile has to name it to sign in again.
        let named = format!("aws sso login --profile {profile}");
        done.map_err(|failure| failure.map_hint(|hint| hint.replace("aws sso login", &named)))
    }

    fn carry_out(&self) -> Result<(), Failure> {
        log::start(&self.log);
        if let Command::Vault(vault) = &self.command {
            return vault.run(&self.aws, &mut std::io::stdout());
        }
        let failed = |error| Failure::new(Class::Failed, format!("no threads: {error}"));
        let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
        let done = runtime.block_on(async {
            let mut out = std::io::stdout();
            match &self.command {
                // It has its own threads.
                Command::Vault(_) => {}
                Command::Publish(publish) => publish.run(&self.aws, &mut out).await?,
                Command::Convert(convert) => convert.run(&self.aws, &mut out).await?,
                Command::Launch(launch) => launch.run(&self.aws, &mut out).await?,
                Command::Requests(requests) => requests.run(&self.aws, &mut out).await?,
                Command::Agent(agent) => agent.run(&self.aws, &mut out).await?,
                Command::Converter(converter) => converter.run(&self.aws, &mut out).await?,
                Command::Verify(verify) => verify.run(&self.aws, &mut out).await?,
                Command::Push(push) => push.run(&self.aws, &mut out).await?,
            }
            out.flush().map_err(Failure::stdout)
        });
        // What still reads or hashes is not waited for.
        runtime.shutdown_background();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_an_instance_the_defaults_are_those_of_the_command_line() {
        let said = Cli::parse_from(["uploader"].iter().chain(&ARGUMENTS));
        let known = Cli::on_instance().unwrap();
        assert_eq!(
            format!("{:?}", known.command),
            format!("{:?}", said.command)
        );
        assert_eq!(format!("{:?}", known.log), format!("{:?}", said.log));
    }
}
