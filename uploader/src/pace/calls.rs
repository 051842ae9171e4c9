//! Calls that share a pace, and give up together only.

use super::limit::Pace;
use super::retry::{Fault, Patience, Retries};
use crate::aws::{AwsError, Kind};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::sleep;

/// What to do about a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Call again.
    Again(Fault),
    /// What it is about can't be used any more.
    Gone,
    /// It will be refused again.
    Refused,
}

/// A call that did not go through.
#[derive(Debug)]
pub(crate) enum Failed {
    /// What it is about is not there, or can't be used any more.
    Gone(AwsError),
    /// So many seconds were waited in which no call at all went through.
    Budget(u64, AwsError),
    /// It is refused.
    Refused(AwsError),
}

/// Calls about one thing: a snapshot, or an object.
pub(crate) struct Calls {
    pace: Pace,
    patience: Patience,
    /// How many went through.
    through: AtomicU64,
}

impl Calls {
    /// At most `most` at a time.
    pub(crate) fn new(most: usize, patience: Patience) -> Calls {
        Calls {
            pace: Pace::new(most),
            patience,
            through: AtomicU64::new(0),
        }
    }

    /// Calls until it goes through. `seed` spreads the waits of those that failed together. A call
    /// has to end by itself: nothing here limits its time.
    pub(crate) async fn until_through<T, F>(
        &self,
        seed: u64,
        call: impl Fn() -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, (AwsError, Verdict)>>,
    {
        let mut retries: Option<Retries> = None;
        loop {
            let turn = self.pace.turn().await;
            let (error, verdict) = match call().await {
                Ok(answer) => {
                    self.through.fetch_add(1, Ordering::Relaxed);
                    turn.went_well();
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            // Nobody waits behind one that only pauses.
            match verdict {
                Verdict::Again(fault) if fault.asks_for_fewer() => turn.was_too_many(),
                _ => drop(turn),
            }
            let fault = match verdict {
                Verdict::Again(fault) => fault,
                Verdict::Gone => return Err(Failed::Gone(error)),
                Verdict::Refused => return Err(Failed::Refused(error)),
            };
            let retries = retries.get_or_insert_with(|| Retries::new(self.patience, seed));
            match retries.after(fault, self.through.load(Ordering::Relaxed)) {
                Ok(wait) => {
                    tracing::debug!(%error, ?wait, "again");
                    sleep(wait).await;
                }
                Err(gave_up) => {
                    return Err(match fault {
                        Fault::Absent => Failed::Gone(error),
                        Fault::Garbled => Failed::Refused(error),
                        Fault::Throttled | Fault::Unavailable | Fault::Unanswered => {
                            Failed::Budget(gave_up.0.as_secs(), error)
                        }
                    });
                }
            }
        }
    }
}

/// What an error of this kind asks for, where the service gives no finer reason.
pub(crate) fn by_kind(kind: Kind) -> Verdict {
    match kind {
        Kind::Throttled => Verdict::Again(Fault::Throttled),
        Kind::Unavailable => Verdict::Again(Fault::Unavailable),
        Kind::NotFound => Verdict::Again(Fault::Absent),
        Kind::Credentials | Kind::Denied | Kind::Conflict | Kind::Refused => Verdict::Refused,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::task::JoinSet;

    fn quick() -> Patience {
        Patience {
            throttled: Duration::from_millis(20),
            unavailable: Duration::from_millis(20),
            absent: Duration::from_millis(20),
            first: Duration::from_millis(1),
            longest: Duration::from_millis(4),
            ..Patience::default()
        }
    }

    fn error() -> AwsError {
        AwsError {
            operation: "test Call",
            kind: Kind::Unavailable,
            code: String::new(),
            message: "as the test wants it".to_owned(),
        }
    }

    /// Calls get these answers one after the other, then all go through.
    async fn answered(calls: &Calls, answers: &[Verdict]) -> Result<(), Failed> {
        let left = Mutex::new(answers.iter());
        calls
            .until_through(1, || {
                let next = left.lock().unwrap().next().copied();
                async move {
                    match next {
                        None => Ok(()),
                        Some(verdict) => Err((error(), verdict)),
                    }
                }
            })
            .await
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(work)
    }

    #[test]
    fn every_fault_is_waited_out_and_ends() {
        let again = |fault| Verdict::Again(fault);
        block_on(async {
            let calls = Calls::new(4, quick());
            let mixed = [
                Fault::Absent,
                Fault::Throttled,
                Fault::Unavailable,
                Fault::Unanswered,
                Fault::Garbled,
            ];
            answered(&calls, &mixed.map(again)).await.unwrap();

            for fault in [Fault::Throttled, Fault::Unavailable, Fault::Unanswered] {
                let calls = Calls::new(4, quick());
                let failed = answered(&calls, &[again(fault); 100]).await.unwrap_err();
                assert!(matches!(failed, Failed::Budget(..)), "{failed:?}");
            }
            let failed = answered(&Calls::new(4, quick()), &[again(Fault::Absent); 100]).await;
            assert!(matches!(failed, Err(Failed::Gone(_))));
            // It was there a moment ago.
            let failed = answered(&calls, &[again(Fault::Absent)]).await;
            assert!(matches!(failed, Err(Failed::Gone(_))));
            let failed = answered(&calls, &[again(Fault::Garbled); 4]).await;
            assert!(matches!(failed, Err(Failed::Refused(_))));
            let failed = answered(&calls, &[Verdict::Refused]).await;
            assert!(matches!(failed, Err(Failed::Refused(_))));
            let failed = answered(&calls, &[Verdict::Gone]).await;
            assert!(matches!(failed, Err(Failed::Gone(_))));
        });
    }

    #[test]
    fn throttles_and_silence_lower_the_pace_and_other_faults_do_not() {
        for (fault, limit) in [
            (Fault::Throttled, 8),
            (Fault::Unanswered, 8),
            (Fault::Unavailable, 16),
            (Fault::Garbled, 16),
            (Fault::Absent, 16),
        ] {
            let calls = Calls::new(16, quick());
            block_on(answered(&calls, &[Verdict::Again(fault)])).unwrap();
            assert_eq!(calls.pace.limit(), limit, "{fault:?}");
        }
    }

    /// A service that takes three calls at a time, and throttles the rest.
    #[derive(Default)]
    struct Busy {
        running: AtomicUsize,
        throttled: AtomicUsize,
    }

    impl Busy {
        async fn call(&self) -> Result<(), (AwsError, Verdict)> {
            let before = self.running.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            self.running.fetch_sub(1, Ordering::Relaxed);
            if before < 3 {
                return Ok(());
            }
            self.throttled.fetch_add(1, Ordering::Relaxed);
            Err((error(), Verdict::Again(Fault::Throttled)))
        }
    }

    #[test]
    fn a_service_that_throttles_is_given_what_it_takes() {
        let patience = Patience {
            throttled: Duration::from_secs(1),
            ..quick()
        };
        let calls = Arc::new(Calls::new(32, patience));
        let busy = Arc::new(Busy::default());
        block_on(async {
            let mut tasks = JoinSet::new();
            for seed in 0..500 {
                let (calls, busy) = (calls.clone(), busy.clone());
                tasks.spawn(async move { calls.until_through(seed, || busy.call()).await });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap().unwrap();
            }
        });
        assert_eq!(calls.through.load(Ordering::Relaxed), 500);
        // Without a pace, 497 would have been at once.
        let throttled = busy.throttled.load(Ordering::Relaxed);
        assert!((1..497).contains(&throttled), "{throttled}");
        assert!(calls.pace.limit() < 32);
    }

    #[test]
    fn a_call_that_is_dropped_keeps_no_turn() {
        let calls = Calls::new(1, quick());
        block_on(async {
            let stuck = calls.until_through(1, std::future::pending::<Result<(), _>>);
            let stuck = tokio::time::timeout(Duration::from_millis(5), stuck);
            assert!(stuck.await.is_err());
            answered(&calls, &[]).await.unwrap();
        });
    }
}
