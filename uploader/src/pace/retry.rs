//! When to call again, and when to give up. No clock: what counts is the time that was waited, and
//! whether other calls went through meanwhile.

use std::time::Duration;

/// What a call got, if calling again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Too many calls.
    Throttled,
    /// The service or the way to it failed.
    Unavailable,
    /// No answer came in the time that a call has: the way may be too narrow for so many.
    Unanswered,
    /// The service does not know what was made a moment ago.
    Absent,
    /// What arrived is not what was sent: something between changed it, or broke it off.
    Garbled,
}

impl Fault {
    /// Whether fewer calls at a time may help.
    pub(crate) fn asks_for_fewer(self) -> bool {
        match self {
            Fault::Throttled | Fault::Unanswered => true,
            Fault::Unavailable | Fault::Absent | Fault::Garbled => false,
        }
    }
}

/// How long faults are waited out in which no call at all goes through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// With throttles: AWS's buckets refill within seconds, an account's busy hour takes longer.
    pub(crate) throttled: Duration,
    /// With 5xx, broken connections and silence.
    pub(crate) unavailable: Duration,
    /// With what is not there yet. "Up to a minute", as users report: twice that.
    pub(crate) absent: Duration,
    /// How often something garbled is sent again: once would be chance, three times is a defect.
    pub(crate) garbled: u32,
    /// First wait; each further one is twice as long.
    pub(crate) first: Duration,
    /// Longest wait.
    pub(crate) longest: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            throttled: Duration::from_secs(300),
            unavailable: Duration::from_secs(120),
            absent: Duration::from_secs(120),
            garbled: 3,
            first: Duration::from_millis(50),
            longest: Duration::from_secs(5),
        }
    }
}

/// No more: so long was waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GaveUp(pub(crate) Duration);

/// The faults of one call: for a block, or a part.
#[derive(Debug)]
pub(crate) struct Retries {
    patience: Patience,
    random: fastrand::Rng,
    /// Waits in a row.
    tries: u32,
    garbled: u32,
    /// Waited since another call went through.
    waited: Duration,
    /// How many calls had gone through at the last fault.
    seen: u64,
}

impl Retries {
    /// `seed` spreads the waits of calls that failed at the same moment.
    pub(crate) fn new(patience: Patience, seed: u64) -> Retries {
        Retries {
            patience,
            random: fastrand::Rng::with_seed(seed),
            tries: 0,
            garbled: 0,
            waited: Duration::ZERO,
            seen: 0,
        }
    }

    /// How long to wait after this fault; `through` is how many calls of all have gone through.
    pub(crate) fn after(&mut self, fault: Fault, through: u64) -> Result<Duration, GaveUp> {
        let patience = &self.patience;
        if through != self.seen {
            // Others go through: this one's turn will come.
            (self.seen, self.waited) = (through, Duration::ZERO);
        }
        let enough = match fault {
            Fault::Throttled => self.waited >= patience.throttled,
            Fault::Unavailable | Fault::Unanswered => self.waited >= patience.unavailable,
            // Once a call went through, it is there: this is another kind of absence.
            Fault::Absent => through > 0 || self.waited >= patience.absent,
            Fault::Garbled => {
                self.garbled += 1;
                self.garbled > patience.garbled
            }
        };
        if enough {
            return Err(GaveUp(self.waited));
        }
        let longest = patience
            .first
            .saturating_mul(1 << self.tries.min(20))
            .min(patience.longest);
        self.tries += 1;
        // Half of it is the same for all, half is each one's own.
        let wait = longest.mul_f64(0.5 + 0.5 * self.random.f64());
        self.waited += wait;
        Ok(wait)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Waits until it gives up, with nothing else going through.
    fn total(fault: Fault) -> (usize, Duration) {
        let mut retries = Retries::new(Patience::default(), 7);
        let mut count = 0;
        loop {
            match retries.after(fault, 0) {
                Ok(_) => count += 1,
                Err(GaveUp(waited)) => return (count, waited),
            }
        }
    }

    #[test]
    fn each_fault_has_its_patience() {
        for (fault, least, most) in [
            (Fault::Throttled, 300, 305),
            (Fault::Unavailable, 120, 125),
            (Fault::Unanswered, 120, 125),
            (Fault::Absent, 120, 125),
        ] {
            let (_, waited) = total(fault);
            let range = Duration::from_secs(least)..Duration::from_secs(most);
            assert!(range.contains(&waited), "{fault:?}: {waited:?}");
        }
        assert_eq!(total(Fault::Garbled).0, 3);
    }

    #[test]
    fn while_others_go_through_nobody_gives_up() {
        let mut retries = Retries::new(Patience::default(), 7);
        for through in 0..10_000 {
            retries.after(Fault::Throttled, through).unwrap();
            retries.after(Fault::Unavailable, through).unwrap();
        }
    }

    #[test]
    fn what_was_there_and_is_not_is_gone() {
        let mut retries = Retries::new(Patience::default(), 7);
        retries.after(Fault::Absent, 0).unwrap();
        assert!(retries.after(Fault::Absent, 1).is_err());
    }

    #[test]
    fn waits_grow_are_bounded_and_differ() {
        let patience = Patience::default();
        let waits = |seed| {
            let mut retries = Retries::new(patience, seed);
            let next = |_| retries.after(Fault::Unavailable, 0).unwrap();
            (0..12).map(next).collect::<Vec<_>>()
        };
        let (one, other) = (waits(1), waits(2));
        assert_ne!(one, other);
        assert_eq!(one, waits(1));
        for (n, wait) in one.iter().enumerate() {
            let longest = (patience.first * (1 << n)).min(patience.longest);
            assert!((longest / 2..=longest).contains(wait), "{n}: {wait:?}");
        }
    }
}
