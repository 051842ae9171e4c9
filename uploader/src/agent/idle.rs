//! When an idle agent ends: a pure state machine.
//!
//! Between an agent's last look into the queue and its end, a request may come that nobody takes. So
//! the agent says that it leaves *before* that look, and a caller looks for agents *after* it has
//! sent its request. Of the two, either the request was sent before the agent's last look, and is
//! found by it; or what the agent said was there before the caller looked, and the caller knows that
//! it has to see to another. Requests in others' hands count, too: whoever has one may die.

use time::{Duration, OffsetDateTime};

/// Longest wait for a message, in seconds: SQS's limit.
const LONG_POLL: i64 = 20;
/// How long the last look waits, in seconds: a poll that waits at all has SQS ask all of its servers.
const LAST_POLL: i64 = 1;
/// After how many seconds what could not be said is said again.
const SAY_AGAIN: i64 = 5;
/// After how many seconds an agent that could not end tries again.
const AGAIN: i64 = 60;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the queue, and wait for so many seconds.
    Poll(i64),
    /// Say that this agent leaves, and tell [`Idle::announced`].
    Announce,
    /// Ask the queue for so many seconds, and how much is in it; then tell [`Idle::looked`].
    LastPoll(i64),
    /// Say that it stays, and tell [`Idle::stayed`].
    Stay,
    /// Nothing came: end.
    Leave,
}

/// Where an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Here,
    Announced,
    Staying,
    Leaving,
}

/// An agent's way to its end.
#[derive(Clone, Debug)]
pub struct Idle {
    limit: Option<Duration>,
    last: OffsetDateTime,
    not_before: OffsetDateTime,
    stage: Stage,
}

impl Idle {
    /// Ends after `limit` without a request; never if there is none.
    pub fn new(limit: Option<Duration>, now: OffsetDateTime) -> Idle {
        Idle {
            limit,
            last: now,
            not_before: now,
            stage: Stage::Here,
        }
    }

    /// What to do, with so many requests in hand.
    pub fn next(&self, now: OffsetDateTime, working: usize) -> Next {
        match self.stage {
            Stage::Announced => return Next::LastPoll(LAST_POLL),
            Stage::Staying => return Next::Stay,
            Stage::Leaving => return Next::Leave,
            Stage::Here => {}
        }
        let Some(limit) = self.limit else {
            return Next::Poll(LONG_POLL);
        };
        let left = ((self.last + limit).max(self.not_before) - now).whole_seconds();
        match left <= 0 {
            true if working == 0 => Next::Announce,
            true => Next::Poll(LONG_POLL),
            false => Next::Poll(left.clamp(1, LONG_POLL)),
        }
    }

    /// A request came, or one is done with.
    pub fn worked(&mut self, now: OffsetDateTime) {
        self.last = now;
        if self.stage == Stage::Announced {
            self.stage = Stage::Staying;
        }
    }

    /// It is said that this agent leaves; or nobody takes it for alive anyway, which does as well.
    /// `false`: it could not be said, and others count on this agent still.
    pub fn announced(&mut self, now: OffsetDateTime, said: bool) {
        match said {
            true => self.stage = Stage::Announced,
            false => self.not_before = now + Duration::seconds(SAY_AGAIN),
        }
    }

    /// The last look found no message; `pending` are those that the queue has still, seen or not:
    /// laid aside, or in others' hands. `None`: the queue did not say.
    pub fn looked(&mut self, now: OffsetDateTime, pending: Option<u64>) {
        self.stage = match pending {
            Some(0) => Stage::Leaving,
            _ => {
                self.not_before =
                    now + Duration::seconds(AGAIN).min(self.limit.unwrap_or_default());
                Stage::Staying
            }
        };
    }

    /// It is said that this agent stays.
    pub fn stayed(&mut self) {
        self.stage = Stage::Here;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-11-01 12:00 UTC);

    fn at(seconds: i64) -> OffsetDateTime {
        START + Duration::seconds(seconds)
    }

    fn idle() -> Idle {
        Idle::new(Some(Duration::minutes(60)), START)
    }

    #[test]
    fn an_hour_without_work_ends_it() {
        let mut idle = idle();
        assert_eq!(idle.next(at(0), 0), Next::Poll(20));
        assert_eq!(idle.next(at(3595), 0), Next::Poll(5));
        assert_eq!(idle.next(at(3600), 0), Next::Announce);
        // Not while it works.
        assert_eq!(idle.next(at(3600), 1), Next::Poll(20));
        idle.announced(at(3600), true);
        assert!(matches!(idle.next(at(3601), 0), Next::LastPoll(_)));
        idle.looked(at(3606), Some(0));
        assert_eq!(idle.next(at(3606), 0), Next::Leave);
    }

    #[test]
    fn a_request_at_the_last_moment_keeps_it() {
        let mut idle = idle();
        idle.announced(at(3600), true);
        idle.worked(at(3603));
        assert_eq!(idle.next(at(3603), 1), Next::Stay);
        idle.stayed();
        assert_eq!(idle.next(at(3603), 1), Next::Poll(20));
        assert_eq!(idle.next(at(7202), 0), Next::Poll(1));
        assert_eq!(idle.next(at(7203), 0), Next::Announce);
    }

    #[test]
    fn what_is_in_others_hands_keeps_it() {
        for pending in [Some(1), None] {
            let mut idle = idle();
            idle.announced(at(3600), true);
            idle.looked(at(3605), pending);
            assert_eq!(idle.next(at(3605), 0), Next::Stay);
            idle.stayed();
            assert_eq!(idle.next(at(3605), 0), Next::Poll(20));
            assert_eq!(idle.next(at(3665), 0), Next::Announce);
        }
    }

    #[test]
    fn what_could_not_be_said_is_said_again() {
        let mut idle = idle();
        idle.announced(at(3600), false);
        assert_eq!(idle.next(at(3600), 0), Next::Poll(5));
        assert_eq!(idle.next(at(3605), 0), Next::Announce);
    }

    #[test]
    fn without_a_limit_it_stays() {
        let idle = Idle::new(None, START);
        assert_eq!(idle.next(at(1_000_000), 0), Next::Poll(20));
    }
}
