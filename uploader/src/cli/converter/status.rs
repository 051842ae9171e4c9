//! `uploader converter status`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::super::regions::in_turn;
use super::{now, print_regions};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use time::OffsetDateTime;
use uploader::agent::heartbeat::{Activity, Beat};
use uploader::converter_ami::current::Found;
use uploader::converter_ami::version::is_older;
use uploader::fleet::status::{self, age};

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
        let regions = in_turn(&aws.places().await?, async |place| {
            let mut status = status::look(&place.vault).await?;
            if !self.all {
                status.instances.retain(|(it, _)| it.has_disk());
            }
            Ok((status, now()))
        })
        .await;
        if self.json {
            let json = |it: &Option<Looked>| it.as_ref().map_or(Value::Null, as_json);
            print_regions(out, &regions.json(json))?;
        } else {
            let is_one = regions.is_one();
            regions.print(out, |it| {
                let mut lines = lines(it.what.as_ref()?);
                if !is_one {
                    lines.insert(0, format!("{}:", it.region));
                }
                Some(lines.join("\n"))
            })?;
        }
        let mut looked = regions.0.iter().filter_map(|it| it.what.as_ref());
        let is_there =
            looked.all(|(it, _)| matches!(it.ami, Found::Available(_) | Found::Pending(_)));
        regions.end("nothing is known of these")?;
        if is_there {
            return Ok(());
        }
        out.flush().map_err(Failure::stdout)?;
        Err(Failure::silent(1))
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

/// What was seen in a region, and when.
type Looked = (status::Status, OffsetDateTime);

fn as_json((status, now): &Looked) -> Value {
    let now = *now;
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

fn lines((status, now): &Looked) -> Vec<String> {
    let now = *now;
    let ami = match (&status.ami, status.ami.current()) {
        (_, None) => "no AMI: uploader converter bootstrap makes one".to_owned(),
        (Found::Gone(_), Some(it)) => {
            let ami = &it.ami;
            format!("{ami} is gone: uploader converter bootstrap makes another")
        }
        (found, Some(it)) => {
            let older = match is_older(&it.program_version, OURS) {
                true => format!(", older than this one ({OURS}): uploader converter bootstrap"),
                false => String::new(),
            };
            let (state, version) = (state(found), &it.program_version);
            format!("{} {state}, uploader {version}{older}", it.ami)
        }
    };
    let mut lines = vec![ami];
    for (it, beat) in &status.instances {
        let beat = match beat {
            Some(beat) => said(beat, now),
            None => "no heartbeat".to_owned(),
        };
        let (id, state, kind, zone) = (&it.id, &it.state, &it.kind, &it.zone);
        lines.push(format!("{id} {state}, {kind} in {zone}, {beat}"));
    }
    for it in &status.others {
        let beat = said(it, now);
        lines.push(format!(
            "{} is no instance of EC2's, {beat}",
            it.heartbeat.id
        ));
    }
    if status.instances.is_empty() && status.others.is_empty() {
        lines.push("no converter runs".to_owned());
    }
    lines
}

fn said(beat: &Beat, now: OffsetDateTime) -> String {
    let activity = match beat.heartbeat.activity {
        Activity::Idle => "idle".to_owned(),
        Activity::Busy => format!("busy with {}", beat.heartbeat.requests),
        Activity::Leaving => "leaving".to_owned(),
    };
    format!("{activity}, heartbeat {} s ago", age(beat, now))
}
