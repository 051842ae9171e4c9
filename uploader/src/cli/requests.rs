//! `uploader requests`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::regions::in_turn;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use uploader::agent::dead::{DeadLetter, peek};
use uploader::agent::journal::{self, JournalError};
use uploader::agent::queue::Queues;
use uploader::agent::record::{Phase, Progress, Record};

/// Show requests: open, finished, and failed with reasons
///
///   uploader requests                    the newest 50
///   uploader requests --failed           those that failed, and messages that were no requests
///   uploader requests --limit 1000 --json
///
/// What failed is also in the vault's dead-letter queue, with its reason: it is looked at and left
/// there.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Requests {
    /// Only those that failed or are failing
    #[arg(long)]
    failed: bool,
    /// How many records are looked at, the last changed first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// One region's requests.
struct Region {
    waiting: u64,
    taken: u64,
    records: Vec<(Record, Option<Progress>)>,
    broken: Vec<String>,
    dead: Vec<DeadLetter>,
}

impl Requests {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let places = aws.places().await?;
        let regions = in_turn(&places, async |place| self.look(place).await).await;
        if self.json {
            let json = |it: &Option<Region>| it.as_ref().map_or(Value::Null, Region::json);
            let all = json!({"regions": regions.json(json)});
            writeln!(out, "{all}").map_err(Failure::stdout)?;
        } else {
            regions.print(out, |it| Some(it.what.as_ref()?.text(&it.region)))?;
        }
        regions.end("nothing is known of these")
    }

    async fn look(&self, place: &Place) -> Result<Region, Failure> {
        let vault = &place.vault;
        let queues = Queues::find(vault).await?;
        let (waiting, taken) = queues.depth(&vault.session).await?;
        let (mut records, mut broken) = (Vec::new(), Vec::new());
        let ids = journal::list(vault).await?;
        for id in ids.iter().take(self.limit.try_into().unwrap_or(usize::MAX)) {
            let record = match journal::read(vault, id).await {
                Ok(Some(stored)) => stored.record,
                // Removed since it was listed.
                Ok(None) => continue,
                Err(error @ JournalError::Broken { .. }) => {
                    broken.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if self.failed && !matches!(record.phase, Phase::Failed | Phase::Failing) {
                continue;
            }
            let progress = match record.phase {
                Phase::Working => journal::progress(vault, id).await.ok().flatten(),
                _ => None,
            };
            let progress = progress.filter(|it| record.snapshot.as_ref() == Some(&it.snapshot));
            records.push((record, progress));
        }
        Ok(Region {
            waiting,
            taken,
            records,
            broken,
            dead: peek(&vault.session, &queues).await?,
        })
    }
}

impl Region {
    fn json(&self) -> Value {
        let records = self.records.iter().map(|(record, progress)| {
            let mut value = serde_json::to_value(record).unwrap_or_default();
            if let (Some(fields), Some(progress)) = (value.as_object_mut(), progress) {
                fields.insert("blocks_put".into(), progress.put.into());
                fields.insert("blocks".into(), progress.total.into());
            }
            value
        });
        let dead = self.dead.iter().map(|it| {
            json!({
                "message": it.message,
                "request": it.request,
                "reason": it.reason,
                "sent": it.sent.map(time::OffsetDateTime::unix_timestamp),
            })
        });
        json!({
            "waiting": self.waiting,
            "taken": self.taken,
            "requests": records.collect::<Vec<_>>(),
            "broken": self.broken,
            "dead_letters": dead.collect::<Vec<_>>(),
        })
    }

    fn text(&self, region: &str) -> String {
        let Region { waiting, taken, .. } = self;
        let mut lines = vec![format!("{region}: {waiting} waiting, {taken} with agents")];
        for (record, progress) in &self.records {
            lines.push(line(record, progress.as_ref()));
            lines.extend(
                record
                    .left
                    .iter()
                    .map(|left| format!("  left behind: {left}")),
            );
        }
        lines.extend(self.broken.iter().cloned());
        // What is told above needs no second line.
        let is_known = |it: &&DeadLetter| {
            let of = |record: &Record| {
                Some(record.id) == it.request && record.reason.as_ref() == Some(&it.reason)
            };
            self.records.iter().any(|(record, _)| of(record))
        };
        for letter in self.dead.iter().filter(|it| !is_known(it)) {
            let who = letter
                .request
                .map_or("not a request".to_owned(), |it| it.to_string());
            lines.push(format!("{who}  dead letter  {}", letter.reason));
        }
        lines.join("\n")
    }
}

fn line(record: &Record, progress: Option<&Progress>) -> String {
    let Record {
        id,
        ami_name,
        image,
        ..
    } = record;
    let digest = image.digest.to_string();
    let image = format!("{}@{}", image.name, &digest[..8]);
    let reason = record.reason.as_deref().unwrap_or_default();
    match record.phase {
        Phase::Finished => {
            let ami = record.ami.as_deref().unwrap_or_default();
            format!("{id}  finished  {image}  {ami}  {ami_name}")
        }
        Phase::Failed => format!("{id}  failed  {image}  {reason}"),
        Phase::Failing => format!("{id}  failing  {image}  {reason}"),
        Phase::Working => {
            let mut line = format!("{id}  open  {image}  {ami_name}");
            if let Some(it) = progress {
                line.push_str(&format!("  {} of {} blocks put", it.put, it.total));
            }
            if let Some(trouble) = &record.trouble {
                line.push_str(&format!("  tried again later: {trouble}"));
            }
            line
        }
    }
}
