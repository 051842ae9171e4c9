//! The agent as a process: takes messages, some at a time, until there are none.

use super::executor::{Agent, Ended};
use super::heartbeat::{Activity, Heart, Heartbeat};
use super::idle::{Idle, Next};
use super::machine::action::Action;
use super::queue::{Message, QueueError, Queues};
use super::ready::AgentError;
use super::sweep::sweep;
use crate::aws::AwsError;
use crate::vault::Vault;
use std::pin::Pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Seconds between two looks for what was left behind.
const SWEEP_EVERY: i64 = 3600;
/// Longest pause after a queue did not answer, in seconds.
const MAX_PAUSE: u64 = 60;
/// How often the loop comes round where nothing happens.
const COME_ROUND_EVERY: Duration = Duration::from_secs(30);
/// How long the answer to a poll is waited for once the agent was told to stop.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// How much an agent does at a time, and when it ends by itself.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// After so many seconds without a message.
    pub idle: Option<u32>,
    /// After one message.
    pub once: bool,
    /// So many messages are worked on at a time.
    pub parallel: usize,
}

/// What there is to say of an agent's work.
#[derive(Debug)]
pub enum Told<'a> {
    /// It is about to ask for its first request.
    Asks,
    /// It is about to do this.
    Action(&'a Action),
    /// It is done with a message.
    Ended(&'a Ended),
    /// It deleted what was left behind.
    Swept(&'a [String]),
    /// The queue does not answer; it is asked again.
    Trouble(&'a AwsError),
}

/// Takes messages from the queue until `until` or `cancel` says stop.
///
/// # Errors
/// The queue is gone, or AWS does not take the caller's credentials.
pub async fn run(
    agent: &Agent,
    queues: &Queues,
    until: Until,
    told: &(dyn Fn(Told<'_>) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), AgentError> {
    let Agent { session, names, .. } = agent;
    let now = (agent.clock)();
    let heartbeat = Heartbeat {
        activity: activity(until, cancel, &[]),
        ..Heartbeat::new(
            &agent.id,
            now,
            until.parallel,
            agent.limits.memory * until.parallel as u64,
        )
    };
    // The queue is asked meanwhile: a request that comes before anybody knows of this agent is taken
    // all the same.
    let heart = Heart::start(&Vault::of(session, names), &agent.clock, heartbeat);
    let limit = until.idle.map(|it| time::Duration::seconds(it.into()));
    let run = Run {
        agent,
        queues,
        heart: &heart,
        until,
        told,
        cancel,
    };
    told(Told::Asks);
    let ended = run.go(Idle::new(limit, now)).await;
    heart.stop().await;
    ended
}

/// A request in hand.
type Work<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;
/// A question to the queue.
type Poll<'a> = Pin<Box<dyn Future<Output = Result<Option<Message>, QueueError>> + Send + 'a>>;

struct Run<'a> {
    agent: &'a Agent,
    queues: &'a Queues,
    heart: &'a Heart,
    until: Until,
    told: &'a (dyn Fn(Told<'_>) + Send + Sync),
    cancel: &'a CancellationToken,
}

/// What happened next.
enum Happened {
    /// The queue answered.
    Polled(Result<Option<Message>, QueueError>),
    /// A request is done with.
    Ended(Ended),
    /// Nothing did.
    Nothing,
    /// Somebody said stop.
    Cancelled,
}

impl<'a> Run<'a> {
    async fn go(&self, mut idle: Idle) -> Result<(), AgentError> {
        let mut working: Vec<Work<'a>> = Vec::new();
        // A poll that is dropped may have been given a message already, which then is hidden for a
        // while: one that is asked is waited for, and only for a moment once the agent has to stop.
        let mut polling: Option<Poll<'a>> = None;
        let mut last_sweep = None;
        let mut pause = 1;
        loop {
            if polling.is_none() {
                self.heart.came_round();
            }
            if polling.is_none() && !self.cancel.is_cancelled() {
                let now = (self.agent.clock)();
                match idle.next(now, working.len()) {
                    Next::Announce => {
                        let said = self.heart.say(Activity::Leaving, 0).await.is_ok();
                        let said = said || self.heart.is_unheard().await;
                        idle.announced((self.agent.clock)(), said);
                        continue;
                    }
                    Next::Stay => {
                        // With the next beat at the latest: until then callers wait and look again.
                        let activity = self.activity(&working);
                        self.heart.say(activity, working.len()).await.ok();
                        idle.stayed();
                        continue;
                    }
                    Next::Leave => {
                        self.sweep_and_tell().await;
                        return Ok(());
                    }
                    // The first look is short: then there is time to look around.
                    Next::Poll(_) if last_sweep.is_none() && working.is_empty() => {
                        polling = Some(self.poll(0));
                    }
                    Next::Poll(wait) | Next::LastPoll(wait) => {
                        if working.len() < self.until.parallel {
                            polling = Some(self.poll(wait));
                        }
                    }
                }
            }
            if self.cancel.is_cancelled() {
                if let Some(poll) = polling.take() {
                    self.give_back(poll).await;
                }
                if working.is_empty() {
                    return Ok(());
                }
            }
            let happened = self.next(&mut working, &mut polling).await;
            if let Happened::Polled(_) = happened {
                self.heart.came_round();
            }
            match happened {
                Happened::Polled(Ok(Some(message))) => {
                    pause = 1;
                    working.push(self.work(message));
                    idle.worked((self.agent.clock)());
                    let activity = self.activity(&working);
                    self.heart.note(activity, working.len());
                }
                Happened::Polled(Ok(None)) => {
                    pause = 1;
                    let now = (self.agent.clock)();
                    if let Next::LastPoll(_) = idle.next(now, working.len()) {
                        let depth = self.queues.depth(&self.agent.session).await.ok();
                        idle.looked(now, depth.map(|(waiting, taken)| waiting + taken));
                        continue;
                    }
                    let since = |it| (now - it) >= time::Duration::seconds(SWEEP_EVERY);
                    if last_sweep.is_none_or(since) {
                        if working.is_empty() {
                            self.sweep_and_tell().await;
                        }
                        last_sweep = Some(now);
                    }
                }
                Happened::Polled(Err(QueueError::Aws(error))) if error.is_transient() => {
                    (self.told)(Told::Trouble(&error));
                    let now = (self.agent.clock)();
                    if let Next::LastPoll(_) = idle.next(now, working.len()) {
                        idle.looked(now, None);
                    }
                    polling = Some(self.pause(pause));
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                Happened::Polled(Err(error)) => {
                    // What is in hand comes again, for whoever has a queue.
                    return Err(error.into());
                }
                Happened::Ended(ended) => {
                    (self.told)(Told::Ended(&ended));
                    idle.worked((self.agent.clock)());
                    let activity = self.activity(&working);
                    self.heart.note(activity, working.len());
                    if self.until.once {
                        return Ok(());
                    }
                }
                Happened::Cancelled => {
                    // Whoever looks for somebody to take a request finds nobody here.
                    self.heart.note(Activity::Leaving, working.len());
                }
                Happened::Nothing => {}
            }
        }
    }

    /// Gives back what a poll is about to be given: it comes again at once.
    async fn give_back(&self, poll: Poll<'a>) {
        let Ok(Ok(Some(message))) = tokio::time::timeout(LAST_ANSWER, poll).await else {
            return;
        };
        self.queues.release(&self.agent.session, &message, 0).await;
    }

    fn activity(&self, working: &[Work<'_>]) -> Activity {
        activity(self.until, self.cancel, working)
    }

    /// Waits for whatever comes first.
    async fn next(&self, working: &mut Vec<Work<'a>>, polling: &mut Option<Poll<'a>>) -> Happened {
        let stopped = self.cancel.is_cancelled();
        let happened = std::future::poll_fn(|context| {
            for (index, work) in working.iter_mut().enumerate() {
                if let std::task::Poll::Ready(ended) = work.as_mut().poll(context) {
                    drop(working.swap_remove(index));
                    return std::task::Poll::Ready(Happened::Ended(ended));
                }
            }
            if let Some(poll) = polling.as_mut()
                && let std::task::Poll::Ready(answer) = poll.as_mut().poll(context)
            {
                *polling = None;
                return std::task::Poll::Ready(Happened::Polled(answer));
            }
            std::task::Poll::Pending
        });
        tokio::select! {
            biased;
            happened = happened => happened,
            () = self.cancel.cancelled(), if !stopped => Happened::Cancelled,
            () = tokio::time::sleep(COME_ROUND_EVERY) => Happened::Nothing,
        }
    }

    fn poll(&self, wait: i64) -> Poll<'a> {
        let Agent { session, names, .. } = self.agent;
        let queues = self.queues;
        let wait = i32::try_from(wait).unwrap_or(1);
        let visibility = i32::try_from(self.agent.visibility).unwrap_or(i32::MAX);
        Box::pin(queues.receive(session, names, wait, visibility))
    }

    /// A rest, after which the queue is asked again.
    fn pause(&self, seconds: u64) -> Poll<'a> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(None)
        })
    }

    fn work(&self, message: Message) -> Work<'a> {
        let Run {
            agent,
            queues,
            told,
            cancel,
            ..
        } = *self;
        Box::pin(async move {
            let action = |action: &Action| told(Told::Action(action));
            agent.work(queues, &message, &action, cancel).await
        })
    }

    async fn sweep_and_tell(&self) {
        match sweep(self.agent).await {
            Ok(deleted) if deleted.is_empty() => {}
            Ok(deleted) => (self.told)(Told::Swept(&deleted)),
            // It is done again later, and by others.
            Err(error) => (self.told)(Told::Trouble(&error)),
        }
    }
}

/// What an agent says it is about: nobody may count on one that takes no other request.
fn activity(until: Until, cancel: &CancellationToken, working: &[Work<'_>]) -> Activity {
    match working.is_empty() {
        _ if until.once || cancel.is_cancelled() => Activity::Leaving,
        true => Activity::Idle,
        false => Activity::Busy,
    }
}
