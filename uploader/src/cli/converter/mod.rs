//! `uploader converter`

mod bootstrap;
mod build;
mod logs;
mod make_image;
mod prune;
mod status;
mod stop;

use super::Failure;
use super::aws_args::AwsArgs;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::io::Write;
use time::OffsetDateTime;

/// The converter's AMI and its instances
///
/// A converter is an instance that takes requests from the vault's queue and makes AMIs. Its own AMI
/// is made here, of this program; convert and publish launch it when there is work, and it ends when
/// there is none.
///
///   uploader converter bootstrap      makes the AMI, or a new one if this program is another
///   uploader converter status         the AMI, instances, and whether they live
///   uploader converter logs           the end of their consoles
///   uploader converter stop           terminates them
///   uploader converter prune --all    takes the AMI away
///   uploader converter build          the AMI's image as a file, to look at
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Converter {
    #[command(subcommand)]
    command: ConverterCommand,
}

#[derive(Debug, Subcommand)]
enum ConverterCommand {
    Build(build::Build),
    Bootstrap(bootstrap::Bootstrap),
    Status(status::Status),
    Logs(logs::Logs),
    Stop(stop::Stop),
    Prune(prune::Prune),
}

impl Converter {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        match &self.command {
            ConverterCommand::Build(args) => args.run(out).await,
            ConverterCommand::Bootstrap(args) => args.run(aws, out).await,
            ConverterCommand::Status(args) => args.run(aws, out).await,
            ConverterCommand::Logs(args) => args.run(aws, out).await,
            ConverterCommand::Stop(args) => args.run(aws, out).await,
            ConverterCommand::Prune(args) => args.run(aws, out).await,
        }
    }
}

/// One line of JSON, `{"regions":[…]}`.
fn print_regions(out: &mut impl Write, regions: &[Value]) -> Result<(), Failure> {
    let all = serde_json::json!({"regions": regions});
    writeln!(out, "{all}").map_err(Failure::stdout)
}

/// The time.
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
