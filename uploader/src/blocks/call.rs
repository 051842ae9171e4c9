//! Many calls of the EBS direct API at a time, each again and again until it goes through.

use super::pace::Pace;
use super::retry::{Fault, Patience, Retries};
use crate::aws::{AwsError, Kind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Longest time of one call: 48 blocks at a time within it are 210 KiB/s.
const TIMEOUT: Duration = Duration::from_secs(120);

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

/// Calls about one snapshot.
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

    /// Calls until it goes through. `seed` spreads the waits of those that failed together.
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
            let (error, verdict) = match timeout(TIMEOUT, call()).await {
                Ok(Ok(answer)) => {
                    self.through.fetch_add(1, Ordering::Relaxed);
                    turn.went_well();
                    return Ok(answer);
                }
                Ok(Err(failed)) => failed,
                Err(_) => (no_answer(), Verdict::Again(Fault::Unavailable)),
            };
            match verdict {
                Verdict::Again(Fault::Throttled) => turn.was_throttled(),
                _ => drop(turn),
            }
            let fault = match verdict {
                Verdict::Again(fault) => fault,
                Verdict::Gone => return Err(Failed::Gone(error)),
                Verdict::Refused => return Err(Failed::Refused(error)),
            };
            let retries = retries.get_or_insert_with(|| Retries::new(self.patience, seed));
            match retries.after(fault, self.through.load(Ordering::Relaxed)) {
                Ok(wait) => sleep(wait).await,
                Err(gave_up) => {
                    return Err(match fault {
                        Fault::Absent => Failed::Gone(error),
                        Fault::Garbled => Failed::Refused(error),
                        Fault::Throttled | Fault::Unavailable => {
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

fn no_answer() -> AwsError {
    AwsError {
        operation: "ebs",
        kind: Kind::Unavailable,
        code: String::new(),
        message: format!("no answer for {} s", TIMEOUT.as_secs()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Mutex;

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

    /// Calls get these answers one after the other, then all go through.
    async fn answered(calls: &Calls, answers: &[Verdict]) -> Result<(), Failed> {
        let left = Mutex::new(answers.iter());
        calls
            .until_through(1, || {
                let next = left.lock().unwrap().next().copied();
                async move {
                    match next {
                        None => Ok(()),
                        Some(verdict) => Err((no_answer(), verdict)),
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
                Fault::Garbled,
            ];
            answered(&calls, &mixed.map(again)).await.unwrap();

            for (fault, budget) in [(Fault::Throttled, true), (Fault::Unavailable, true)] {
                let calls = Calls::new(4, quick());
                let failed = answered(&calls, &[again(fault); 100]).await.unwrap_err();
                assert_eq!(matches!(failed, Failed::Budget(..)), budget, "{failed:?}");
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
}
