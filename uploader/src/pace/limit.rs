//! How many calls run at a time: fewer when the service throttles, more when all goes well.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Additive increase, multiplicative decrease, as TCP does it: a throttle halves the number of calls,
/// once for all calls that ran when it came; as many successes as there are calls add one. Who waits
/// has a turn in the order of coming.
pub(crate) struct Pace {
    calls: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// So many calls at a time, of at most `most`.
    limit: usize,
    most: usize,
    /// Calls that run above the limit: their permits go when they end.
    debt: usize,
    /// Successes since the limit changed.
    calm: usize,
    /// How often the limit was lowered.
    cuts: u64,
}

/// One call that runs.
pub(crate) struct Turn<'p> {
    pace: &'p Pace,
    permit: Option<SemaphorePermit<'p>>,
    /// How often the limit had been lowered when it started.
    cuts: u64,
}

impl Pace {
    /// At most this many, and at the start.
    pub(crate) fn new(most: usize) -> Pace {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Pace {
            calls: Semaphore::new(most),
            state: Mutex::new(State {
                limit: most,
                most,
                debt: 0,
                calm: 0,
                cuts: 0,
            }),
        }
    }

    /// Waits until one more call may run.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        // The semaphore is never closed; without a permit a call would just not be counted.
        let permit = self.calls.acquire().await.ok();
        Turn {
            pace: self,
            permit,
            cuts: self.state().cuts,
        }
    }

    #[cfg(test)]
    pub(crate) fn limit(&self) -> usize {
        self.state().limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The call went through.
    pub(crate) fn went_well(self) {
        let mut state = self.pace.state();
        state.calm += 1;
        if state.limit < state.most && state.calm >= state.limit {
            state.calm = 0;
            state.limit += 1;
            match state.debt {
                0 => self.pace.calls.add_permits(1),
                _ => state.debt -= 1,
            }
        }
    }

    /// The call was throttled, or got no answer.
    pub(crate) fn was_too_many(self) {
        let mut state = self.pace.state();
        // Those that ran at the same time tell nothing new.
        if self.cuts == state.cuts {
            // Not down to a crawl: throttles come by the second, and each call waits by itself, too.
            let lower = (state.limit / 2).max(state.most / 16).max(1);
            // First the permits that nobody has, then those of calls that end.
            let over = state.limit - lower;
            state.debt += over - self.pace.calls.forget_permits(over);
            state.limit = lower;
            state.calm = 0;
            state.cuts += 1;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if state.debt > 0
            && let Some(permit) = self.permit.take()
        {
            state.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// A turn, if there is one now.
    fn now(pace: &Pace) -> Option<Turn<'_>> {
        let mut turn = pin!(pace.turn());
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn throttles_of_one_moment_halve_it_once() {
        let pace = Pace::new(16);
        let turns: Vec<_> = std::iter::from_fn(|| now(&pace)).collect();
        assert_eq!(turns.len(), 16);
        turns.into_iter().for_each(Turn::was_too_many);
        assert_eq!(pace.limit(), 8);
        now(&pace).unwrap().was_too_many();
        assert_eq!(pace.limit(), 4);
        assert_eq!(
            std::iter::from_fn(|| now(&pace)).collect::<Vec<_>>().len(),
            4
        );
    }

    proptest! {
        /// Whatever happens, as many run as the limit says once the earlier ones have ended, at
        /// least one, and never more than at the start.
        #[test]
        fn as_many_run_as_the_limit_says(
            most in 1usize..20,
            steps in proptest::collection::vec(0u8..4, 0..200),
        ) {
            let pace = Pace::new(most);
            let mut running: Vec<Turn<'_>> = Vec::new();
            for step in steps {
                match step {
                    0 => running.extend(now(&pace)),
                    _ if running.is_empty() => {}
                    1 => running.remove(0).went_well(),
                    2 => running.remove(0).was_too_many(),
                    _ => drop(running.remove(0)),
                }
                prop_assert!((1..=most).contains(&pace.limit()));
                prop_assert!(running.len() <= most);
            }
            running.clear();
            let all: Vec<_> = std::iter::from_fn(|| now(&pace)).collect();
            prop_assert_eq!(all.len(), pace.limit());
        }
    }
}
