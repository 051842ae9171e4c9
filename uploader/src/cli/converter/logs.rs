//! `uploader converter logs`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::super::interrupt::interruptible;
use clap::Args;
use cli_support::say;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;
use uploader::Class;
use uploader::aws::ec2::instances::Instance;
use uploader::fleet::logs::{console, news, tail};
use uploader::fleet::status;

/// How often is looked for more.
const EVERY: Duration = Duration::from_secs(2);

/// Show the end of the converters' consoles
///
///   uploader converter logs                         of all that there are
///   uploader converter logs i-0123456789abcdef0 --lines 500
///   uploader converter logs --follow                until Ctrl-C, or until the last one is gone
///
/// EC2 keeps the last 64 KiB, for an hour after an instance has ended, too. Of types of before Nitro
/// (t2.micro) it shows what there was some minutes ago.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Logs {
    /// The instance [default: all]
    #[arg(value_name = "INSTANCE")]
    instance: Option<String>,
    /// So many lines of each
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
    /// Show what comes, too
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let place = aws.place().await?;
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        let listed = async || -> Result<Vec<Instance>, Failure> {
            let mut all = status::of_vault(&place.vault).await?;
            all.retain(|it| self.instance.as_ref().is_none_or(|id| *id == it.id));
            Ok(all)
        };
        interruptible(async |cancel| {
            let first = listed().await?;
            if let (Some(id), true) = (&self.instance, first.is_empty()) {
                let vault = &place.vault.names.vault;
                return Err(Failure::new(
                    Class::Input,
                    format!("{id} is no converter of {vault}, or is gone for long"),
                )
                .hint("uploader converter status --all lists them"));
            }
            if first.is_empty() && !self.follow {
                say!("uploader: there are no converters");
            }
            let mut all = first;
            loop {
                for it in &all {
                    let text = console(&place.vault.session, &it.id).await?;
                    let more = match shown.get(&it.id) {
                        Some(before) => news(before, &text),
                        None => tail(&text, self.lines),
                    };
                    write(out, &it.id, more, all.len() > 1 || self.follow)?;
                    shown.insert(it.id.clone(), text);
                }
                let is_over = self.instance.is_some() && all.iter().all(|it| !it.has_disk());
                if !self.follow || is_over {
                    return Ok(());
                }
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = cancel.cancelled() => return Ok(()),
                }
                all = listed().await?;
            }
        })
        .await
    }
}

/// Each line, with whose it is where there are several.
fn write(out: &mut impl Write, id: &str, text: &str, several: bool) -> Result<(), Failure> {
    let lines = text.lines().try_for_each(|line| match several {
        true => writeln!(out, "{id}: {line}"),
        false => writeln!(out, "{line}"),
    });
    lines.and_then(|()| out.flush()).map_err(Failure::stdout)
}
