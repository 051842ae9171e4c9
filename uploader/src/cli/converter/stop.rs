//! `uploader converter stop`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::print_regions;
use clap::Args;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Write};
use uploader::Class;
use uploader::converter::instances;
use uploader::converter::status;

/// Terminate the converters
///
///   uploader converter stop --dry-run       says which
///   uploader converter stop                 asks first
///   uploader converter stop --yes
///
/// No request is lost: one that a converter is at work on comes again after some minutes, and the
/// next converter goes on with it. uploader convert and publish launch one.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Stop {
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Say which would be terminated, and terminate none
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Stop {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let mut found = Vec::new();
        // All are looked at before the first is touched.
        for place in aws.places().await? {
            let mut status = status::look(&place.session, &place.names).await?;
            status.instances.retain(|(it, _)| it.is_there());
            found.push((place, status.instances));
        }
        let count: usize = found.iter().map(|(_, all)| all.len()).sum();
        if count > 0 && !self.dry_run && !self.yes {
            for (place, all) in &found {
                for (it, beat) in all {
                    let requests = beat.as_ref().map_or(0, |it| it.heartbeat.requests);
                    let region = &place.session.region;
                    say!("{} in {region}, {}, {requests} requests", it.id, it.state);
                }
            }
            if !asked(count)? {
                say!("uploader: nothing was terminated");
                return Err(Failure::said(1));
            }
        }
        let mut regions: Vec<Value> = Vec::new();
        for (place, all) in &found {
            let ids: Vec<String> = all.iter().map(|(it, _)| it.id.clone()).collect();
            if !self.dry_run && !ids.is_empty() {
                place.say_who();
                for id in &ids {
                    instances::terminate(&place.session, id).await?;
                }
            }
            if !self.json {
                let done = match self.dry_run {
                    true => "would terminate",
                    false => "terminated",
                };
                for id in &ids {
                    writeln!(out, "{done} {id}").map_err(Failure::stdout)?;
                }
            }
            let region = &place.session.region;
            let key = match self.dry_run {
                true => "would_terminate",
                false => "terminated",
            };
            regions.push(json!({"region": region, key: ids}));
        }
        if self.json {
            return print_regions(out, &regions);
        }
        if count == 0 {
            writeln!(out, "no converter runs").map_err(Failure::stdout)?;
        }
        Ok(())
    }
}

/// Asks, if somebody is there.
fn asked(count: usize) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new(
            Class::Input,
            "--yes is needed: there is nobody to be asked",
        ));
    }
    let what = match count {
        1 => "it".to_owned(),
        count => format!("these {count}"),
    };
    super::super::say::write(&format!("Terminate {what}? [y/N] "));
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    read.map_err(|error| Failure::new(Class::Surroundings, format!("standard input: {error}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
