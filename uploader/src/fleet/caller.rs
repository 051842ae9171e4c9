//! A caller who wants somebody to be there: a pure state machine, `(state, event) → (state, action)`.
//!
//! The caller has sent its request before it begins here. Then either somebody is seen who asks the
//! queue again, or is about to, or one is launched, and never two: the launch record is read before
//! the look around and written, on condition, after it.

use super::judge::{Patience, Verdict, View, Why, judge};
use super::launch_record::{LaunchRecord, StoredLaunch};
use time::OffsetDateTime;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the launch record.
    ReadRecord,
    /// Look at instances and heartbeats.
    Look,
    /// Write the launch record in the place of the one with this ETag.
    WriteRecord {
        /// The record.
        record: LaunchRecord,
        /// What it replaces.
        replaces: Option<String>,
    },
    /// Launch an instance, as this generation.
    Launch {
        /// Whose token the call has.
        generation: u64,
    },
    /// Terminate stuck instances, and forget their heartbeats.
    Replace(Vec<(String, Why)>),
    /// Terminate an instance that was launched beside another.
    Withdraw(String),
    /// There is no more to do now.
    Done(Settled),
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The launch record.
    Record(Option<StoredLaunch>),
    /// What there is.
    Seen(View),
    /// The record is written, with this ETag.
    Written(String),
    /// It was changed by somebody else.
    Changed,
    /// There is an instance.
    Launched(String),
    /// The call gave an instance that is gone already: an earlier caller's of this generation.
    Spent(String),
    /// There is none, and why is known to whoever called.
    NotLaunched,
    /// It is done.
    Ok,
}

/// Where a caller is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This agent is there.
    Alive(String),
    /// This instance is starting.
    Starting(String),
    /// This instance was launched here.
    Launched(String),
    /// To be asked again in some seconds; why.
    Undecided(&'static str),
    /// None could be launched.
    Failed,
}

/// Where a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The record is being read.
    Reading,
    /// It was read, and now there is a look around.
    Looking(Option<StoredLaunch>),
    /// The record is being claimed.
    Claiming(LaunchRecord),
    /// An instance is being launched.
    Launching {
        /// The claim.
        record: LaunchRecord,
        /// Its ETag.
        etag: String,
    },
    /// The instance is being written down.
    Noting {
        /// The claim.
        record: LaunchRecord,
        /// The instance.
        instance: String,
    },
    /// It could not be written down: somebody took the launch over. The record is read.
    Comparing {
        /// The claim.
        record: LaunchRecord,
        /// The instance.
        instance: String,
    },
    /// No instance could be launched, and the claim is given up.
    GivingUp,
    /// Something is put in order, and then all begins anew.
    Clearing,
    /// Nothing is left to do.
    Settled,
}

impl Caller {
    /// Begins.
    pub fn start() -> (Caller, Action) {
        (Caller::Reading, Action::ReadRecord)
    }

    /// Goes on. An event that does not fit begins anew, which is always safe.
    pub fn step(self, event: Event, now: OffsetDateTime, patience: &Patience) -> (Caller, Action) {
        match (self, event) {
            (Caller::Reading, Event::Record(stored)) => (Caller::Looking(stored), Action::Look),
            (Caller::Looking(stored), Event::Seen(view)) => {
                let verdict = judge(stored.as_ref(), &view, now, patience);
                decided(verdict, stored, now)
            }
            (Caller::Claiming(record), Event::Written(etag)) => {
                let generation = record.generation;
                (
                    Caller::Launching { record, etag },
                    Action::Launch { generation },
                )
            }
            (Caller::Launching { record, etag }, Event::Launched(instance)) => {
                let action = Action::WriteRecord {
                    record: record.launched(&instance, now),
                    replaces: Some(etag),
                };
                (Caller::Noting { record, instance }, action)
            }
            (Caller::Launching { record, etag }, Event::Spent(instance)) => {
                // Once that is written down, the next generation's turn has come.
                let action = Action::WriteRecord {
                    record: record.launched(&instance, now),
                    replaces: Some(etag),
                };
                (Caller::Clearing, action)
            }
            (Caller::Launching { record, etag }, Event::NotLaunched) => {
                let action = Action::WriteRecord {
                    record: record.given_up(),
                    replaces: Some(etag),
                };
                (Caller::GivingUp, action)
            }
            (Caller::Noting { instance, .. }, Event::Written(_)) => {
                done(Settled::Launched(instance))
            }
            (Caller::Noting { record, instance }, Event::Changed) => {
                (Caller::Comparing { record, instance }, Action::ReadRecord)
            }
            (Caller::Comparing { record, instance }, Event::Record(stored)) => {
                compared(&record, instance, stored, now)
            }
            (Caller::GivingUp, _) => done(Settled::Failed),
            (Caller::Settled, _) => done(Settled::Undecided("all is said")),
            _ => Caller::start(),
        }
    }
}

fn done(settled: Settled) -> (Caller, Action) {
    (Caller::Settled, Action::Done(settled))
}

fn decided(
    verdict: Verdict,
    stored: Option<StoredLaunch>,
    now: OffsetDateTime,
) -> (Caller, Action) {
    let record = match (verdict, &stored) {
        (Verdict::Alive(id), _) => return done(Settled::Alive(id)),
        (Verdict::Starting(id), _) => return done(Settled::Starting(id)),
        (Verdict::Undecided(why), _) => return done(Settled::Undecided(why)),
        (Verdict::Stuck(which), _) => return (Caller::Clearing, Action::Replace(which)),
        (Verdict::Abandoned, Some(stored)) => stored.record.taken_over(now),
        (Verdict::Nobody | Verdict::Abandoned, _) => LaunchRecord::next(stored.as_ref(), now),
    };
    let action = Action::WriteRecord {
        record: record.clone(),
        replaces: stored.map(|it| it.etag),
    };
    (Caller::Claiming(record), action)
}

/// Somebody took this launch over while its call was on the way.
fn compared(
    record: &LaunchRecord,
    instance: String,
    stored: Option<StoredLaunch>,
    now: OffsetDateTime,
) -> (Caller, Action) {
    match stored {
        Some(it) if it.record.instance.as_deref() == Some(&instance) => {
            done(Settled::Launched(instance))
        }
        // They have not called yet, or the same call gave them the same instance.
        Some(it) if it.record.generation == record.generation && it.record.instance.is_none() => {
            let action = Action::WriteRecord {
                record: it.record.launched(&instance, now),
                replaces: Some(it.etag),
            };
            let record = it.record;
            (Caller::Noting { record, instance }, action)
        }
        _ => (Caller::Clearing, Action::Withdraw(instance)),
    }
}
