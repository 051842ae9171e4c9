//! `uploader converter prune`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::regions::in_turn;
use super::{now, print_regions};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use uploader::Class;
use uploader::converter_ami::prune;

/// Take away converter AMIs that have had their day, with their snapshots
///
///   uploader converter prune --dry-run
///   uploader converter prune              those that another took the place of, and leftovers
///   uploader converter prune --all        the one that is in use, too: no converter can be launched
///
/// What an instance runs of stays. What is younger than an hour stays as well, without --all: it may
/// be somebody's bootstrap.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Prune {
    /// The converter's present AMI, too
    #[arg(long)]
    all: bool,
    /// Say what would be taken away, and take nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was taken away, or would be.
pub(super) struct Pruned {
    plan: prune::Prune,
    left: Vec<String>,
    dry_run: bool,
}

impl Prune {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let regions = in_turn(&aws.places().await?, async |place| {
            if !self.dry_run {
                place.say_who();
            }
            pruned(place, self.all, None, self.dry_run).await
        })
        .await;
        if self.json {
            let json = |it: &Option<Pruned>| it.as_ref().map_or(Value::Null, Pruned::json);
            print_regions(out, &regions.json(json))?;
        } else {
            regions.print(out, |it| it.what.as_ref().and_then(Pruned::text))?;
        }
        let all = regions.0.iter().filter_map(|it| it.what.as_ref());
        let left: Vec<String> = all.flat_map(|it| it.left.clone()).collect();
        regions.end("the same command takes away there what it can")?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                Class::Failed,
                format!("left behind: {}", left.join(", ")),
            )),
        }
    }
}

/// Prunes in one region.
pub(super) async fn pruned(
    place: &Place,
    all: bool,
    replaced: Option<&str>,
    dry_run: bool,
) -> Result<Pruned, Failure> {
    let vault = &place.vault;
    let plan = prune::plan(vault, all, replaced, now()).await?;
    let left = match dry_run || plan.is_empty() {
        true => Vec::new(),
        false => prune::carry_out(vault, &plan).await?,
    };
    Ok(Pruned {
        plan,
        left,
        dry_run,
    })
}

impl Pruned {
    pub(super) fn json(&self) -> Value {
        let amis = self.plan.amis.iter();
        let in_use = self.plan.in_use.iter();
        json!({
            "amis": amis.map(|it| &it.ami).collect::<Vec<_>>(),
            "snapshots": self.snapshots(),
            "in_use": in_use.map(|(ami, by)| json!({"ami": ami, "instances": by})).collect::<Vec<_>>(),
            "left": self.left,
        })
    }

    fn snapshots(&self) -> Vec<&String> {
        let of_amis = self.plan.amis.iter().filter_map(|it| it.snapshot.as_ref());
        of_amis.chain(&self.plan.snapshots).collect()
    }

    /// The story, where it is not the result.
    pub(super) fn say(&self, place: &Place) {
        for it in &self.plan.amis {
            place.say(&format!("deregistered {}", it.ami));
        }
        for (ami, by) in &self.plan.in_use {
            let by = by.join(", ");
            place.say(&format!(
                "{ami} stays: {by} runs of it (uploader converter prune, later)"
            ));
        }
        for it in &self.left {
            place.say(&format!("left behind: {it}"));
        }
    }

    /// Its lines, if it has any.
    fn text(&self) -> Option<String> {
        let done = match self.dry_run {
            true => "would take away",
            false => "took away",
        };
        let amis = self.plan.amis.iter().map(|it| &it.ami);
        let gone = amis.chain(self.snapshots());
        let mut lines: Vec<String> = gone.map(|it| format!("{done} {it}")).collect();
        for (ami, by) in &self.plan.in_use {
            let by = by.join(", ");
            lines.push(format!("{ami} stays: {by} runs of it"));
        }
        if self.plan.is_empty() && self.plan.in_use.is_empty() {
            lines.push("nothing to take away".to_owned());
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}
