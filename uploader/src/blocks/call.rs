//! Calls of the EBS direct API about one snapshot.

pub(crate) use crate::pace::{Failed, Verdict, by_kind};

use crate::aws::{AwsError, Kind};
use crate::pace::{self, Fault, Patience};
use std::time::Duration;

/// Longest time of one call: 48 blocks at a time within it are 210 KiB/s.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Many at a time, each of which has a time to end.
pub(crate) struct Calls(pace::Calls);

impl Calls {
    /// At most `most` at a time.
    pub(crate) fn new(most: usize, patience: Patience) -> Calls {
        Calls(pace::Calls::new(most, patience))
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
        let in_time = || async {
            let answer = tokio::time::timeout(TIMEOUT, call()).await;
            answer.unwrap_or_else(|_| Err((no_answer(), Verdict::Again(Fault::Unanswered))))
        };
        self.0.until_through(seed, in_time).await
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
