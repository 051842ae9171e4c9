//! Where time comes from. Nothing but [`SystemClock`] looks at the host's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use time::{Duration, OffsetDateTime};

/// A source of time.
pub trait Clock: Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The host's clock, and as far ahead of it as [`SystemClock::advance`] said.
#[derive(Debug, Default)]
pub struct SystemClock {
    ahead_seconds: AtomicI64,
}

impl SystemClock {
    /// Puts the clock forward: what waits for an hour (a time-out, a deprecation) is seen at once.
    pub fn advance(&self, by: Duration) {
        self.ahead_seconds
            .fetch_add(by.whole_seconds(), Ordering::Relaxed);
    }
}

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + Duration::seconds(self.ahead_seconds.load(Ordering::Relaxed))
    }
}
