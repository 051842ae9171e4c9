//! How many requests at a time, and how often again: pure, so that it can be tested without a
//! service that throttles.

use std::time::Duration;

/// The number of requests in flight: one more for each round without a throttle, half as many after
/// one (AIMD, as TCP does).
#[derive(Debug)]
pub struct Pace {
    limit: f64,
    most: f64,
    round: u64,
}

impl Pace {
    /// Begins with half of what is allowed.
    pub fn new(most: usize) -> Pace {
        let most = most.max(1) as f64;
        Pace {
            limit: (most / 2.0).max(1.0),
            most,
            round: 0,
        }
    }

    /// How many may be in flight now.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// What a request is to remember when it starts.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// A request succeeded.
    pub fn succeeded(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.most);
    }

    /// A request that started in `round` was throttled or broke. Those that were in flight with one
    /// that was throttled say nothing new.
    pub fn failed(&mut self, round: u64) {
        if round == self.round {
            self.round += 1;
            self.limit = (self.limit / 2.0).max(1.0);
        }
    }
}

/// What a retry costs, and what a success gives back (up to [`Budget::FULL`]).
const COST: u32 = 5;
const REFUND: u32 = 2;
/// Pauses before retries.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A budget for retries, shared by all requests: a service that is down is not asked without end,
/// and one that fails now and then is.
#[derive(Debug)]
pub struct Budget {
    tokens: u32,
}

impl Budget {
    /// A full budget: a hundred retries.
    pub const FULL: u32 = 500;

    /// A full one.
    pub fn new() -> Budget {
        Budget {
            tokens: Budget::FULL,
        }
    }

    /// A request succeeded.
    pub fn succeeded(&mut self) {
        self.tokens = (self.tokens + REFUND).min(Budget::FULL);
    }

    /// The pause before a request's retry number `attempt` (from 0), or `None` if the budget is used
    /// up. `random` is from 0 to 1: retries must not come at the same time.
    pub fn retry(&mut self, attempt: u32, random: f64) -> Option<Duration> {
        self.tokens = self.tokens.checked_sub(COST)?;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << attempt.min(16))
            .min(LONGEST_PAUSE);
        // Half of it at least: a service that throttles is to be left alone.
        Some(pause.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0)))
    }
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_halve_once_a_round_and_successes_add_one() {
        let mut pace = Pace::new(16);
        assert_eq!(pace.limit(), 8);
        let round = pace.round();
        // All eight in flight are throttled.
        for _ in 0..8 {
            pace.failed(round);
        }
        assert_eq!(pace.limit(), 4);
        for _ in 0..5 {
            pace.succeeded();
        }
        assert_eq!(pace.limit(), 5);
        for _ in 0..10_000 {
            pace.succeeded();
        }
        assert_eq!(pace.limit(), 16);
        for _ in 0..10 {
            let round = pace.round();
            pace.failed(round);
        }
        assert_eq!(pace.limit(), 1);
    }

    #[test]
    fn a_budget_ends_and_is_refilled_by_successes() {
        let mut budget = Budget::new();
        let retries = (0..).take_while(|_| budget.retry(0, 0.0).is_some()).count();
        assert_eq!(retries, 100);
        for _ in 0..5 {
            budget.succeeded();
        }
        assert_eq!(
            (0..).take_while(|_| budget.retry(0, 0.0).is_some()).count(),
            2
        );
        // A fault in three requests is not too many.
        let mut budget = Budget::new();
        for request in 0..100_000 {
            if request % 3 == 0 {
                assert!(budget.retry(0, 0.5).is_some());
            }
            budget.succeeded();
            budget.succeeded();
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let mut budget = Budget::new();
        let mut pause = |attempt, random| budget.retry(attempt, random).unwrap();
        assert_eq!(pause(0, 1.0), Duration::from_millis(100));
        assert_eq!(pause(3, 1.0), Duration::from_millis(800));
        assert_eq!(pause(3, 0.0), Duration::from_millis(400));
        assert_eq!(pause(u32::MAX, 7.0), LONGEST_PAUSE);
    }
}
