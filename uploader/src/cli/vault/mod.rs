//! `uploader vault`

mod gc;
mod init;
mod list;
mod remove;
mod status;
mod text;

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::interrupt::interruptible;
use super::regions::Shown;
use clap::{Args, Subcommand};
use cli_support::say;
use std::convert::Infallible;
use std::io::Write;
use tokio_util::sync::CancellationToken;
use uploader::Class;

/// The vault: where images are kept, and what keeps them safe
///
/// A vault is one per account and region: a bucket encrypted with a KMS key of the account, two
/// queues, a key that signs requests, and a role for the converter. docs/security.md says who may
/// do what with it.
///
///   uploader vault init --dry-run    what would be made
///   uploader vault init              makes what is missing, mends what was changed
///   uploader vault status            exit code 1 if something is not as init made it
///   uploader vault list              images in it
///   uploader vault gc --dry-run      what nobody needs any more
///   uploader vault remove --yes      takes it away
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Vault {
    #[command(subcommand)]
    command: VaultCommand,
}

#[derive(Debug, Subcommand)]
enum VaultCommand {
    Init(init::Init),
    Status(status::Status),
    List(list::List),
    Gc(gc::Gc),
    Remove(remove::Remove),
}

impl Vault {
    pub(super) fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::of(Class::Surroundings, &error))?;
        let done = runtime.block_on(async {
            match &self.command {
                VaultCommand::Init(args) => {
                    finishing(async |cancel| args.run(&cancel, aws, out).await).await
                }
                VaultCommand::Status(args) => args.run(aws, out).await,
                VaultCommand::List(args) => args.run(aws, out).await,
                VaultCommand::Gc(args) => {
                    finishing(async |cancel| args.run(&cancel, aws, out).await).await
                }
                VaultCommand::Remove(args) => {
                    finishing(async |cancel| args.run(&cancel, aws, out).await).await
                }
            }
        });
        // Whoever interrupts twice does not wait for a name to be looked up.
        runtime.shutdown_background();
        done
    }
}

/// Runs `work`, whose token is cancelled by the first signal to end, so that the change at hand is
/// finished; the second does not wait for it.
async fn finishing<T>(
    work: impl AsyncFnOnce(CancellationToken) -> Result<T, Failure>,
) -> Result<T, Failure> {
    interruptible(async |cancel| {
        let told = async {
            cancel.cancelled().await;
            say!("uploader: interrupted: finishing the change at hand");
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            done = work(cancel.clone()) => {
                if done.as_ref().is_err_and(Failure::is_interrupt) {
                    say!("uploader: interrupted: run it again, it goes on from there");
                }
                done
            }
            never = told => match never {},
        }
    })
    .await
}

/// A region's lines, below its name where there are several.
fn headed(place: &Place, lines: &str) -> Shown {
    Shown::Text(match place.is_one_of_several() {
        true => format!("{}:\n{lines}", place.vault.session.region),
        false => lines.to_owned(),
    })
}
