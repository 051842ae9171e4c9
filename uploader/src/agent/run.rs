//! The agent as a process: takes messages, some at a time, until there are none.

use super::executor::{Agent, Ended};
use super::heartbeat::{Activity, Heart, Heartbeat};
use super::idle::{Idle, Next};
use super::machine::action::Action;
use super::queue::{Message, QueueError, Queues};
use super::ready::AgentError;
use super::sweep::sweep;
use crate::aws::AwsError;
use futures_util::future::{BoxFuture, Fuse, FusedFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::ops::ControlFlow;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Seconds between two looks for what was left behind.
const SWEEP_EVERY: i64 = 3600;
/// Longest pause after a queue did not answer, in seconds.
const MAX_PAUSE: u64 = 60;
/// Longest that the loop waits for something to happen: then it asks the clock again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
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

/// What an agent is about to do, or has done.
#[derive(Debug)]
pub enum Notice<'a> {
    /// It is about to ask for its first request.
    FirstPoll,
    /// It is about to do this for a request.
    Action(&'a Action),
    /// It is done with a message.
    Ended(&'a Ended),
    /// It deleted these snapshots, which were left behind.
    Swept(&'a [String]),
    /// A call failed that is made again later.
    Retrying(&'a AwsError),
}

/// Takes messages from the queue until `until` or `cancel` says stop.
///
/// # Errors
/// The queue is gone, or AWS does not take the caller's credentials.
pub async fn run(
    agent: &Agent,
    queues: &Queues,
    until: Until,
    notify: &(dyn Fn(Notice<'_>) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), AgentError> {
    let now = (agent.clock)();
    let heartbeat = Heartbeat {
        activity: activity(until, cancel, 0),
        ..Heartbeat::new(
            &agent.id,
            now,
            until.parallel,
            agent.limits.memory * until.parallel as u64,
        )
    };
    // The queue is asked meanwhile: a request that comes before anybody knows of this agent is taken
    // all the same.
    let heart = Heart::start(&agent.vault, &agent.clock, heartbeat);
    let limit = until
        .idle
        .map(|seconds| time::Duration::seconds(seconds.into()));
    notify(Notice::FirstPoll);
    let ended = Run {
        agent,
        queues,
        heart: &heart,
        until,
        notify,
        cancel,
        idle: Idle::new(limit, now),
        in_hand: FuturesUnordered::new(),
        poll: Fuse::terminated(),
        last_sweep: None,
        retry_after: 1,
    }
    .run()
    .await;
    heart.stop().await;
    ended
}

/// An answer to a poll.
type Polled = Result<Option<Message>, QueueError>;

struct Run<'a> {
    agent: &'a Agent,
    queues: &'a Queues,
    heart: &'a Heart,
    until: Until,
    notify: &'a (dyn Fn(Notice<'_>) + Send + Sync),
    cancel: &'a CancellationToken,
    idle: Idle,
    /// The work on each request that this agent has.
    in_hand: FuturesUnordered<BoxFuture<'a, Ended>>,
    /// The question that the queue is asked, or the pause before the next. One that is dropped may have
    /// been given a message already, which then is hidden for a while: so it is waited for, and only
    /// for a moment once the agent has to stop.
    poll: Fuse<BoxFuture<'a, Polled>>,
    /// When it was looked for what was left behind; `None` before the first poll was answered.
    last_sweep: Option<OffsetDateTime>,
    /// Seconds until a queue that did not answer is asked again.
    retry_after: u64,
}

impl Run<'_> {
    async fn run(mut self) -> Result<(), AgentError> {
        loop {
            if self.poll.is_terminated() {
                self.heart.came_round();
                if !self.cancel.is_cancelled() && self.ask().await.is_break() {
                    return Ok(());
                }
            }
            let is_stopped = self.cancel.is_cancelled();
            if is_stopped {
                self.give_back().await;
                if self.in_hand.is_empty() {
                    return Ok(());
                }
            }
            tokio::select! {
                biased;
                Some(ended) = self.in_hand.next() => {
                    (self.notify)(Notice::Ended(&ended));
                    self.idle.worked(self.now());
                    self.note_activity();
                    if self.until.once {
                        return Ok(());
                    }
                }
                answer = &mut self.poll, if !self.poll.is_terminated() => {
                    self.heart.came_round();
                    self.polled(answer).await?;
                }
                () = self.cancel.cancelled(), if !is_stopped => {
                    // Whoever looks for somebody to take a request finds nobody here.
                    self.heart.note(Activity::Leaving, self.in_hand.len());
                }
                () = sleep(LONGEST_WAIT) => {}
            }
        }
    }

    /// Asks the queue, if it is to be asked now; says before that what has to be said. Breaks if the
    /// agent is to end.
    async fn ask(&mut self) -> ControlFlow<()> {
        loop {
            match self.idle.next(self.now(), self.in_hand.len()) {
                Next::Announce => {
                    let is_said = self.heart.say(Activity::Leaving, 0).await.is_ok();
                    let is_said = is_said || self.heart.is_unheard().await;
                    self.idle.announced(self.now(), is_said);
                }
                Next::Stay => {
                    // With the next beat at the latest: until then callers wait and look again.
                    let in_hand = self.in_hand.len();
                    self.heart.say(self.activity(), in_hand).await.ok();
                    self.idle.stayed();
                }
                Next::Leave => {
                    self.sweep().await;
                    return ControlFlow::Break(());
                }
                // The first poll is short: then there is time to look around.
                Next::Poll(_) if self.last_sweep.is_none() && self.in_hand.is_empty() => {
                    self.receive(0);
                    return ControlFlow::Continue(());
                }
                Next::Poll(wait) | Next::LastPoll(wait) => {
                    if self.in_hand.len() < self.until.parallel {
                        self.receive(wait);
                    }
                    return ControlFlow::Continue(());
                }
            }
            self.heart.came_round();
            if self.cancel.is_cancelled() {
                return ControlFlow::Continue(());
            }
        }
    }

    /// The queue answered.
    async fn polled(&mut self, answer: Polled) -> Result<(), AgentError> {
        let now = self.now();
        let is_last = matches!(self.idle.next(now, self.in_hand.len()), Next::LastPoll(_));
        match answer {
            Ok(Some(message)) => {
                self.retry_after = 1;
                self.take_up(message);
                self.idle.worked(self.now());
                self.note_activity();
            }
            Ok(None) if is_last => {
                self.retry_after = 1;
                let depth = self.queues.depth(&self.agent.vault.session).await.ok();
                let pending = depth.map(|(waiting, taken)| waiting + taken);
                self.idle.looked(now, pending);
            }
            Ok(None) => {
                self.retry_after = 1;
                let is_due = |last| now - last >= time::Duration::seconds(SWEEP_EVERY);
                if self.last_sweep.is_none_or(is_due) {
                    if self.in_hand.is_empty() {
                        self.sweep().await;
                    }
                    self.last_sweep = Some(now);
                }
            }
            Err(QueueError::Aws(error)) if error.is_transient() => {
                (self.notify)(Notice::Retrying(&error));
                if is_last {
                    self.idle.looked(now, None);
                }
                self.pause(self.retry_after);
                self.retry_after = (self.retry_after * 2).min(MAX_PAUSE);
            }
            // What is in hand comes again, for whoever has a queue.
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Asks the queue, which waits so many seconds for a message.
    fn receive(&mut self, wait: i64) {
        let wait = i32::try_from(wait).unwrap_or(1);
        let visibility = i32::try_from(self.agent.visibility).unwrap_or(i32::MAX);
        let answer = self.queues.receive(&self.agent.vault, wait, visibility);
        self.poll = answer.boxed().fuse();
    }

    /// Lets the queue rest before it is asked again.
    fn pause(&mut self, seconds: u64) {
        let pause = sleep(Duration::from_secs(seconds)).map(|()| Ok(None));
        self.poll = pause.boxed().fuse();
    }

    /// Gives back what a poll is about to be given: it comes again at once.
    async fn give_back(&mut self) {
        if self.poll.is_terminated() {
            return;
        }
        let answer = timeout(LAST_ANSWER, &mut self.poll).await;
        self.poll = Fuse::terminated();
        if let Ok(Ok(Some(message))) = answer {
            self.queues
                .release(&self.agent.vault.session, &message, 0)
                .await;
        }
    }

    fn take_up(&self, message: Message) {
        let Run {
            agent,
            queues,
            notify,
            cancel,
            ..
        } = *self;
        let work = async move {
            let action = |action: &Action| notify(Notice::Action(action));
            agent.work(queues, &message, &action, cancel).await
        };
        self.in_hand.push(work.boxed());
    }

    async fn sweep(&self) {
        match sweep(self.agent).await {
            Ok(deleted) if deleted.is_empty() => {}
            Ok(deleted) => (self.notify)(Notice::Swept(&deleted)),
            // It is done again later, and by others.
            Err(error) => (self.notify)(Notice::Retrying(&error)),
        }
    }

    fn note_activity(&self) {
        self.heart.note(self.activity(), self.in_hand.len());
    }

    fn activity(&self) -> Activity {
        activity(self.until, self.cancel, self.in_hand.len())
    }

    fn now(&self) -> OffsetDateTime {
        (self.agent.clock)()
    }
}

/// What an agent says it is about: nobody may count on one that takes no other request.
fn activity(until: Until, cancel: &CancellationToken, in_hand: usize) -> Activity {
    if until.once || cancel.is_cancelled() {
        Activity::Leaving
    } else if in_hand == 0 {
        Activity::Idle
    } else {
        Activity::Busy
    }
}
