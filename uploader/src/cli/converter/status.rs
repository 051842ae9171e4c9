//! `uploader converter status`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::{heading, now, print_regions};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use time::OffsetDateTime;
use uploader::converter::current::Found;
use uploader::converter::heartbeat::{Activity, Beat};
use uploader::converter::status::{self, age, is_older};

/// Show the converter's AMI, its instances, and whether they live
///
/// Exit code 1 if no converter can be launched: there is no AMI, or it is gone. "older" means that
/// the program in the AMI is of an older version than this one: uploader converter bootstrap makes
/// a new one.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Instances that are terminated, too, as long as EC2 lists them
    #[arg(long)]
    all: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// This program's version.
const OURS: &str = env!("CARGO_PKG_VERSION");

impl Status {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let places = aws.places().await?;
        let mut regions = Vec::new();
        let mut is_there = true;
        for place in &places {
            let mut status = status::look(&place.session, &place.names).await?;
            if !self.all {
                status.instances.retain(|(it, _)| it.has_disk());
            }
            is_there &= matches!(status.ami, Found::Available(_) | Found::Pending(_));
            let now = now();
            if self.json {
                regions.push(as_json(&place.session.region, &status, now));
                continue;
            }
            heading(out, &places, place)?;
            print(&status, now, out).map_err(Failure::stdout)?;
        }
        if self.json {
            print_regions(out, &regions)?;
        }
        if is_there {
            return Ok(());
        }
        out.flush().map_err(Failure::stdout)?;
        Err(Failure::said(1))
    }
}

fn state(found: &Found) -> &'static str {
    match found {
        Found::None => "none",
        Found::Gone(_) => "gone",
        Found::Pending(_) => "pending",
        Found::Available(_) => "available",
    }
}

fn as_json(region: &str, status: &status::Status, now: OffsetDateTime) -> Value {
    let current = status.ami.current();
    let ami = json!({
        "state": state(&status.ami),
        "ami": current.map(|it| &it.ami),
        "snapshot": current.map(|it| &it.snapshot),
        "digest": current.map(|it| &it.digest),
        "program_version": current.map(|it| &it.program_version),
        "program_sha256": current.map(|it| &it.program_sha256),
        "made": current.map(|it| it.made.unix_timestamp()),
        "older": current.map(|it| is_older(&it.program_version, OURS)),
    });
    let instances = status.instances.iter().map(|(it, beat)| {
        json!({
            "id": it.id,
            "state": it.state,
            "type": it.kind,
            "zone": it.zone,
            "ami": it.ami,
            "launched": it.launched.map(OffsetDateTime::unix_timestamp),
            "heartbeat": beat.as_ref().map(|it| beat_json(it, now)),
        })
    });
    let others = status.others.iter().map(|it| {
        let mut beat = beat_json(it, now);
        beat["id"] = json!(it.heartbeat.id);
        beat
    });
    json!({
        "region": region,
        "ami": ami,
        "instances": instances.collect::<Vec<_>>(),
        "others": others.collect::<Vec<_>>(),
    })
}

fn beat_json(beat: &Beat, now: OffsetDateTime) -> Value {
    json!({
        "age": age(beat, now),
        "activity": beat.heartbeat.activity,
        "requests": beat.heartbeat.requests,
        "program_version": beat.heartbeat.program,
    })
}

fn print(
    status: &status::Status,
    now: OffsetDateTime,
    out: &mut impl Write,
) -> std::io::Result<()> {
    match (&status.ami, status.ami.current()) {
        (_, None) => {
            writeln!(out, "no AMI: uploader converter bootstrap makes one")?;
        }
        (Found::Gone(_), Some(it)) => writeln!(
            out,
            "{} is gone: uploader converter bootstrap makes another",
            it.ami
        )?,
        (found, Some(it)) => {
            let older = match is_older(&it.program_version, OURS) {
                true => format!(", older than this one ({OURS}): uploader converter bootstrap"),
                false => String::new(),
            };
            let (state, version) = (state(found), &it.program_version);
            writeln!(out, "{} {state}, uploader {version}{older}", it.ami)?;
        }
    }
    for (it, beat) in &status.instances {
        let beat = match beat {
            Some(beat) => said(beat, now),
            None => "no heartbeat".to_owned(),
        };
        let (id, state, kind, zone) = (&it.id, &it.state, &it.kind, &it.zone);
        writeln!(out, "{id} {state}, {kind} in {zone}, {beat}")?;
    }
    for it in &status.others {
        let beat = said(it, now);
        writeln!(out, "{} is no instance of EC2's, {beat}", it.heartbeat.id)?;
    }
    if status.instances.is_empty() && status.others.is_empty() {
        writeln!(out, "no converter runs")?;
    }
    Ok(())
}

fn said(beat: &Beat, now: OffsetDateTime) -> String {
    let activity = match beat.heartbeat.activity {
        Activity::Idle => "idle".to_owned(),
        Activity::Busy => format!("busy with {}", beat.heartbeat.requests),
        Activity::Leaving => "leaving".to_owned(),
    };
    format!("{activity}, heartbeat {} s ago", age(beat, now))
}
