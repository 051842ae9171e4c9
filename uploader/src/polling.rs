//! How often somebody looks at what takes its time: a state that passes by itself, a record that
//! somebody else writes. No clock: what counts is the time that was waited.

use std::time::Duration;

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(100);

/// A schedule: each pause is a part of the time that was waited before, so that nothing is seen late
/// by more than that part of its own time, and what takes long is looked at seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    part: u32,
    longest: Duration,
}

impl Polling {
    /// For EC2 and EBS, whose questions cost nothing, but have a limit for the whole account: what
    /// takes ten seconds is looked at 18 times, what takes a minute 29 times.
    pub const STATE: Polling = Polling {
        part: 4,
        longest: Duration::from_secs(5),
    };
    /// For an object in S3, which has no such limit.
    pub const OBJECT: Polling = Polling {
        part: 8,
        longest: Duration::from_secs(1),
    };

    /// The pause before the next look, after `waited` in vain.
    pub fn pause(&self, waited: Duration) -> Duration {
        (waited / self.part).max(SHORTEST).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When there are looks until then, after the first.
    fn looks(polling: Polling, until: Duration) -> Vec<Duration> {
        let next = |at: &Duration| Some(*at + polling.pause(*at));
        let all = std::iter::successors(Some(Duration::ZERO), next);
        all.skip(1).take_while(|it| *it <= until).collect()
    }

    fn millis(polling: Polling) -> Vec<u128> {
        let looks = looks(polling, Duration::from_secs(1));
        looks.iter().map(Duration::as_millis).collect()
    }

    #[test]
    fn pauses_begin_short_and_grow_with_what_was_waited() {
        let state = [100, 200, 300, 400, 500, 625, 781, 976];
        assert_eq!(millis(Polling::STATE), state);
        let object = [100, 200, 300, 400, 500, 600, 700, 800, 900];
        assert_eq!(millis(Polling::OBJECT), object);
    }

    #[test]
    fn a_minute_takes_few_looks_and_a_long_time_has_a_longest_pause() {
        let count = |polling, seconds| looks(polling, Duration::from_secs(seconds)).len();
        assert_eq!(count(Polling::STATE, 10), 18);
        assert_eq!(count(Polling::STATE, 60), 29);
        assert_eq!(count(Polling::OBJECT, 60), 79);
        let day = Duration::from_secs(86_400);
        assert_eq!(Polling::STATE.pause(day), Duration::from_secs(5));
        assert_eq!(Polling::OBJECT.pause(day), Duration::from_secs(1));
    }
}
