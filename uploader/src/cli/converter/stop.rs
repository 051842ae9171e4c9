//! `uploader converter stop`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::regions::{InRegion, Regions, in_turn};
use super::print_regions;
use clap::Args;
use cli_support::{print_text, say};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use uploader::Class;
use uploader::aws::ec2::instances;
use uploader::fleet::status;

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
        let places = aws.places().await?;
        // All are looked at before the first is touched.
        let found = in_turn(&places, async |place| {
            let mut status = status::look(&place.vault).await?;
            status.instances.retain(|(it, _)| it.is_there());
            Ok(status.instances)
        })
        .await;
        let count: usize = found.0.iter().flat_map(|it| &it.what).map(Vec::len).sum();
        if count > 0 && !self.dry_run && !self.yes {
            for InRegion { region, what, .. } in &found.0 {
                for (it, beat) in what.iter().flatten() {
                    let requests = beat.as_ref().map_or(0, |it| it.heartbeat.requests);
                    say!("{} in {region}, {}, {requests} requests", it.id, it.state);
                }
            }
            if !asked(count)? {
                say!("uploader: nothing was terminated");
                return Err(Failure::silent(1));
            }
        }
        let mut regions = Vec::new();
        for (place, found) in places.iter().zip(found.0) {
            let mut it = InRegion {
                region: found.region,
                what: Vec::new(),
                failure: found.failure,
            };
            if let Some(instances) = found.what {
                let ids = instances.into_iter().map(|(it, _)| it.id).collect();
                let done = self.terminate(place, ids, &mut it.what).await;
                it = it.ended(place, done);
            }
            regions.push(it);
        }
        let regions = Regions(regions);
        let (key, done) = match self.dry_run {
            true => ("would_terminate", "would terminate"),
            false => ("terminated", "terminated"),
        };
        if self.json {
            print_regions(out, &regions.json(|ids| json!({key: ids})))?;
        } else {
            regions.print(out, |it| {
                let lines = it.what.iter().map(|id| format!("{done} {id}"));
                let lines: Vec<String> = lines.collect();
                (!lines.is_empty()).then(|| lines.join("\n"))
            })?;
            if count == 0 && regions.0.iter().all(|it| it.failure.is_none()) {
                writeln!(out, "no converter runs").map_err(Failure::stdout)?;
            }
        }
        regions.end("the same command terminates what is left there")
    }

    /// Terminates these; those that it did are in `done`, also if it fails.
    async fn terminate(
        &self,
        place: &Place,
        ids: Vec<String>,
        done: &mut Vec<String>,
    ) -> Result<(), Failure> {
        if !self.dry_run && !ids.is_empty() {
            place.say_who();
        }
        for id in ids {
            if !self.dry_run {
                instances::terminate(&place.vault.session, &id).await?;
            }
            done.push(id);
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
    print_text(&format!("Terminate {what}? [y/N] "));
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    read.map_err(|error| Failure::new(Class::Surroundings, format!("standard input: {error}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
