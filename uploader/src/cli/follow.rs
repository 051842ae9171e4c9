//! What becomes of a request, as its record tells.

use super::Failure;
use super::aws_args::Place;
use super::progress::Line;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::journal::{self, JournalError};
use uploader::agent::record::{Phase, Progress, Record};
use uploader::request::Request;

/// How often the record is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When somebody is told that no agent is there.
const NOBODY_AFTER: Duration = Duration::from_secs(30);

/// A request that was carried out.
pub(crate) struct Followed {
    pub(crate) ami: String,
    pub(crate) snapshot: String,
}

/// Waits until the request is finished.
///
/// # Errors
/// It failed, or nobody finished it in time, or Ctrl-C.
pub(crate) async fn follow(
    place: &Place,
    request: &Request,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Followed, Failure> {
    let began = Instant::now();
    let mut shown = Shown::default();
    let followed = loop {
        let record = match journal::read(&place.session, &place.names, &request.id).await {
            Ok(stored) => stored.map(|it| it.record),
            // It is only looked at: the agent goes on meanwhile.
            Err(JournalError::Aws(error)) if error.is_transient() => None,
            Err(error) => break Err(error.into()),
        };
        if let Some(record) = &record
            && let Some(ended) = ended(record)
        {
            break ended;
        }
        shown.update(place, record.as_ref(), began.elapsed()).await;
        let id = request.id;
        if began.elapsed() >= patience {
            let seconds = patience.as_secs();
            let what = match record {
                Some(_) => "is not finished",
                None => "was taken by no agent",
            };
            let message = format!("request {id} {what} after {seconds} s");
            let hint = "the request stays: uploader requests shows what becomes of it; uploader \
                        agent carries requests out";
            break Err(Failure::new(Class::Failed, message).hint(Some(hint.to_owned())));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cancel.cancelled() => {
                eprintln!(
                    "uploader: not waiting any more; request {id} goes on, and uploader requests \
                     shows what becomes of it"
                );
                break Err(Failure::interrupted());
            }
        }
    };
    shown.finish();
    followed
}

/// How a request ended, if it did.
fn ended(record: &Record) -> Option<Result<Followed, Failure>> {
    match record.phase {
        Phase::Working | Phase::Failing => None,
        Phase::Finished => Some(Ok(Followed {
            ami: record.ami.clone().unwrap_or_default(),
            snapshot: record.snapshot.clone().unwrap_or_default(),
        })),
        Phase::Failed => {
            let reason = record
                .reason
                .as_deref()
                .unwrap_or("for no reason that was told");
            let mut message = format!("request {} failed: {reason}", record.id);
            if !record.left.is_empty() {
                message.push_str(&format!("; left behind: {}", record.left.join(", ")));
            }
            Some(Err(Failure::new(Class::Failed, message)))
        }
    }
}

/// What a person sees meanwhile.
#[derive(Default)]
struct Shown {
    line: Option<(Line, Progress)>,
    nobody: bool,
    trouble: Option<String>,
}

impl Shown {
    async fn update(&mut self, place: &Place, record: Option<&Record>, elapsed: Duration) {
        let Some(record) = record else {
            if elapsed > NOBODY_AFTER && !self.nobody {
                self.nobody = true;
                eprintln!("uploader: no agent has taken the request yet (uploader agent is one)");
            }
            return;
        };
        if record.trouble.is_some() && record.trouble != self.trouble {
            let why = record.trouble.as_deref().unwrap_or_default();
            eprintln!("uploader: the agent tries again later: {why}");
            self.trouble = record.trouble.clone();
        }
        let told = journal::progress(&place.session, &place.names, &record.id).await;
        let Ok(Some(now)) = told else {
            return;
        };
        let same = |before: &Progress| before.snapshot == now.snapshot && before.put <= now.put;
        match &mut self.line {
            Some((line, before)) if same(before) => {
                line.advance(now.put - before.put);
                *before = now;
            }
            _ => {
                self.finish();
                let line = Line::count("blocks put", now.total);
                line.advance(now.put);
                self.line = Some((line, now));
            }
        }
    }

    fn finish(&mut self) {
        if let Some((line, _)) = self.line.take() {
            line.finish();
        }
    }
}
