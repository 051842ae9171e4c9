//! `uploader converter prune`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::{now, print_regions};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use uploader::Class;
use uploader::converter::prune;

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
        let mut rows = Vec::new();
        let mut left = Vec::new();
        for place in &aws.places().await? {
            if !self.dry_run {
                place.say_who();
            }
            let pruned = pruned(place, self.all, None, self.dry_run).await?;
            left.extend(pruned.left.clone());
            rows.push((place.session.region.clone(), pruned));
        }
        if self.json {
            let rows = rows.iter().map(|(region, pruned)| {
                let mut all = pruned.json();
                all["region"] = json!(region);
                all
            });
            print_regions(out, &rows.collect::<Vec<_>>())?;
        } else {
            for (_, pruned) in &rows {
                pruned.print(out)?;
            }
        }
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
    let Place { session, names, .. } = place;
    let plan = prune::plan(session, names, all, replaced, now()).await?;
    let left = match dry_run || plan.is_empty() {
        true => Vec::new(),
        false => prune::carry_out(session, names, &plan).await?,
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
    pub(super) fn say(&self) {
        for it in &self.plan.amis {
            say!("uploader: deregistered {}", it.ami);
        }
        for (ami, by) in &self.plan.in_use {
            let by = by.join(", ");
            say!("uploader: {ami} stays: {by} runs of it (uploader converter prune, later)");
        }
        for it in &self.left {
            say!("uploader: left behind: {it}");
        }
    }

    fn print(&self, out: &mut impl Write) -> Result<(), Failure> {
        let done = match self.dry_run {
            true => "would take away",
            false => "took away",
        };
        let amis = self.plan.amis.iter().map(|it| &it.ami);
        for it in amis.chain(self.snapshots()) {
            writeln!(out, "{done} {it}").map_err(Failure::stdout)?;
        }
        for (ami, by) in &self.plan.in_use {
            let by = by.join(", ");
            writeln!(out, "{ami} stays: {by} runs of it").map_err(Failure::stdout)?;
        }
        if self.plan.is_empty() && self.plan.in_use.is_empty() {
            writeln!(out, "nothing to take away").map_err(Failure::stdout)?;
        }
        Ok(())
    }
}
