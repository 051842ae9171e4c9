//! What becomes of a request, as its record tells.

use super::Failure;
use super::aws_args::Place;
use super::keeper::Keeper;
use cli_support::Line;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::journal::{self, JournalError};
use uploader::agent::record::{Phase, Progress, Record};
use uploader::polling::Polling;
use uploader::request::{self, Request};
use uuid::Uuid;

/// After how long without a change it is asked whether somebody is there at all.
const STILL: Duration = Duration::from_secs(20);
/// When somebody is told that no agent is there.
const NOBODY_AFTER: Duration = Duration::from_secs(30);

/// A request that was carried out.
pub(crate) struct Followed {
    pub(crate) ami: String,
    pub(crate) snapshot: String,
}

/// Waits for a request.
pub(crate) struct Follower {
    pub(crate) place: Place,
    pub(crate) request: Request,
    /// Sees to it that somebody takes it; `None`: others do.
    pub(crate) keeper: Option<Keeper>,
    pub(crate) patience: Duration,
    pub(crate) cancel: CancellationToken,
}

impl Follower {
    /// Signs the request and sends it, once nothing is known that would leave it there for nobody.
    ///
    /// # Errors
    /// No converter could be launched, or KMS or SQS refuses.
    pub(crate) async fn send(&self) -> Result<(), Failure> {
        if let Some(keeper) = &self.keeper {
            keeper.check(&self.cancel).await?;
        }
        let vault = &self.place.vault;
        self.place.say_who();
        request::send(vault, &self.request).await?;
        let Request { id, image, .. } = &self.request;
        let what = format!("request {id} for {}@{}", image.name, image.digest);
        self.place.say(&what);
        Ok(())
    }

    /// Waits until somebody is there to take the request, and no longer.
    ///
    /// # Errors
    /// Nobody is, and nobody can be launched.
    pub(crate) async fn settle(self) -> Result<(), Failure> {
        match self.keeper {
            Some(keeper) => keeper.settle(&self.request.id, &self.cancel).await,
            None => Ok(()),
        }
    }

    /// Waits until the request is finished.
    ///
    /// # Errors
    /// It failed, or nobody finished it in time, or nobody can be launched, or Ctrl-C.
    pub(crate) async fn follow(mut self) -> Result<Followed, Failure> {
        let mut shown = Shown {
            is_kept: self.keeper.is_some(),
            ..Shown::default()
        };
        let followed = self.wait(&mut shown).await;
        shown.finish();
        followed
    }

    async fn wait(&mut self, shown: &mut Shown) -> Result<Followed, Failure> {
        let vault = &self.place.vault;
        let id = self.request.id;
        let began = Instant::now();
        let mut moved: Option<(Instant, Moved)> = None;
        loop {
            let record = match journal::read(vault, &id).await {
                Ok(stored) => stored.map(|it| it.record),
                // It is only looked at: the agent goes on meanwhile.
                Err(JournalError::Aws(error)) if error.is_transient() => None,
                Err(error @ JournalError::Aws(_)) => return Err(unseen(&id, error)),
                Err(error) => return Err(error.into()),
            };
            if let Some(record) = &record
                && let Some(ended) = ended(record)
            {
                return ended;
            }
            shown
                .update(&self.place, record.as_ref(), began.elapsed())
                .await;
            if began.elapsed() >= self.patience {
                let seconds = self.patience.as_secs();
                let what = match record {
                    Some(_) => "is not finished",
                    None => "was taken by no agent",
                };
                let message = format!("request {id} {what} after {seconds} s");
                let hint = "the request stays: uploader requests shows what becomes of it; uploader \
                            agent carries requests out";
                return Err(Failure::new(Class::Failed, message).hint(hint));
            }
            let now = Moved {
                record: record.as_ref().map(|it| it.updated),
                put: shown.put(),
            };
            if moved.as_ref().is_none_or(|(_, before)| *before != now) {
                moved = Some((Instant::now(), now));
            }
            // As long as something moves, somebody is there.
            let is_still = moved.as_ref().is_some_and(|(at, _)| at.elapsed() >= STILL);
            if let Some(keeper) = &mut self.keeper
                && (record.is_none() || is_still)
            {
                keeper.keep(&id, record.is_some()).await?;
            }
            let pause = Polling::OBJECT.pause(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.cancel.cancelled() => {
                    self.place.say(&format!(
                        "not waiting any more; request {id} goes on, and uploader requests shows \
                         what becomes of it"
                    ));
                    return Err(Failure::interrupted());
                }
            }
        }
    }
}

/// Nobody sees any more what becomes of a request, as when a session ends that was signed in for some
/// hours. That is all that has ended.
fn unseen(id: &Uuid, error: JournalError) -> Failure {
    let hint = error.hint().map(|it| format!("{it}; ")).unwrap_or_default();
    let goes_on = format!("request {id} goes on: uploader requests shows what becomes of it");
    Failure::from(error).hint(format!("{hint}{goes_on}"))
}

/// How far a request is: where it differs, somebody worked on it.
#[derive(PartialEq, Eq)]
struct Moved {
    record: Option<OffsetDateTime>,
    put: u64,
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
    is_kept: bool,
    nobody: bool,
    trouble: Option<String>,
}

impl Shown {
    async fn update(&mut self, place: &Place, record: Option<&Record>, elapsed: Duration) {
        let Some(record) = record else {
            if elapsed > NOBODY_AFTER && !self.nobody && !self.is_kept {
                self.nobody = true;
                place.say("no agent has taken the request yet (uploader agent is one)");
            }
            return;
        };
        if record.trouble.is_some() && record.trouble != self.trouble {
            let why = record.trouble.as_deref().unwrap_or_default();
            place.say(&format!("the agent tries again later: {why}"));
            self.trouble = record.trouble.clone();
        }
        if record.snapshot.is_none() {
            return;
        }
        let told = journal::progress(&place.vault, &record.id).await;
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
                let line = Line::count(place.label("blocks put"), now.total);
                line.advance(now.put);
                self.line = Some((line, now));
            }
        }
    }

    /// Blocks that are put, as far as somebody said so.
    fn put(&self) -> u64 {
        self.line.as_ref().map_or(0, |(_, it)| it.put)
    }

    fn finish(&mut self) {
        if let Some((line, _)) = self.line.take() {
            line.finish();
        }
    }
}
